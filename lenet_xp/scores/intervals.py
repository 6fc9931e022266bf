"""Confidence intervals of an accuracy that was measured on finitely many images."""

import numpy as np

LEVEL = 0.95  # confidence level
RESAMPLES = 10_000  # bootstrap samples
BATCH = 500  # bootstrap samples: drawn at once, to bound the memory for thousands of groups


def wilson_interval(hits: int, count: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of an accuracy of `hits` in `count` independent images; (0, 1) for none.

    Images of one writer are not independent, so `bootstrap_interval` resamples writers.
    Raises ValueError for more hits than images. Source: Wilson 1927, JASA 22, 209-212, without
    continuity correction.
    """
    from scipy.stats import binomtest

    if count == 0:
        return 0.0, 1.0
    ends = binomtest(hits, count).proportion_ci(level, method="wilson")
    return float(ends.low), float(ends.high)


def bootstrap_interval(
    correct: np.ndarray, groups: np.ndarray, level: float = LEVEL, seed: int = 0
) -> tuple[float, float]:
    """Return the interval of the accuracy when whole groups (writers) are resampled.

    correct: (N,) bool, which images were read right. groups: (N,) integers. G groups are drawn with
    replacement from the G groups, 10,000 times; the interval lies between percentiles of the
    accuracies of their images. With few groups it is somewhat too narrow.
    Raises ValueError for fewer than two groups, which do not show how groups differ.
    Source: Efron and Tibshirani 1993, chapter 13; Davison and Hinkley 1997, section 3.8.
    """
    from scipy.stats import bootstrap

    names, places = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"the interval needs at least two groups, not {len(names)}")
    ends = bootstrap(
        (np.bincount(places, weights=correct), np.bincount(places)),
        lambda hits, images, axis: hits.sum(axis) / images.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=BATCH,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(ends.low), float(ends.high)
