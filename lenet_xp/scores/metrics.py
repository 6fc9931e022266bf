"""Scores of a classifier as pure functions of arrays; labels are class indices from 0 to C-1."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class, each from 0 to 1; `support` is the number of its images."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class ConfusedPair:
    """`count` images of class `true` were read as class `predicted`: a share (0 to 1) of `true`."""

    true: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True)
class GroupScore:
    """How many images a group (a writer) has, and how many of them were read right (`hits`)."""

    group: int
    images: int
    hits: int

    @property
    def accuracy(self) -> float:
        return self.hits / self.images


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of -log p over the (N,) labels; a p below 1e-30 counts as 1e-30."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(0.0 - np.log(np.maximum(chosen, 1e-30)).mean())


def top_k_accuracy(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Return the share of (N,) labels among the k largest of (N, C) probabilities; 0 for no images.

    Equal probabilities rank in class order, as in argmax, unlike in scikit-learn.
    """
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float(np.mean(np.any(best == labels[:, None], axis=1))) if len(labels) else 0.0


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Return counts (C, C) int64 of (N,) labels, the rows, against (N,) predictions, the columns.

    Raises ValueError for an index outside 0 to C-1.
    """
    cells = np.ravel_multi_index((labels, predictions), (num_classes, num_classes))
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def per_class(confusion: np.ndarray, class_names: Sequence[str]) -> list[ClassScores]:
    """Return precision, recall, F1 and support of each class, in class order.

    confusion: (C, C) counts, rows true. A score that would divide by zero is 0.
    """
    hits, read, support = np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    pairs = ((hits, read), (hits, support), (2 * hits, read + support))
    columns = [*(part / np.maximum(whole, 1) for part, whole in pairs), support]
    rows = zip(class_names, *(column.tolist() for column in columns), strict=True)
    return [ClassScores(*row) for row in rows]


def macro_f1(scores: Sequence[ClassScores], confusion: np.ndarray) -> float:
    """Return the mean F1 over the classes that occur, as a label or as a prediction; 0 for none.

    scores: of every class. confusion: (C, C) counts.
    """
    occurs = confusion.any(axis=0) | confusion.any(axis=1)
    f1 = np.array([each.f1 for each in scores])[occurs]
    return float(f1.mean()) if len(f1) else 0.0


def confused_pairs(
    confusion: np.ndarray, class_names: Sequence[str], top: int = 10
) -> list[ConfusedPair]:
    """Return the `top` most frequent errors, the most frequent first, ties in class order.

    confusion: (C, C) counts, rows true. Pairs that never occur are left out.
    """
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    errors = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-errors, axis=None, kind="stable")[:top]
    rows, columns = np.unravel_index(order, errors.shape)
    return [
        ConfusedPair(class_names[i], class_names[j], int(errors[i, j]), float(share[i, j]))
        for i, j in zip(rows, columns, strict=True)
        if errors[i, j] > 0
    ]


def per_group(correct: np.ndarray, groups: np.ndarray) -> list[GroupScore]:
    """Return the score of each group that occurs, the worst first, ties in the groups' order.

    correct: (N,) bool, which images were read right. groups: (N,) integers.
    """
    names, places = np.unique(groups, return_inverse=True)
    columns = names, np.bincount(places), np.bincount(places[correct], minlength=len(names))
    scores = [GroupScore(*row) for row in zip(*map(np.ndarray.tolist, columns), strict=True)]
    return sorted(scores, key=lambda each: each.accuracy)


def deviation(scores: Sequence[GroupScore]) -> float:
    """Return the sample standard deviation of the accuracies of two groups or more."""
    return float(np.std([each.accuracy for each in scores], ddof=1))
