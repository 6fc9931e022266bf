"""Words begin at the wide ones of a line's gaps, whatever the letters' own gaps are."""

import numpy as np
import pytest

from lenet_xp.pages.spaces import spaces


def begins(*gaps, height=100):
    """Which letters of a line with these gaps, in line heights, begin a word."""
    left = np.concatenate([[0], np.cumsum(np.array(gaps) * height + 50)])
    boxes = np.stack([left, 0 * left, left + 50, 0 * left + height], axis=1)
    return np.flatnonzero(spaces(boxes, height)).tolist()


@pytest.mark.parametrize(
    ("within", "between"), [((0.02, 0.06, 0.12), 0.3), ((0.1, 0.2), 0.5), ((0.4, 0.6), 1.4)]
)
def test_a_word_begins_after_a_gap_that_is_wide_for_its_line(within, between):
    gaps = [*within, *within, between, *within, *within]
    assert begins(*gaps) == [2 * len(within) + 1]
    assert begins(*gaps, between, *within)[1:] == [4 * len(within) + 2]


@pytest.mark.parametrize("least", [0.03, 0.1, 0.25])
def test_letters_at_uneven_gaps_are_one_word(least):
    rng = np.random.default_rng(0)
    assert not any(begins(*rng.uniform(least, 2.4 * least, 7)) for _ in range(100))


def test_two_gaps_show_no_rule_and_only_a_line_height_counts():
    assert begins(0.9, 1.1) == [2] and begins(0.1, 0.4) == []
    assert begins(1.2) == [1] and begins() == []
