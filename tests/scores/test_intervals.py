"""The intervals agree with published values, their equation, and every resample there can be."""

from itertools import product
from statistics import NormalDist

import numpy as np
import pytest

from lenet_xp.scores.intervals import bootstrap_interval, wilson_interval

# Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3
PUBLISHED = (
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0, 0.1611),
    (1, 29, 0.0061, 0.1718),
)


@pytest.mark.parametrize(("hits", "count", "low", "high"), PUBLISHED)
def test_wilson_gives_the_published_values(hits, count, low, high):
    assert wilson_interval(hits, count) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_wilson_ends_lie_z_deviations_from_the_share(level):
    """They are the roots of (share - p)^2 = z^2 p (1 - p) / count."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    for count in (1, 7, 5148):
        for hits in {0, 1, count // 2, count - 1, count}:
            share, spread = hits / count, z * z / count
            roots = np.sort(np.roots([1 + spread, -2 * share - spread, share**2]).real)
            assert wilson_interval(hits, count, level) == pytest.approx(tuple(roots), abs=1e-9)


def test_wilson_at_the_ends():
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(0, 50)[0] == 0.0 and wilson_interval(50, 50)[1] == 1.0
    with pytest.raises(ValueError, match="not be greater"):
        wilson_interval(6, 5)


def test_bootstrap_finds_the_percentiles_of_every_resample_there_can_be():
    """Four writers of unlike size have 256 resamples, all counted here, image by image."""
    groups = np.repeat([3, 7, 11, 12], [2, 10, 5, 3])
    correct = np.ones(20, dtype=bool)
    correct[[0, 1, 4, 6, 13, 17, 18]] = False
    exact = []
    for drawn in product((3, 7, 11, 12), repeat=4):
        exact.append(np.concatenate([correct[groups == name] for name in drawn]).mean())
    for level in (0.5, 0.9):
        ends = np.array(bootstrap_interval(correct, groups, level))
        below = np.array([np.mean(exact < end - 1e-9) for end in ends])
        reached = np.array([np.mean(exact <= end + 1e-9) for end in ends])
        tails = np.array([(1 - level) / 2, (1 + level) / 2])
        assert (below - 0.02 < tails).all() and (tails < reached + 0.02).all()


def test_bootstrap_agrees_with_a_loop_over_resamples_and_is_seeded():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 60, 3000)  # of unlike size
    ease = rng.uniform(0.85, 1, 60)
    correct = rng.random(3000) < ease[groups]
    images, hits = np.bincount(groups), np.bincount(groups, weights=correct)
    drawn = []
    for _ in range(10_000):
        chosen = rng.integers(0, 60, 60)
        drawn.append(hits[chosen].sum() / images[chosen].sum())
    expected = np.quantile(drawn, (0.025, 0.975))
    ends = bootstrap_interval(correct, groups)
    assert ends == pytest.approx(tuple(expected), abs=0.05 * np.ptp(expected))
    assert ends == bootstrap_interval(correct, groups)
    assert ends != bootstrap_interval(correct, groups, seed=1)


def test_writers_who_differ_widen_the_interval():
    groups = np.repeat(np.arange(20), 100)
    correct = np.arange(2000) % 100 < np.where(groups < 4, 50, 100)
    low, high = bootstrap_interval(correct, groups)
    naive = wilson_interval(int(correct.sum()), len(correct))
    assert high - low > 3 * (naive[1] - naive[0])


def test_two_writers_say_something_of_others():
    """Both twice, one of each, in one, two and one of four resamples: accuracies 0.2, 0.5, 0.8."""
    correct, groups = np.arange(20) % 10 < np.repeat([2, 8], 10), np.repeat([4, 9], 10)
    assert bootstrap_interval(correct, groups) == pytest.approx((0.2, 0.8))
    assert bootstrap_interval(correct, groups, level=0.4) == pytest.approx((0.5, 0.5))


def test_one_writer_says_nothing_of_others():
    with pytest.raises(ValueError, match="two groups"):
        bootstrap_interval(np.ones(9, dtype=bool), np.zeros(9, dtype=np.int64))
