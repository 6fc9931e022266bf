"""The search for the one letter of a picture: which widths are tried, and which result is taken."""

import numpy as np
import pytest

from lenet_xp.pictures import letter as finding
from lenet_xp.pictures.letter import Candidate, find_letter
from lenet_xp.system.opencv import cv2


def cross(picture_side, side, stroke, at=None):
    """A dark cross on a light square."""
    picture = np.full((picture_side, picture_side), 230, np.uint8)
    left = top = (picture_side - side) // 2 if at is None else at
    middle = (side - stroke) // 2
    picture[top + middle : top + middle + stroke, left : left + side] = 30
    picture[top : top + side, left + middle : left + middle + stroke] = 30
    return picture


@pytest.fixture
def widths(monkeypatch):
    """The kernels that ink is searched for with, in pixels."""
    tried = []
    search = finding.find_ink

    def searching(levels, kernel, ruled):
        tried.append(kernel)
        return search(levels, kernel, ruled)

    monkeypatch.setattr(finding, "find_ink", searching)
    monkeypatch.setattr(finding, "_on_clean_paper", lambda grey, polarity: None)
    return tried


@pytest.mark.parametrize("side", [24, 60, 140, 230])
@pytest.mark.parametrize("dark", [True, False])
def test_on_clean_paper_one_threshold_finds_what_the_search_finds(side, dark, widths, monkeypatch):
    picture = cross(240, side, max(3, side // 9))
    picture = picture if dark else 255 - picture
    searched, searches = find_letter(picture), len(widths)
    monkeypatch.undo()
    found = find_letter(picture)
    assert len(widths) == searches > 0  # no more kernels were tried
    assert found.shape == pytest.approx(searched.shape, abs=2)
    small = [cv2.resize(each, (16, 16), interpolation=cv2.INTER_AREA) for each in (found, searched)]
    assert np.corrcoef(*(each.ravel().astype(float) for each in small))[0, 1] > 0.95


@pytest.mark.parametrize("what", ["noise", "shadow", "lines"])
def test_other_paper_is_searched(what, widths, monkeypatch):
    monkeypatch.undo()
    picture = cross(240, 100, 12).astype(float)
    if what == "noise":
        picture += np.random.default_rng(0).normal(0, 12, picture.shape)
    elif what == "shadow":
        picture *= np.linspace(0.5, 1, 240)
    else:
        picture[30::40] = 90
    assert finding._on_clean_paper(picture.clip(0, 255).astype(np.uint8), "auto") is None


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (40, [18, 32, 58]),  # three agree, and the letter is no longer than 145
        (140, [18, 32, 58]),
        (150, [18, 32, 58, 104]),  # 104 suits a letter of up to 262
        (255, [18, 32, 58, 104]),
        (300, [18, 32, 58, 104, 188]),
    ],
)
def test_wider_kernels_are_tried_until_three_agree_and_one_suits(side, expected, widths):
    found = find_letter(cross(500, side, 10), "dark-on-light")
    assert widths == expected
    assert np.abs(np.array(found.shape) - side).max() <= 3


def test_no_kernel_is_wider_than_two_fifths_of_the_picture(widths):
    """A letter that nearly fills it: the kernel that would suit it is not tried."""
    find_letter(cross(200, 170, 6), "dark-on-light")
    assert widths == [18, 32, 58]  # 104 would exceed 86
    widths.clear()
    find_letter(cross(250, 215, 6), "dark-on-light")
    assert widths == [18, 32, 58, 104]


def test_a_picture_without_ink_is_searched_until_a_kernel_exceeds_it(widths):
    blank = np.full((300, 200), 230, np.uint8)
    assert find_letter(blank, "dark-on-light").tolist() == [[0]]
    assert widths == [18, 32, 58, 104, 188, 340]


@pytest.mark.parametrize(
    ("picture", "side", "looks"),
    [
        (1504, 80, 1),  # read at 1024 of 1504 pixels: the original is not half as large again
        (1568, 90, 2),
        (1568, 110, 1),  # more than 64 pixels of the 1024
        (1024, 40, 1),
        (3200, 190, 2),
        (3200, 210, 1),
    ],
)
def test_a_small_letter_of_a_large_picture_is_searched_for_again(picture, side, looks, monkeypatch):
    seen = []
    shrink = finding.shrunk

    def shrinking(grey, longest):
        seen.append(grey.shape)
        assert longest == 1024
        return shrink(grey, longest)

    monkeypatch.setattr(finding, "shrunk", shrinking)
    found = find_letter(cross(picture, side, 12, at=300), "dark-on-light")
    assert len(seen) == looks
    if looks == 2:
        assert np.abs(np.array(seen[1]) - 3 * side).max() <= 0.12 * side  # with as much around it
        assert np.abs(np.array(found.shape) - side).max() <= 6
    corner = cross(picture, side, 12, at=8)
    assert (
        np.abs(np.array(find_letter(corner, "dark-on-light").shape) / found.shape - 1).max() < 0.1
    )


def candidate(kernel, box):
    return Candidate(kernel, np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8), box)


HERE, NEAR, THERE = (10, 10, 100, 50), (10, 10, 100, 40), (300, 10, 100, 100)


@pytest.mark.parametrize(
    ("found", "kernel"),
    [
        ([(18, HERE), (32.4, HERE), (58.3, HERE)], 32.4),  # nearest to 40, in ratio
        ([(18, HERE), (27, HERE), (61, HERE)], 27),  # 40 / 27 < 61 / 40
        ([(18, HERE), (26, HERE), (60, HERE)], 60),
        ([(18, HERE), (40, THERE), (90, HERE)], 18),  # where two agree
        ([(18, THERE), (40, NEAR), (90, HERE)], 40),  # boxes that share 0.8 are one place
        ([(90, HERE), (40, (10, 10, 100, 34)), (95, HERE)], 90),  # 0.68 are not
        ([(7, THERE)], 7),
    ],
)
def test_the_kernel_that_suits_best_is_taken_where_most_agree(found, kernel):
    assert finding._most_agreed([candidate(*each) for each in found])[1].kernel == kernel
    assert finding._most_agreed([]) == (0.0, None)


@pytest.mark.parametrize(("left", "top"), [(200, 1500), (1500, 200)])
def test_a_small_letter_off_the_middle_is_searched_for_where_it_is(left, top):
    picture = np.full((2000, 2000), 230, np.uint8)
    picture[top : top + 80, left : left + 80] = cross(80, 80, 12)
    found = find_letter(picture, "dark-on-light")
    expected = find_letter(cross(200, 80, 12), "dark-on-light")
    assert found.shape == pytest.approx(expected.shape, abs=2)
    assert found.mean() == pytest.approx(expected.mean(), rel=0.1)


def test_ink_that_is_found_keeps_its_darkness():
    """Pencil and ink in one letter: each has the share of light that it takes."""
    picture = cross(300, 200, 20)
    for level in (30, 60, 90, 120, 150):
        picture[50:250, 140:160][30:50] = level
        found = find_letter(picture, "dark-on-light")
        assert found.shape == pytest.approx((200, 200), abs=2)
        assert found[36:44, 95:105].mean() == pytest.approx(255 * (1 - level / 230), abs=6)
        assert found[150:190, 95:105].mean() == pytest.approx(255 * (1 - 30 / 230), abs=6)
