"""Framing of drawn shapes: each rule on either side of where it begins to hold."""

import numpy as np
import pytest

from lenet_xp.pictures.frame import crop_to_letter, frame, ink_under, is_framed, is_ring, pad_bar
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


@pytest.mark.parametrize(
    ("shape", "box", "framed"),
    [
        ((64, 64), (10, 10, 40, 40), True),
        ((65, 64), (10, 10, 40, 40), False),  # larger than a data set's
        ((64, 66), (10, 10, 40, 40), False),
        ((60, 20), (0, 0, 20, 60), True),  # three times as high as wide
        ((60, 19), (0, 0, 19, 60), False),
        ((19, 60), (0, 0, 60, 19), False),
        ((50, 50), (20, 7, 3, 20), True),  # spans two fifths, down or across
        ((50, 50), (20, 7, 3, 19), False),
        ((50, 50), (3, 30, 20, 5), True),
        ((50, 50), (3, 30, 19, 5), False),
    ],
)
def test_what_is_framed_already(shape, box, framed):
    blank = np.zeros(shape, np.uint8)
    other = ink(shape, (shape[1] // 2, shape[0] // 2, 2, 2))  # too small, in the same batch
    found = is_framed(np.stack([ink(shape, box), other, ink(shape, box)]))
    assert found.tolist() == [framed, False, framed] and found.dtype == bool
    assert is_framed(blank[None]).tolist() == [max(shape) <= 64 and min(shape) * 3 >= max(shape)]


@pytest.mark.parametrize(("faint", "counts"), [(95, False), (110, True)])
def test_ink_begins_at_a_third_of_the_range(faint, counts):
    """Levels from 40 to 220; a faint mark far away makes the picture framed, or is not seen."""
    picture = np.maximum(ink((60, 60), (20, 20, 12, 12, 220), (50, 50, 5, 5, faint)), 40)
    assert is_framed(picture[None]).tolist() == [counts]
    assert frame(picture).shape == ((60, 60) if counts else (12, 12))


def test_lost_ink_is_cut_out_and_a_blank_picture_stays():
    picture = ink((50, 60), (30, 11, 15, 12))
    np.testing.assert_array_equal(frame(picture), picture[11:23, 30:45])
    for wide, high in ((24, 5), (5, 20)):  # spans two fifths of one side
        picture = ink((50, 60), (20, 20, wide, high))
        assert frame(picture) is picture
    blank = np.zeros((50, 60), np.uint8)
    assert frame(blank) is blank
    bar = frame(ink((60, 60), (30, 20, 4, 20)))
    assert bar.shape == (20, 20) and np.flatnonzero(bar.any(0)).tolist() == [8, 9, 10, 11]


@pytest.mark.parametrize(
    ("left", "top", "high", "rows"),
    [
        (80, 110, 40, (70, 150)),  # a ya: as much blank above it as it is high
        (80, 100, 100, (0, 200)),
        (104, 110, 40, (70, 150)),  # less than an eighth of the width from the middle
        (106, 110, 40, (110, 150)),
        (56, 110, 40, (70, 150)),
        (54, 110, 40, (110, 150)),
        (80, 96, 40, (56, 136)),  # from just above the middle down
        (80, 95, 40, (95, 135)),
        (80, 96, 104, (0, 200)),  # no more blank than there is
    ],
)
def test_a_centred_ring_low_in_its_picture_keeps_its_blank_half(left, top, high, rows):
    mask = np.zeros((200, 200), np.uint8)
    shape = cv2.resize(ring(64, 9), (40, high), interpolation=cv2.INTER_NEAREST)
    mask[top : top + high, left : left + 40] = shape
    found = crop_to_letter(mask, mask, (left, top, 40, high))
    np.testing.assert_array_equal(found, mask[slice(*rows), left : left + 40])
    mask[top + 4 : top + high - 4, left + 4 : left + 36] = 255  # no ring any more
    assert crop_to_letter(mask, mask, (left, top, 40, high)).shape == (high, 40)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (ring(64, 9), True),
        (ring(64, 5), True),
        (ring(200, 30), True),
        (ring(64, 10), True),  # the hole has 0.37 of the square
        (ring(64, 15), False),  # and here 0.22
        (ring(64, 9, gap=6), True),
        (ring(64, 9, gap=16), False),
        (ring(64, 9, gap=24), False),
        (ring(64, 9, dot=6), False),
        (ring(64, 40), False),
        (ring(8, 1), True),
        (ring(7, 1), False),
        (np.full((64, 64), 255, np.uint8), False),
        (np.zeros((64, 64), np.uint8), False),
        (ink((64, 64), (0, 0, 10, 64), (54, 0, 10, 64), (0, 54, 64, 10), level=255), False),
        (ink((64, 64), (0, 0, 64, 10), (54, 0, 10, 64), (0, 54, 64, 10), level=255), False),
    ],
)
def test_what_is_a_ring(mask, expected):
    for turned in (mask, mask.T, mask[::-1], cv2.resize(mask, None, fx=1, fy=1.5)):
        assert is_ring(np.ascontiguousarray(turned)) == expected


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
