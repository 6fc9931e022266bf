"""The outline of a sheet of paper, its straightening, and what lies outside of it."""

import numpy as np
import pytest

from lenet_xp.pages.paper import box_in_picture, find_outline, lay_flat, straightening
from lenet_xp.system.opencv import cv2

SQUARE = [(60, 50), (430, 50), (430, 320), (60, 320)]
TILTED = [(80, 60), (420, 90), (390, 320), (110, 300)]
CUT = [(-50, 120), (600, 100), (600, 500), (-50, 500)]  # by three edges of the picture


def scene(corners, paper=210, ground=120, soft=0.8, shape=(380, 500), seed=0):
    """A sheet on a ground, with a side of so many pixels' softness and some noise."""
    picture = np.full(shape, ground, np.float32)
    cv2.fillConvexPoly(picture, np.array(corners, np.int32), paper)
    picture = cv2.GaussianBlur(picture, (0, 0), soft)
    return np.rint(picture + np.random.default_rng(seed).normal(0, 2, shape)).astype(np.uint8)


def covers(outline, corners, shape=(380, 500)):
    """The common part of an outline and the true one."""
    masks = np.zeros((2, *shape), np.uint8)
    for mask, each in zip(masks, (outline, corners), strict=True):
        cv2.fillConvexPoly(mask, np.rint(each).astype(np.int32), 1)
    return (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()


@pytest.mark.parametrize("corners", [SQUARE, TILTED, CUT])
def test_a_light_sheet_is_found_whole_or_cut_by_the_picture(corners):
    assert covers(find_outline(scene(corners)), corners) > 0.95


def test_it_is_found_under_a_shadow_and_with_writing_on_it():
    picture = scene(TILTED).astype(float)
    cv2.putText(picture_ := picture.astype(np.uint8), "abc", (150, 220), 0, 3, 40, 4)
    shade = 1 - 0.5 / (1 + np.exp(-(np.arange(500) - 250) / 15))
    outline = find_outline(np.rint(picture_ * shade).astype(np.uint8))
    assert covers(outline, TILTED) > 0.93


def test_its_corners_are_in_pixels_of_a_large_picture():
    large = cv2.resize(scene(SQUARE), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    assert covers(find_outline(large) / 4, SQUARE) > 0.95


@pytest.mark.parametrize("soft", [0.8, 25])
def test_half_of_a_page_in_shadow_is_no_sheet_unless_its_side_is_sharp(soft):
    found = find_outline(scene([(-90, -90), (250, -90), (250, 900), (-90, 900)], soft=soft))
    assert (found is None) == (soft > 1)


@pytest.mark.parametrize(
    ("corners", "found"),
    [(SQUARE, True), ([(300, 200), (600, 200), (600, 500), (300, 500)], False)],
)
def test_a_dark_sheet_is_a_blackboard_and_a_small_dark_one_a_thing_on_the_page(corners, found):
    assert (find_outline(scene(corners, paper=60, ground=200)) is not None) == found


@pytest.mark.parametrize("level", [0, 130, 255])
def test_a_page_without_a_ground_has_no_outline(level):
    assert find_outline(np.full((300, 400), level, np.uint8)) is None


def test_a_sheet_seen_from_a_side_becomes_a_rectangle():
    outline = np.array(TILTED, np.float32)
    for corners in (outline, outline[::-1], np.roll(outline, 2, 0)):
        matrix = straightening(corners, (380, 500))
        moved = cv2.perspectiveTransform(outline[:, None], matrix)[:, 0]
        width, height = moved[2]
        assert np.allclose(moved, [(0, 0), (width, 0), (width, height), (0, height)], atol=1e-2)
        assert 250 < width < 350 and 220 < height < 260


@pytest.mark.parametrize("corners", [CUT, SQUARE[:3], None])
def test_no_perspective_is_known_without_four_corners(corners):
    outline = None if corners is None else np.clip(np.array(corners, np.float32), 0, (499, 379))
    assert (straightening(outline, (380, 500)) == np.eye(3)).all()


def test_a_page_without_a_sheet_or_turn_stays_as_it_is():
    picture = scene(SQUARE)
    flat = lay_flat(picture, None, np.eye(3))
    assert (flat.levels == picture).all() and flat.inside.all()


def test_what_is_outside_of_a_sheet_becomes_paper_without_a_step():
    outline = np.array([(100, 40), (400, 120), (350, 330), (60, 260)], np.float32)
    flat = lay_flat(scene(outline), outline, np.eye(3))
    assert not flat.inside.all()
    assert flat.levels.min() > 190 and np.ptp(flat.levels[flat.inside == 0].astype(int)) < 15


def test_ink_has_its_place_in_the_picture_after_a_turn():
    bar = np.zeros((300, 300), np.uint8)
    bar[140:160, 50:250] = 1
    turn = np.vstack([cv2.getRotationMatrix2D((150, 150), 30, 1), (0, 0, 1)])
    ink = cv2.warpPerspective(bar, turn, (300, 300)) > 0
    left, top, width, height = cv2.boundingRect(ink.astype(np.uint8))
    own = ink[top : top + height, left : left + width]
    assert np.allclose(
        box_in_picture(own, left, top, np.linalg.inv(turn)), (50, 140, 200, 20), atol=2
    )
    assert box_in_picture(own[:9, :7], 5, 6, np.diag((2.0, 2.0, 1.0))) == (10, 12, 14, 18)


def test_a_strip_of_a_page_may_be_turned():
    """All of it is near an edge of the sheet, which is otherwise left out."""
    strip = np.full((8, 1000), 200, np.uint8)
    turn = np.vstack([cv2.getRotationMatrix2D((0, 0), 0.5, 1), (0, 0, 1)])
    flat = lay_flat(strip, None, turn)
    assert flat.inside.any() and (flat.levels == 200).all()
