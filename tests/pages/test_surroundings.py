"""Writing told from frames, tables and edges, and the slope of rows."""

import numpy as np
import pytest

from lenet_xp.pages.lines import find_lines, find_pieces
from lenet_xp.pages.parts import find_parts
from lenet_xp.pages.surroundings import find_rules, is_writing, slope_of_rows
from lenet_xp.pictures.ink import find_ink
from lenet_xp.system.opencv import cv2

INSIDE = np.full((400, 600), 255, np.uint8)
ROW = [(x, 180, x + 24, 220) for x in range(100, 480, 60)]  # letters 40 pixels high


def drawn(*boxes, lines=(), shape=(400, 600)):
    """Levels of darkness with solid boxes and lines of 3 pixels."""
    levels = np.zeros(shape, np.uint8)
    for left, top, right, bottom in boxes:
        levels[top:bottom, left:right] = 150
    for left, top, right, bottom in lines:
        cv2.line(levels, (left, top), (right, bottom), 150, 3)
    return levels


def ink_of(levels):
    return find_ink(levels, 100, np.zeros_like(levels))


def writing(ink, inside=INSIDE):
    """Left edges of what may be letters."""
    return sorted(ink.boxes[is_writing(ink, inside), 0].tolist())


def around(left, top, right, bottom):
    return [
        (left, top, right, top),
        (right, top, right, bottom),
        (right, bottom, left, bottom),
        (left, bottom, left, top),
    ]


def near(found, boxes):
    return len(found) == len(boxes) and np.allclose(found, [box[0] for box in boxes], atol=2)


def test_what_meets_the_edge_or_spans_half_of_the_page_is_no_letter():
    edge, long = (0, 40, 40, 90), (120, 300, 470, 310)
    assert near(writing(ink_of(drawn(*ROW, edge, long))), ROW)


def test_what_meets_the_edge_of_a_sheet_is_no_letter():
    inside = INSIDE.copy()
    inside[:, 420:] = 0
    assert near(writing(ink_of(drawn(*ROW)), inside), ROW[:-2])


def test_letters_that_fill_a_strip_may_meet_its_edges():
    tall = [(x, 0 if x == 100 else 60, x + 60, 290) for x in (100, 250, 400)]
    assert len(writing(ink_of(drawn(*tall)))) == 3


def test_where_nothing_else_is_all_of_it_is_writing():
    assert len(writing(ink_of(drawn((100, 20, 140, 400))))) == 1


@pytest.mark.parametrize(("count", "kept"), [(2, True), (3, False)])
def test_a_hollow_piece_around_three_others_is_a_frame(count, kept):
    frame = around(100, 150, 300, 260)
    found = writing(
        ink_of(drawn(*[(x, 180, x + 24, 220) for x in (130, 180, 230)][:count], lines=frame))
    )
    assert (len(found) == count + 1) == kept


def test_frames_and_the_cells_of_tables_are_lines_and_letters_are_none():
    borders = [(x, 160, x, 240) for x in range(90, 520, 60)]
    table = [(90, 160, 510, 163), (90, 240, 510, 238), *borders]
    levels = drawn(*ROW, lines=table)
    rules = find_rules(ink_of(levels), 40)
    letters = drawn(*ROW) > 0
    assert not rules[letters].any()
    assert rules[(levels > 0) & ~letters].mean() > 250


def test_a_page_of_letters_has_no_lines():
    assert not find_rules(ink_of(drawn(*ROW)), 40).any()
    assert not find_rules(ink_of(drawn((100, 180, 170, 190), (200, 150, 210, 230))), 40).any()


@pytest.mark.parametrize("slope", [-30, -12, -5, 0, 5, 20, 30])
def test_the_slope_of_rows_is_that_of_what_stands_in_them(slope):
    rows = [(x, y, x + 24, y + 40) for y in (140, 220) for x in range(120, 460, 60)]
    turn = cv2.getRotationMatrix2D((300, 200), -slope, 1)
    levels = cv2.warpAffine(drawn(*rows), turn, (600, 400))
    assert slope_of_rows(ink_of(levels)) == pytest.approx(slope, abs=1.5)


def test_ruled_lines_show_the_slope_where_they_join_all_ink():
    lines = [(0, y, 599, y + 84) for y in range(-60, 400, 60)]
    lines += [(x, 0, x - 56, 399) for x in range(60, 640, 60)]
    levels = drawn(lines=lines)
    assert slope_of_rows(ink_of(levels)) == pytest.approx(8, abs=1)


@pytest.mark.parametrize("letters", [[], [(150, 100, 350, 300)]])
def test_a_page_without_rows_has_no_slope(letters):
    diagonal = [(100, 100, 300, 300)] if letters else []
    assert slope_of_rows(ink_of(drawn(lines=diagonal))) == 0


def page(levels):
    return np.asarray(235 - levels)


def test_a_faint_letter_beside_a_dark_frame_is_found():
    frame = drawn(lines=around(60, 130, 540, 270)) // 150 * 220
    faint = drawn(*ROW[::2]) // 150 * 34
    levels = np.maximum(frame, np.maximum(faint, drawn(*ROW[1::2]) // 150 * 90))
    assert len(find_pieces(page(levels.astype(np.uint8))).boxes) == len(ROW)


def test_boxes_of_a_turned_page_are_in_its_own_pixels():
    rows = [(x, y, x + 24, y + 40) for y in (140, 220) for x in range(120, 460, 60)]
    turn = cv2.getRotationMatrix2D((300, 200), -15, 1)
    turned = cv2.warpAffine(drawn(*rows), turn, (600, 400), flags=cv2.INTER_AREA)
    pieces = find_pieces(page(turned))
    parts = [find_parts(pieces, np.array([place])) for place in range(len(pieces.boxes))]
    found = [each.place(0, 1, pieces.matrix) for each in parts]
    corners = [np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float) for x0, y0, x1, y1 in rows]
    true = [
        cv2.boundingRect(cv2.transform(each[:, None], turn).astype(np.float32)) for each in corners
    ]
    assert len(found) == len(true)
    assert np.allclose(sorted(found), sorted(true), atol=4)
    assert len(find_lines(pieces.boxes)) == 2


def test_a_row_of_small_print_stays_apart_from_the_line_above_it():
    tall = [(x, 100, x + 40, 160) for x in range(100, 500, 80)]
    small = [(x + k, 172, x + k + 8, 190) for x in range(100, 500, 80) for k in (0, 14, 28)]
    lines = find_lines(np.array(tall + small))
    assert [len(line) for line in lines] == [len(tall), len(small)]
