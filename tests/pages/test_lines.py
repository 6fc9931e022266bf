"""Pieces and lines of drawn bars: each rule of a page on either side of where it begins to hold."""

import numpy as np
import pytest

from lenet_xp.pages.lines import Pieces, find_lines, find_pieces, group_stacked, typical_height
from lenet_xp.pictures.ink import find_ink

PAPER = 235


def page(*bars, shape=(600, 900), level=40):
    """A light page with dark bars, each left, top, right, bottom."""
    grey = np.full(shape, PAPER, np.uint8)
    for left, top, right, bottom in bars:
        grey[top:bottom, left:right] = level
    return grey


def row(*lefts, top=100, wide=14, high=100):
    return [(left, top, left + wide, top + high) for left in lefts]


def holds(pieces: Pieces, bar) -> bool:
    """Whether a bar is a piece, give or take two pixels of its box."""
    return bool((np.abs(pieces.boxes - bar).max(1) <= 2).any()) if len(pieces.boxes) else False


def lines_of(*boxes):
    return [{*line.tolist()} for line in find_lines(np.array(boxes))]


def parts_of(*boxes):
    line = np.arange(len(boxes))
    return [{*part.tolist()} for part in group_stacked(np.array(boxes), line)]


def test_the_typical_height_is_the_median_of_heights_repeated_as_often_as_their_square():
    rng = np.random.default_rng(4)
    for count in (1, 2, 5, 40):
        heights = rng.integers(1, 30, count)
        tops = rng.integers(0, 100, count)
        boxes = np.stack([tops + 3, tops, tops + 9, tops + heights], axis=1)
        repeated = np.sort(np.repeat(heights, heights**2))
        assert typical_height(boxes) == repeated[(len(repeated) - 1) // 2]
    assert typical_height(np.zeros((0, 4), int)) == 0


def test_pieces_are_the_bars_with_their_labels_and_levels():
    bars = [*row(60, 200, 340), (500, 300, 640, 316)]
    pieces = find_pieces(page(*bars))
    assert len(pieces.boxes) == len(pieces.numbers) == 4 and (pieces.matrix == np.eye(3)).all()
    assert all(holds(pieces, bar) for bar in bars)
    for box, number in zip(pieces.boxes, pieces.numbers, strict=True):
        rows, columns = np.nonzero(pieces.labels == number)
        assert [*box] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert pieces.levels[rows, columns].mean() > 100
    assert pieces.levels[pieces.labels == 0].mean() < 10


def test_a_light_piece_on_a_dark_page_is_one_if_asked_for():
    bars = row(60, 200, 340)
    for polarity, picture in (
        ("auto", 255 - page(*bars)),
        ("light-on-dark", 255 - page(*bars)),
        ("dark-on-light", page(*bars)),
    ):
        assert [holds(find_pieces(picture, polarity), bar) for bar in bars] == [True] * 3


@pytest.mark.parametrize(("size", "kept"), [(10, False), (22, True)])
def test_a_mark_is_dirt_below_a_seventh_of_the_height(size, kept):
    mark = (600, 400, 600 + size, 400 + size)
    assert holds(find_pieces(page(*row(60, 200, 340), mark)), mark) == kept


@pytest.mark.parametrize(("size", "kept"), [(8, False), (14, True)])
def test_a_dot_in_a_letter_may_be_a_third_as_large(size, kept):
    """A frame of 200 pixels: its dot counts from 10 pixels on, the same mark beside it does not."""
    sides = [(100, 100, 300, 112), (100, 288, 300, 300), (100, 100, 112, 300), (288, 100, 300, 300)]
    dot = (195, 195, 195 + size, 195 + size)
    beside = (500, 195, 500 + size, 195 + size)
    pieces = find_pieces(page(*sides, dot, beside))
    assert holds(pieces, (100, 100, 300, 300)) and holds(pieces, dot) == kept
    assert not holds(pieces, beside)


def test_small_writing_is_no_dirt():
    """Letters of seven pixels, as a page has them that was photographed from afar."""
    bars = row(60, 90, 120, 150, wide=4, high=7)
    pieces = find_pieces(page(*bars, shape=(300, 300)))
    assert len(pieces.boxes) == 4


@pytest.mark.parametrize(
    ("bars", "shape", "widths"),
    [
        (row(60, 120, 180, wide=10), (600, 900), ((190, 210), (85, 140))),
        (row(60, 120, 180, wide=20), (1600, 900), ((290, 310), (180, 224))),
        (row(60, 120, 180, wide=3, high=40), (2400, 2400), ((790, 810), (60, 60))),
        ([(300, 100, 420, 500)], (600, 900), ((190, 210),)),
        (row(200, 300, wide=16), (600, 900), ((190, 210),)),
    ],
)
def test_the_second_look_is_ten_strokes_wide_within_a_fortieth_and_a_quarter(
    bars, shape, widths, monkeypatch
):
    """The first is a third of the page. There is no second where it would be as wide."""
    looks = []

    def looking(levels, kernel, ruled):
        looks.append(kernel)
        return find_ink(levels, kernel, ruled)

    monkeypatch.setattr("lenet_xp.pages.lines.find_ink", looking)
    pieces = find_pieces(page(*bars, shape=shape))
    assert all(holds(pieces, bar) for bar in bars)
    assert len(looks) == len(widths)
    assert all(low <= look <= high for look, (low, high) in zip(looks, widths, strict=True)), looks


def test_the_heaviest_pieces_are_kept():
    rows, columns = np.mgrid[:1000, :1000]
    dots = np.where((rows % 14 < 5) & (columns % 14 < 5), 90, 235).astype(np.uint8)
    dots[504:509, 504:509] = 0
    dots[800:850, 100:107] = 0
    pieces = find_pieces(dots)
    assert len(pieces.boxes) == 3000
    sizes = pieces.boxes[:, 2:] - pieces.boxes[:, :2]
    assert sizes.max() > 40


def test_a_large_page_is_read_at_2400_pixels():
    bars = [(400, 400, 460, 900), (1200, 400, 1260, 900)]
    pieces = find_pieces(page(*bars, shape=(1200, 4800)))
    assert pieces.levels.shape == (600, 2400) and pieces.matrix[0, 0] == 2
    assert all(holds(pieces, np.array(bar) / 2) for bar in bars)
    assert find_pieces(page(*bars, shape=(1200, 2400))).levels.shape == (1200, 2400)


@pytest.mark.parametrize(("gap", "lines"), [(250, 1), (300, 1), (310, 2), (500, 2)])
def test_a_line_ends_at_a_gap_of_three_heights(gap, lines):
    assert len(lines_of((0, 0, 50, 100), (50 + gap, 0, 100 + gap, 100))) == lines


@pytest.mark.parametrize(
    ("down", "lines"), [(30, 1), (50, 1), (52, 2), (70, 2), (-50, 1), (-52, 2)]
)
def test_pieces_that_share_half_their_height_are_beside_each_other(down, lines):
    assert len(lines_of((0, 200, 50, 300), (80, 200 + down, 130, 300 + down))) == lines


def test_a_low_piece_is_beside_a_tall_one():
    assert lines_of((0, 0, 50, 100), (80, 70, 140, 95), (160, 0, 200, 100)) == [{0, 1, 2}]


def test_lines_come_from_top_to_bottom_whatever_stands_first():
    boxes = [(300, 500, 350, 600), (0, 250, 50, 350), (600, 0, 650, 100), (700, 0, 750, 100)]
    assert lines_of(*boxes) == [{2, 3}, {1}, {0}]
    # A slant adds up: the ends of a line share no height.
    slanted = [(100 * n, 40 * n, 100 * n + 60, 40 * n + 100) for n in range(6)]
    below = [(left, top + 260, right, bottom + 260) for left, top, right, bottom in slanted]
    assert lines_of(*below, *slanted) == [{*range(6, 12)}, {*range(6)}]


def test_specks_above_a_line_do_not_cut_it():
    """Two specks end their own links; the letter after them is the third piece to the right."""
    letter, next_letter = (0, 0, 60, 100), (120, 40, 180, 140)
    specks = [(70, 0, 80, 10), (90, 0, 100, 10)]
    assert lines_of(letter, *specks, next_letter) == [{0, 1, 2, 3}]


@pytest.mark.parametrize(("gap", "joined"), [(60, True), (90, True), (115, False), (160, False)])
def test_low_marks_join_a_line_that_is_near_and_three_times_nearer_sideways(gap, joined):
    line = [(0, 0, 50, 100), (80, 0, 130, 100)]
    low = (85, 100 + gap - 10, 125, 100 + gap + 10)  # its middle lies `gap` under the line
    assert lines_of(*line, low) == ([{0, 1, 2}] if joined else [{0, 1}, {2}])
    above = (85, -gap - 10, 125, -gap + 10)
    assert lines_of(*line, above) == ([{0, 1, 2}] if joined else [{2}, {0, 1}])


@pytest.mark.parametrize(("gap", "joined"), [(240, True), (340, False)])
def test_low_marks_join_a_line_at_whose_side_they_stand(gap, joined):
    line = [(500, 0, 550, 100), (580, 0, 630, 100)]
    for middle in (500 - gap, 630 + gap):
        low = (middle - 20, 85, middle + 20, 125)  # shares less than half its height with the line
        assert lines_of(*line, low) == ([{0, 1, 2}] if joined else [{0, 1}, {2}])


@pytest.mark.parametrize(("high", "joined"), [(40, True), (55, True), (65, False), (80, False)])
def test_marks_of_more_than_half_the_height_are_a_line_of_their_own(high, joined):
    line = [(0, 0, 50, 100), (80, 0, 130, 100)]
    assert len(lines_of(*line, (90, 110, 120, 110 + high))) == (1 if joined else 2)


def test_low_marks_join_the_nearer_of_two_lines():
    upper = [(0, 0, 50, 100), (80, 0, 130, 100)]
    lower = [(0, 200, 50, 300), (80, 200, 130, 300)]
    for top, expected in ((115, [{0, 1, 4}, {2, 3}]), (165, [{0, 1}, {2, 3, 4}])):
        assert lines_of(*upper, *lower, (85, top, 125, top + 20)) == expected


def test_a_page_of_nothing_but_one_mark_is_a_line():
    assert lines_of((5, 5, 30, 9)) == [{0}]


@pytest.mark.parametrize(("shared", "parts"), [(10, 2), (31, 2), (32, 1), (40, 1)])
def test_pieces_that_share_four_fifths_of_their_width_are_stacked(shared, parts):
    """The narrower is 40 pixels wide, whichever comes first."""
    assert len(parts_of((0, 0, 100, 40), (100 - shared, 60, 140 - shared, 100))) == parts
    assert len(parts_of((0, 0, 40, 40), (40 - shared, 60, 140 - shared, 100))) == parts


def test_a_part_grows_by_all_that_is_stacked_on_it():
    boxes = [(0, 0, 60, 40), (10, 50, 90, 90), (62, 0, 88, 20), (95, 0, 120, 90)]
    assert parts_of(*boxes) == [{0, 1, 2}, {3}]
    assert parts_of(*boxes[::-1]) == [{1, 2, 3}, {0}]
