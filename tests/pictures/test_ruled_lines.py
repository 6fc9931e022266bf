"""Ruled lines drawn one rule at a time: what counts as one, on either side of each limit."""

import numpy as np
import pytest

from lenet_xp.pictures.ruled_lines import remove_ruled_lines


def paper(shape=(300, 400), noise=0.5):
    return np.random.default_rng(0).normal(200, noise, shape)


def freed(levels, dark=True):
    """The sheet without its lines, and how much darker than paper its rows still are."""
    whole = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    found, ruled = remove_ruled_lines(whole, dark)
    assert found.dtype == ruled.dtype == np.uint8 and found.shape == ruled.shape == levels.shape
    return found.astype(float), ruled


def lined(count, left, right, thick=2, depth=60, shape=(300, 400), first=30, step=40):
    """Paper with `count` level lines from `left` to `right`, shares of the width."""
    levels = paper(shape)
    ends = slice(int(left * shape[1]), int(right * shape[1]))
    for number in range(count):
        top = first + step * number
        levels[top : top + thick, ends] -= depth
    return levels


def is_gone(levels, dark=True):
    """Whether the lines went wholly (True), stayed (False) or something between (None)."""
    left = (200 - freed(levels, dark)[0])[20:-20].max(0)
    middle = np.median(left)
    return True if middle < 8 else False if middle > 40 else None


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("turned", [False, True])
def test_lines_both_ways_go_in_both_polarities(dark, turned):
    levels = lined(6, 0, 1)
    levels[:, 50:52] = levels[:, 50:52] * 0.7 if dark else levels[:, 50:52] - 60
    levels = levels.T if turned else levels
    found, ruled = freed(levels, dark)
    assert np.abs(found - 200).max() < 12
    marked = ruled > 0
    assert marked[levels < 160].all() and marked.mean() < 0.25


@pytest.mark.parametrize(
    ("left", "right", "gone"), [(0.1, 0.75, True), (0.2, 0.83, True), (0.2, 0.72, False)]
)
def test_a_line_covers_three_fifths_of_the_width(left, right, gone):
    levels = lined(6, left, right)
    found, _ = freed(levels)
    middle = (200 - found)[30:32, 150:250].mean()
    assert (middle < 8) == gone and (middle > 45) == (not gone)


def test_runs_of_one_line_count_together_and_all_of_them_go():
    levels = lined(6, 0, 1)
    levels[:, 100:140] = levels[:, 220:260] = paper()[:, :40]  # 80 % are left
    assert (200 - freed(levels)[0]).max() < 12
    levels = lined(6, 0, 1)
    for start in range(20, 340, 80):
        levels[:, start : start + 55] = paper()[:, :55]  # runs too short for lines
    assert (200 - freed(levels)[0]).max() > 45


@pytest.mark.parametrize(("count", "gone"), [(3, False), (4, False), (5, True), (6, True)])
def test_fewer_than_five_lines_must_reach_both_edges(count, gone):
    assert is_gone_between(lined(count, 0.1, 0.9)) == gone
    assert is_gone_between(lined(count, 0, 0.9)) == gone
    assert is_gone_between(lined(count, 0, 1))


def is_gone_between(levels):
    return bool((200 - freed(levels)[0])[:, 100:300].max() < 20)


@pytest.mark.parametrize(("end", "gone"), [(10, False), (22, True)])
def test_the_ends_of_a_line_may_be_a_quarter_as_dark(end, gone):
    levels = lined(2, 0, 1)
    for number in range(2):
        top = 30 + 40 * number
        levels[top : top + 2, :12] += 60 - end
    assert is_gone_between(levels) == gone


@pytest.mark.parametrize("ends", [(0, 1), (1, 0)])
@pytest.mark.parametrize(("length", "gone"), [(7, True), (8, False)])
def test_an_end_is_eight_pixels_long(length, gone, ends):
    """With a fifth of a line's darkness at the edge: one whole pixel more makes it 0.3 of eight."""
    faint = lined(2, 0, 1, depth=12)
    levels = lined(2, 0, 1)
    for part in (slice(0, length * ends[0]), slice(400 - length * ends[1], 400)):
        levels[:, part] = faint[:, part]
    assert is_gone_between(levels) == gone


@pytest.mark.parametrize(("side", "gone"), [(119, False), (120, True)])
def test_a_picture_of_less_than_three_runs_is_left_alone(side, gone):
    levels = lined(3, 0, 1, shape=(side, 400))
    assert is_gone_between(levels) == gone
    assert freed(levels)[1].any() == gone


@pytest.mark.parametrize(
    ("thick", "shape", "gone"),
    [
        (5, (300, 400), True),
        (16, (300, 400), False),
        (9, (1200, 1300), True),
        (30, (1200, 1300), False),
    ],
)
def test_lines_are_thin(thick, shape, gone):
    """Five pixels, or a hundredth of a large picture's side; bars are twice that and more."""
    step = shape[0] // 7
    levels = lined(6, 0, 1, thick, shape=shape, first=step // 2, step=step)
    middle = (200 - freed(levels)[0])[step // 2 + thick // 2, 200:300].mean()
    assert (middle < 12) == gone and (middle > 45) == (not gone)


@pytest.mark.parametrize(
    ("sigma", "depth", "marked"), [(0.5, 1.2, False), (0.5, 6, True), (6, 3, False)]
)
def test_a_line_that_nobody_sees_is_none(sigma, depth, marked):
    levels = lined(6, 0, 1, depth=depth) - 200 + paper(noise=sigma)
    assert freed(levels)[1].any() == marked


def test_a_bent_line_is_followed_and_ink_off_it_stays():
    rows, columns = np.arange(300)[:, None], np.arange(400)
    levels = paper()
    levels[100:104, 150:200] = 80  # a bar between two lines,
    levels[60:200, 260:266] = 80  # and one across them
    for top in range(30, 280, 40):
        bend = top + 6 * ((columns - 200) / 200) ** 2 + 0.01 * columns
        levels *= 1 - 0.3 * np.clip(1.5 - np.abs(rows - bend), 0, 1)
    found, _ = freed(levels)
    assert (found[101:103, 155:195] < 100).all() and (found[65:195, 262:264] < 110).all()
    found[96:108, 145:205] = found[55:205, 252:274] = 200
    assert (200 - found).reshape(300, 20, 20).mean(2).max() < 8


def test_the_light_that_a_line_takes_is_a_share_on_paper_and_a_sum_on_a_blackboard():
    """Ink under the line keeps its own darkness, computed here pixel by pixel."""
    plain = paper(noise=0)
    plain[60:240, 195:205] = 90
    for dark in (True, False):
        levels = plain.copy()
        for top in range(30, 280, 40):
            levels[top : top + 2] = (
                plain[top : top + 2] * 0.7 if dark else plain[top : top + 2] - 50
            )
        found, _ = freed(levels, dark)
        assert np.abs(found - plain).max() <= 4


@pytest.mark.parametrize(("count", "gone"), [(3, False), (4, False), (5, True)])
def test_a_line_in_pieces_counts_once(count, gone):
    """Bars of letters, each broken twice, are as few as they are."""
    levels = lined(count, 0.05, 0.95)
    levels[:, 120:150] = levels[:, 250:280] = paper()[:, :30]
    assert is_gone_between(levels) == gone
