"""The accuracy of each group of images, such as those of one writer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class GroupScore:
    """How many of a group's images were read right."""

    group: int
    images: int
    hits: int

    @property
    def accuracy(self) -> float:
        return self.hits / self.images


def per_group(correct: np.ndarray, groups: np.ndarray) -> list[GroupScore]:
    """Return the score of each group that occurs, the worst first, ties in order of the groups.

    correct: (N,) bool, which images were read right. groups: (N,) integers.
    """
    names, places = np.unique(groups, return_inverse=True)
    images = np.bincount(places, minlength=len(names))
    hits = np.bincount(places, weights=correct, minlength=len(names)).astype(np.int64)
    columns = names.tolist(), images.tolist(), hits.tolist()
    scores = [GroupScore(*row) for row in zip(*columns, strict=True)]
    return sorted(scores, key=lambda each: each.accuracy)


def deviation(scores: Sequence[GroupScore]) -> float:
    """Return the sample deviation of the groups' accuracies; NaN for fewer than two groups."""
    if len(scores) < 2:
        return float("nan")
    return float(np.std([each.accuracy for each in scores], ddof=1))
