"""Framing of drawn shapes: each rule on either side of where it begins to hold."""

import numpy as np
import pytest

from lenet_xp.pictures.frame import frame, ink_under, pad_bar
from lenet_xp.system.opencv import cv2


def ink(shape, *boxes, level=200):
    """Bright boxes, each left, top, width, height and perhaps a level, on 0."""
    picture = np.zeros(shape, np.uint8)
    for left, top, wide, high, *own in boxes:
        picture[top : top + high, left : left + wide] = own[0] if own else level
    return picture


def ring(side, thickness, gap=0, dot=0):
    """A ring that fills a square of `side`; `gap` pixels are missing on its right."""
    picture = np.zeros((side, side), np.uint8)
    centre, radius = (side - 1) / 2, side / 2
    rows, columns = np.mgrid[:side, :side] - centre
    away = np.hypot(rows, columns)
    picture[(away <= radius) & (away >= radius - thickness)] = 255
    picture[(np.abs(rows) < gap / 2) & (columns > 0)] = 0
    picture[away < dot] = 255
    return picture


@pytest.mark.parametrize("side", [20, 28, 48, 64])
@pytest.mark.parametrize("box", [(0.2, 0.3, 0.4, 0.5), (0.1, 0.1, 0.8, 0.8), (0.5, 0.25, 0.5, 0.4)])
def test_a_small_picture_is_cut_to_its_ink(side, box):
    left, top, wide, high = (round(each * side) for each in box)
    found = frame(ink((side, side), (left, top, wide, high)))
    factor = -(-96 // side)
    assert found.shape == (pytest.approx(factor * high, abs=4), pytest.approx(factor * wide, abs=4))
    assert found.min() > 0.1 * found.max()


@pytest.mark.parametrize(("faint", "counts"), [(75, False), (95, True)])
def test_ink_begins_at_a_quarter_of_the_range(faint, counts):
    """Levels from 40 to 220, and a faint mark far away."""
    picture = np.maximum(ink((96, 96), (20, 20, 20, 20, 220), (70, 70, 9, 9, faint)), 40)
    assert frame(picture).shape == ((59, 59) if counts else (20, 20))


def test_a_speck_is_no_part_of_a_letter_and_a_dot_is():
    letter = (20, 20, 30, 30)
    assert frame(ink((96, 96), letter, (80, 80, 4, 4))).shape == (30, 30)
    assert frame(ink((96, 96), letter, (80, 80, 5, 5))).shape == (65, 65)


def test_a_blank_picture_stays_and_a_bar_is_padded():
    blank = np.zeros((96, 90), np.uint8)
    assert frame(blank) is blank
    bar = frame(ink((96, 96), (30, 20, 4, 20)))
    assert bar.shape == (20, 20) and np.flatnonzero(bar.any(0)).tolist() == [8, 9, 10, 11]


CELL = {
    "one border": [(0, 0, 2, 96)],
    "two": [(0, 0, 2, 96), (0, 94, 96, 2)],
    "four": [(0, 0, 2, 96), (0, 94, 96, 2), (94, 0, 2, 96), (0, 0, 96, 2)],
    "short of the corner": [(93, 0, 3, 60)],
}


@pytest.mark.parametrize("borders", CELL.values(), ids=list(CELL))
def test_borders_of_a_cell_are_left_outside(borders):
    letter = [(40, 20, 20, 4), (48, 20, 4, 50)]
    assert frame(ink((96, 96), *letter, *borders)).shape == (50, 20)
    faint = [(*box, 90) for box in letter]
    assert frame(ink((96, 96), *faint, *borders)).shape == (50, 20)


@pytest.mark.parametrize(
    "strokes",
    [
        [(0, 0, 4, 96), (92, 0, 4, 96)],  # yal: neither bar alone stands in the middle
        [(0, 0, 4, 96), (80, 2, 4, 90)],
        [(4, 0, 4, 96), (4, 1, 90, 4), (4, 92, 90, 4), (40, 40, 20, 20)],  # a bracket off the edge
        [(0, 0, 96, 4), (40, 8, 8, 88)],  # below it the stem meets the edge
    ],
)
def test_strokes_along_the_edges_are_no_borders(strokes):
    picture = ink((96, 96), *strokes)
    rows, columns = picture.any(1).sum(), picture.any(0).sum()
    found = frame(picture)
    assert found.shape == (pytest.approx(96, abs=6), pytest.approx(96, abs=13))
    assert found.any(1).sum() >= rows - 1 and found.any(0).sum() >= columns - 1


def test_ya_as_amhcd_frames_it_keeps_its_blank_half():
    """Hands leave it open, cross it or fill it: it need not look like a ring."""
    for shape in (ring(64, 9), ring(64, 9, gap=24), ring(64, 40)):
        picture = np.zeros((96, 96), np.uint8)
        picture[48:] = cv2.resize(shape, (96, 48), interpolation=cv2.INTER_AREA)
        assert frame(picture) is picture
        higher = np.roll(picture, -24, axis=0)
        assert frame(higher).shape[0] < 60


@pytest.mark.parametrize(
    ("shape", "padded"),
    [
        ((60, 20), (60, 20)),
        ((60, 19), (60, 60)),
        ((19, 60), (60, 60)),
        ((61, 18), (61, 61)),
        ((2048, 10), (2048, 2048)),
        ((4096, 20), (2048, 2048)),
    ],
)
def test_a_bar_stands_in_the_middle_of_a_square(shape, padded):
    found = pad_bar(np.full(shape, 255, np.uint8))
    assert found.shape == padded
    inked = found.any(0) if shape[0] > shape[1] else found.any(1)
    (places,) = np.nonzero(inked)
    if padded[0] == padded[1]:
        assert len(places) == min(shape) * padded[0] // max(shape)
        assert abs(places.mean() - (padded[0] - 1) / 2) <= 0.5


def test_ink_reaches_a_pixel_beyond_its_mask():
    levels = np.arange(1, 82, dtype=np.uint8).reshape(9, 9)
    mask = ink((9, 9), (4, 3, 2, 1), level=255)
    expected = np.zeros_like(levels)
    expected[2:5, 3:7] = levels[2:5, 3:7]
    np.testing.assert_array_equal(ink_under(levels, mask), expected)


def test_a_broken_stroke_is_whole_and_dirt_far_away_is_not():
    dots = [(60 + 6 * i, 60 + 4 * i, 3, 3) for i in range(3)]
    assert frame(ink((96, 96), (20, 20, 36, 36), *dots)).shape == (51, 55)
    assert frame(ink((96, 96), (20, 20, 36, 36), (80, 80, 3, 3))).shape == (36, 36)


@pytest.mark.parametrize("lean", range(-40, 41, 10))
def test_a_bar_stays_a_bar_whichever_way_it_leans(lean):
    picture = np.zeros((96, 96), np.uint8)
    shift = round(35 * np.tan(np.radians(lean)))
    cv2.line(picture, (48 - shift, 13), (48 + shift, 83), 255, 9)
    found = frame(picture)
    assert found.shape[0] == found.shape[1] == pytest.approx(79, abs=2)
    zigzag = np.zeros((96, 96), np.uint8)
    corners = [(60, 10), (40, 45), (56, 50), (36, 86)]
    cv2.polylines(zigzag, [np.array(corners)], False, 255, 5)
    assert frame(zigzag).shape[1] < 0.5 * frame(zigzag).shape[0]
