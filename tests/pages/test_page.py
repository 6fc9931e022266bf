"""A page's letters: what is told of each.

The network is a stand-in whose probabilities are chosen here.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.alternatives import best_first
from lenet_xp.pages.page import LetterOnPage, read_page
from lenet_xp.pictures.preprocess import Preprocessing

NAMES = tuple(letter.name for letter in letters())
RINGS = (NAMES.index("ya"), NAMES.index("yar"))


@dataclass
class Network:
    """Reads every image as one letter and keeps what it was shown as groups."""

    letter: str = "yad"
    certainty: float = 0.96
    threshold: float = 0.5
    class_names: tuple[str, ...] = NAMES
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    shown: list[np.ndarray] = field(default_factory=list)

    def plain(self, images, threads):
        self.shown += list(images)
        return self.probabilities(images, threads)

    def probabilities(self, images, threads):
        row = np.full(len(NAMES), (1 - self.certainty) / (len(NAMES) - 1))
        row[NAMES.index(self.letter)] = self.certainty
        return np.tile(row, (len(images), 1))


def page(*bars, shape=(600, 900)):
    grey = np.full(shape, 235, np.uint8)
    for left, top, right, bottom in bars:
        grey[top:bottom, left:right] = 40
    return grey


@pytest.mark.parametrize(("probability", "certain"), [(0.91, True), (0.9, True), (0.89, False)])
def test_a_letter_is_certain_from_nine_in_ten(probability, certain):
    row = np.array([1 - probability, probability])
    letter = LetterOnPage(best_first(row, NAMES[:2]), (0, 0, 1, 1), 0, 0, False)
    assert letter.certain == certain


def test_lines_places_boxes_and_spaces():
    """Of two gaps, that of 110 pixels is wider than the letters are high, that of 90 is not."""
    upper = [(100, 60, 160, 160), (250, 60, 310, 160), (420, 60, 480, 160)]
    lower = [(100, 300, 160, 400), (200, 300, 260, 400)]
    found = read_page(page(*upper, *lower), Network())
    assert [(e.line, e.position) for e in found] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert [e.space_before for e in found] == [False, False, True, False, False]
    for each, (left, top, right, bottom) in zip(found, upper + lower, strict=True):
        assert np.abs(np.subtract(each.box, (left, top, right - left, bottom - top))).max() <= 2


def test_boxes_are_in_pixels_of_the_picture_where_it_is_read_smaller():
    bars = [(600, 400, 900, 900), (1500, 400, 1800, 900), (2600, 400, 2900, 900)]
    found = read_page(page(*bars, shape=(1400, 3600)), Network())
    assert len(found) == 3
    for each, (left, top, right, bottom) in zip(found, bars, strict=True):
        assert np.abs(np.subtract(each.box, (left, top, right - left, bottom - top))).max() <= 5


@pytest.mark.parametrize(("high", "kept"), [(40, False), (62, True)])
def test_a_line_of_less_than_half_the_height_is_dirt_and_takes_no_number(high, kept):
    tall = [(100, 60, 160, 160), (200, 60, 260, 160), (300, 60, 360, 160)]
    low = [(100, 500, 140, 500 + high), (160, 500, 200, 500 + high)]
    last = [(100, 900, 160, 1000), (200, 900, 260, 1000)]
    found = read_page(page(*tall, *low, *last, shape=(1200, 800)), Network())
    lines = [each.line for each in found]
    assert lines == ([0, 0, 0, 1, 1, 2, 2] if kept else [0, 0, 0, 1, 1])


def rings(letter):
    """The probabilities of ya and yar."""
    known = {each.name: each.probability for each in letter.alternatives}
    return known["ya"], known["yar"]


def test_a_ring_is_ya_or_yar_by_the_height_of_its_line_if_that_is_known():
    class Reader(Network):
        """Sees a ring in what is wide and low, else another letter."""

        def probabilities(self, images, threads):
            rows = super().probabilities(images, threads)
            for row, image in zip(rows, images, strict=True):
                if np.ptp(np.flatnonzero(image.max(0) > 128)) > 25:  # stretched, no bar
                    row[:] = 0.02 / 31
                    row[RINGS[0]], row[RINGS[1]] = 0.48, 0.5
            return rows

    bars = [(100, 100, 120, 200), (200, 100, 220, 200)]
    low, full = (300, 145, 350, 195), (400, 100, 450, 200)
    found = read_page(page(*bars, low, full), Reader())
    assert [each.name for each in found[2:]] == ["ya", "yar"]
    assert all(sum(rings(each)) == pytest.approx(0.98) for each in found[2:])
    for alone in ([low], [full], [bars[0], full]):
        ya, yar = rings(read_page(page(*alone), Reader())[-1])
        assert ya == yar == pytest.approx(0.49)


def test_a_letter_is_shown_to_the_network_without_its_neighbours_ink():
    """The boxes of slanted strokes overlap; a bar keeps its shape."""
    grey = page((700, 100, 720, 300))
    for left in (100, 250):
        for step in range(200):
            grey[100 + step, left + step : left + step + 24] = 40
    network = Network()
    read_page(grey, network)
    aside = np.abs(np.subtract.outer(np.arange(32), np.arange(32))) > 8
    single = [image for image in network.shown if not image[aside].any()]
    assert len(single) >= 2 and all(np.diagonal(e)[3:-3].min() > 90 for e in single)
    bars = [image for image in network.shown if not image[:, :12].any()]
    assert bars and all(1 <= (bar.max(0) > 128).sum() <= 6 and bar[:, 14:18].any() for bar in bars)


def test_neighbouring_lines_do_not_change_each_other():
    upper = [(100, 60, 160, 160), (200, 60, 260, 160)]
    lower = [(100, 300, 180, 420), (220, 300, 300, 420)]
    together = read_page(page(*upper, *lower), Network())
    alone = read_page(page(*upper), Network())
    assert [each.box for each in together[:2]] == [each.box for each in alone]
    assert all(one.box[0] < other.box[0] for one, other in pairwise(together[2:]))


@pytest.mark.parametrize(
    ("sums", "refused"),
    [
        ((0.9, 0.9, 0.3), (False, False, False)),  # among letters, more must speak against one
        ((0.9, 0.9, 0.2), (False, False, True)),
        ((0.9, 0.3, 0.3), (False, True, True)),
        ((0.3,), (True,)),
    ],
)
def test_a_mark_among_letters_is_a_letter_in_doubt(sums, refused):
    class Reader(Network):
        def plain(self, images, threads):
            return super().probabilities(images, threads)

        def probabilities(self, images, threads):
            return super().probabilities(images, threads) * np.reshape(sums, (-1, 1))

    bars = [(100 * n, 100, 100 * n + 60, 200) for n in range(1, len(sums) + 1)]
    assert tuple(each.refused for each in read_page(page(*bars), Reader())) == refused
