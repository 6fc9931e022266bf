"""Parts of drawn lines: what is stacked is one, what is cut is cut where little ink is crossed."""

import numpy as np

from lenet_xp.pages.lines import Pieces
from lenet_xp.pages.parts import find_parts


def pieces(*strokes, shape=(140, 400)):
    """Pieces of one list of bars (left, top, right, bottom) each, and the line of them all."""
    labels = np.zeros(shape, np.int32)
    boxes = []
    for number, bars in enumerate(strokes, 1):
        for left, top, right, bottom in bars:
            labels[top:bottom, left:right] = number
        boxes.append([*np.min(bars, 0)[:2], *np.max(bars, 0)[2:]])
    levels = np.where(labels > 0, 220, 0).astype(np.uint8)
    numbers = np.arange(1, len(boxes) + 1)
    return Pieces(levels, labels, np.array(boxes), numbers, np.eye(3)), numbers - 1


TWO = [(50, 20, 60, 120), (50, 20, 120, 30), (120, 25, 170, 35), (160, 20, 170, 120)]


def test_stacked_pieces_are_one_part_with_their_ink_alone():
    found, line = pieces([(50, 20, 90, 60)], [(55, 80, 95, 120)], [(100, 20, 180, 120)])
    parts = find_parts(found, line)
    assert parts.boxes.tolist() == [[50, 20, 95, 120], [100, 20, 180, 120]]
    assert parts.height == 100 and np.isnan(parts.crossed).all()
    assert parts.ink(0, 1).shape == (100, 45) and parts.ink(0, 2).shape == (100, 130)
    assert not parts.ink(0, 1)[42:58].any() and parts.ink(1, 2).all()


def test_touching_strokes_are_cut_between_them_and_no_ink_is_lost():
    found, line = pieces(TWO, [(200, 20, 280, 120)])
    whole = find_parts(found, line)
    cut = whole.cut({0})
    assert np.isnan(cut.crossed[[0, -1]]).all() and len(cut.boxes) > 3
    assert np.allclose(cut.crossed[1:-1], 0.1, atol=0.06)  # one stroke of ten pixels in a hundred
    assert np.array_equal(cut.labels > 0, whole.labels > 0)
    for part, box in enumerate(cut.boxes, 1):
        rows, columns = np.nonzero(cut.labels == part)
        corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert (box - np.tile(cut.corner, 2)).tolist() == corners
    assert (np.diff(cut.boxes[:, 0]) >= 10).all()


def test_no_cut_goes_through_much_ink_or_a_narrow_part():
    found, line = pieces([(20, 20, 100, 120)], [(120, 20, 160, 30), (150, 20, 160, 120)])
    assert len(find_parts(found, line).cut({0, 1}).boxes) == 2
    assert len(find_parts(found, line).cut(set()).boxes) == 2
