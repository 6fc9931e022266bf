"""Ruled and squared paper: what is left of its lines, and of the ink on them."""

from dataclasses import replace

import numpy as np
import pytest

from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.drawn_pages import Photo, lay
from lenet_xp.letters.synthetic import generate
from lenet_xp.pictures import ruled_lines as rules
from lenet_xp.pictures.ink import find_ink
from lenet_xp.pictures.ruled_lines import remove_ruled_lines
from lenet_xp.pictures.sheet import darkness, make_sheet
from lenet_xp.system.opencv import cv2

NAMES = tuple(letter.name for letter in letters())


@pytest.fixture(scope="module")
def images():
    """A sample of every letter, (33, 1, 64, 64)."""
    return generate(1, seed=5)[0].reshape(33, 1, 64, 64)


def test_ruled_lines_go_and_a_bar_across_them_stays():
    picture = np.full((300, 400), 240, np.uint8)
    for row in range(20, 300, 40):
        picture[row : row + 2] = 170
    picture[80:200, 200:206] = 40
    even = make_sheet(picture)
    mask = find_ink(darkness(even, 60), 60, even.ruled).mask()
    assert mask[85:195, 203].all()
    mask[75:205, 190:216] = 0
    assert not mask.any()


@pytest.mark.parametrize("chalk", [False, True])
def test_ruled_lines_give_their_light_back_to_what_is_written_on_them(images, chalk):
    """The same photo of unruled paper is the reference."""
    squared = Photo(paper="squared", light_on_dark=chalk, gradient=0.3)
    plain = Photo(light_on_dark=chalk, gradient=0.3)
    cover = np.zeros((500, 500), np.float32)
    lay(cover, images[NAMES.index("yaf"), 0], (180, 230, 140, 150))
    freed, reference = (
        make_sheet(photo.take(cover, np.random.default_rng(3))) for photo in (squared, plain)
    )
    assert freed.dark == reference.dark == (not chalk)
    off = np.abs(freed.levels.astype(int) - reference.levels)
    ink = reference.levels < reference.levels.min() + 60
    assert np.percentile(off, 99) <= 2
    assert np.percentile(off[ink], 90) <= (12 if not chalk else 60)


def darker_than_unruled(photo, cover, seed):
    """How much darker a freed sheet is than the same photo of unruled paper, by 60 pixels."""
    way = "light-on-dark" if photo.light_on_dark else "dark-on-light"
    freed, reference = (
        make_sheet(each.take(cover, np.random.default_rng(seed)), way).levels.astype(float)
        for each in (photo, replace(photo, paper="plain"))
    )
    height, width = cover.shape
    return (reference - freed)[:, : width // 60 * 60].reshape(height, -1, 60).mean(2)


@pytest.mark.parametrize("chalk", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_lines_that_fade_on_their_way_go_wholly(images, chalk, seed):
    photo = Photo("ruled", 44, gradient=0.6, shadow=0.37, light_on_dark=chalk, blur=0.7, noise=1)
    cover = np.zeros((500, 600), np.float32)
    lay(cover, images[NAMES.index("yadd"), 0], (100, 200, 60, 70))
    assert darker_than_unruled(photo, cover, seed).max() < 5


def test_a_line_that_lies_between_two_rows_where_it_is_faint_goes_there_too():
    photo = Photo("ruled", 44, 0.6, 0.37, 0.8, light_on_dark=True, blur=0.7, noise=3.7, quality=50)
    assert darker_than_unruled(photo, np.zeros((854, 579), np.float32), 11).max() < 10


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("slope", [0.3, 0.6, 3.0])  # rows along the whole line
def test_a_tilted_line_goes(slope, dark):
    rows, columns = np.arange(300)[:, None], np.arange(600)
    paper = 200 + np.random.default_rng(0).normal(0, 1, (300, 600))
    for row in range(40, 300, 60):
        off = np.abs(rows - row - 0.1 - slope * columns / 600)
        paper -= np.linspace(60, 12, 600) * np.clip(1 - off, 0, 1)
    freed, ruled = remove_ruled_lines(np.clip(np.rint(paper), 0, 255).astype(np.uint8), dark)
    assert (200 - freed.astype(float)).reshape(300, 10, 60).mean(2).max() < 8
    assert ruled[40:44].any(0).all() and not ruled[60:80].any()


def test_what_is_faint_and_lies_on_a_ruled_line_alone_is_no_ink():
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 3, (300, 300)).astype(np.uint8)
    levels[60:200, 40:46] = 120  # a letter across the line,
    levels[98:102, 120:180] = 60  # what is left of the line,
    levels[98:102, 220:280] = 115  # and a bar on it
    ruled = np.zeros_like(levels)
    ruled[96:104] = 255
    masks = [find_ink(levels, 60, where).mask() for where in (np.zeros_like(ruled), ruled)]
    for mask in masks:
        assert mask[65:195, 43].all() and mask[100, 225:275].all()
    assert masks[0][100, 125:175].all() and not masks[1][90:110, 110:190].any()


@pytest.mark.parametrize("name", ["yab", "yey", "yadd", "yat", "yaj"])
def test_bars_of_a_letter_that_nearly_fills_its_picture_stay(images, name):
    letter = images[NAMES.index(name), 0]
    large = np.full((200, 200), 250.0)
    large[20:180, 20:180] = cv2.resize(letter, (160, 160), interpolation=cv2.INTER_CUBIC)
    large += np.random.default_rng(0).normal(0, 3, large.shape)
    picture = np.clip(np.rint(large), 0, 255).astype(np.uint8)
    assert not make_sheet(picture).ruled.any()


@pytest.mark.parametrize("chalk", [False, True])
def test_the_few_lines_of_a_small_picture_go(images, chalk):
    cover = np.zeros((150, 260), np.float32)
    lay(cover, images[NAMES.index("yab"), 0], (90, 40, 70, 75))
    photo = Photo("ruled", 50, light_on_dark=chalk, noise=1)
    assert darker_than_unruled(photo, cover, 2).max() < 4


def test_a_curve_that_left_the_sheet_takes_nothing_from_it():
    paper = np.full((200, 300), 180, np.float32)
    ruled = np.zeros((200, 300), np.uint8)
    rules._lighten(paper, np.full(300, -100.0), 5, True, ruled)
    assert (paper == 180).all() and not ruled.any()
