"""Scores of a classifier, as pure functions of arrays. Labels are class indices from 0 to C-1."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class, each from 0 to 1; `support` counts its true images."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class ConfusedPair:
    """How often images of the class `true` were read as `predicted`; `share` is of all its images.

    Both classes are given by name.
    """

    true: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True)
class GroupScore:
    """How many of a group's images were read right."""

    group: int
    images: int
    hits: int

    @property
    def accuracy(self) -> float:
        return self.hits / self.images


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Return the share of the (N,) predictions that equal the (N,) labels; 0 for no images."""
    return float(np.mean(labels == predictions)) if len(labels) else 0.0


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log p of the labels; probabilities that underflowed to 0 count as 1e-30."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(0.0 - np.log(np.maximum(chosen, 1e-30)).mean())


def top_k_accuracy(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Return how large a share of (N,) labels is among the k best of (N, C) probabilities.

    Equal probabilities rank in class order, as argmax has it; 0 for no images. Not scikit-learn's
    top_k_accuracy_score: it ranks equal ones the other way, and refuses NaN and two classes.
    """
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float(np.mean(np.any(best == labels[:, None], axis=1))) if len(labels) else 0.0


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Count (N,) labels against (N,) predictions: (C, C) int64, rows true, columns predicted.

    Raises ValueError for an index outside 0 to C-1, which scikit-learn would leave out.
    """
    from sklearn.metrics import confusion_matrix as count

    for indices in (labels, predictions):
        if len(indices) and not 0 <= np.min(indices) <= np.max(indices) < num_classes:
            raise ValueError(f"class indices must lie in 0 to {num_classes - 1}")
    if not len(labels):  # which scikit-learn refuses
        return np.zeros((num_classes, num_classes), np.int64)
    confusion: np.ndarray = count(labels, predictions, labels=range(num_classes))
    return confusion


def per_class(
    labels: np.ndarray, predictions: np.ndarray, class_names: Sequence[str]
) -> list[ClassScores]:
    """Return precision, recall, F1 and support of each class, in class order.

    labels and predictions: (N,). A score that would divide by zero is 0.
    """
    from sklearn.metrics import precision_recall_fscore_support

    if not len(labels):
        return [ClassScores(name, 0.0, 0.0, 0.0, 0) for name in class_names]
    columns = precision_recall_fscore_support(
        labels, predictions, labels=range(len(class_names)), zero_division=0
    )
    rows = zip(class_names, *(column.tolist() for column in columns), strict=True)
    return [ClassScores(*row) for row in rows]


def macro_f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Return the mean F1 over the classes that occur, as a label or as a prediction.

    labels and predictions: (N,). 0 for no images.
    """
    from sklearn.metrics import f1_score

    if not len(labels):
        return 0.0
    return float(f1_score(labels, predictions, average="macro", zero_division=0))


def confused_pairs(
    confusion: np.ndarray, class_names: Sequence[str], top: int = 10
) -> list[ConfusedPair]:
    """Return the `top` most frequent errors, most frequent first, ties in class order.

    confusion: (C, C) counts, rows true. Pairs that never occurred are left out.
    """
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    errors = confusion.copy()
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:top]
    rows, columns = np.unravel_index(order, errors.shape)
    return [
        ConfusedPair(class_names[i], class_names[j], int(errors[i, j]), float(share[i, j]))
        for i, j in zip(rows, columns, strict=True)
        if errors[i, j] > 0
    ]


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
