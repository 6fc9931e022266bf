"""Every score of a network's answers to labelled images, each computed once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lenet_xp.scores import metrics
from lenet_xp.scores.calibration import Reliability, apply_temperature, errors_of, reliability
from lenet_xp.scores.intervals import bootstrap_interval, wilson_interval
from lenet_xp.scores.rejection import RejectionCurve, rejection_curve

TARGETS = (0.995, 0.999)  # accuracies: to be reached by refusing the least certain images
MAX_PAIRS = 50  # confused pairs: that are listed


@dataclass(frozen=True, eq=False)
class Scores:
    """A network's answers to labelled images; each score is computed when it is first read.

    labels: (N,) class indices. probabilities: (N, C) float, as trained. class_names: C names.
    temperature: of the model, 1 for none. groups: (N,) integers, the images' writers, if known.
    Metrics use the probabilities as trained; the rejection curve uses the scaled probabilities,
    which a user sees.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    class_names: Sequence[str]
    temperature: float = 1.0
    groups: np.ndarray | None = None

    @cached_property
    def predictions(self) -> np.ndarray:
        """The most probable class of each image, (N,)."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def correct(self) -> np.ndarray:
        """Which images were read right: (N,) bool."""
        return np.asarray(self.predictions == self.labels)

    @cached_property
    def scaled(self) -> np.ndarray:
        """The probabilities at the temperature, (N, C)."""
        return apply_temperature(self.probabilities, self.temperature)

    @cached_property
    def doubtful(self) -> np.ndarray:
        """The images that were read wrong, the one with the least probable label first."""
        errors = np.flatnonzero(~self.correct)
        return errors[np.argsort(self.probabilities[errors, self.labels[errors]], kind="stable")]

    @cached_property
    def confusion(self) -> np.ndarray:
        """Confusion matrix (C, C) int64, rows true, columns predicted."""
        return metrics.confusion_matrix(self.labels, self.predictions, len(self.class_names))

    @cached_property
    def per_class(self) -> list[metrics.ClassScores]:
        """Precision, recall, F1 and support of each class, in class order."""
        return metrics.per_class(self.confusion, self.class_names)

    @cached_property
    def macro_f1(self) -> float:
        """The mean F1 over the classes that occur."""
        return metrics.macro_f1(self.per_class, self.confusion)

    @cached_property
    def pairs(self) -> list[metrics.ConfusedPair]:
        """The most frequent errors, at most 50, the most frequent first."""
        return metrics.confused_pairs(self.confusion, self.class_names, MAX_PAIRS)

    @cached_property
    def accuracy_interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy, from independent images."""
        return wilson_interval(int(self.correct.sum()), len(self.labels))

    @cached_property
    def calibration(self) -> Reliability:
        """The reliability diagram of the probabilities as trained."""
        return reliability(self.probabilities, self.labels)

    @cached_property
    def calibration_scaled(self) -> Reliability:
        """The reliability diagram of the scaled probabilities."""
        return reliability(self.scaled, self.labels)

    @cached_property
    def rejection(self) -> RejectionCurve:
        """Accuracy against coverage, of the scaled probabilities."""
        return rejection_curve(self.scaled, self.labels)

    @cached_property
    def per_group(self) -> list[metrics.GroupScore] | None:
        """The score of each writer, the worst first; None if writers are unknown."""
        return None if self.groups is None else metrics.per_group(self.correct, self.groups)


def summarise(scores: Scores) -> dict[str, Any]:
    """Return the scores as plain values by name, for a record.

    Scores that the temperature changes are given for both probabilities, "_scaled" at the
    temperature. Scores of writers are given if there are at least two.
    """
    labels = scores.labels
    summary: dict[str, Any] = {
        "accuracy": float(scores.correct.mean()),
        "accuracy_interval": scores.accuracy_interval,
        "macro_f1": scores.macro_f1,
        "top_3_accuracy": metrics.top_k_accuracy(scores.probabilities, labels, 3),
    }
    for suffix, probabilities in (("", scores.probabilities), ("_scaled", scores.scaled)):
        curve = scores.calibration_scaled if suffix else scores.calibration
        errors = errors_of(curve, probabilities, labels)
        summary[f"loss{suffix}"] = metrics.cross_entropy(probabilities, labels)
        summary |= {f"{name}{suffix}": value for name, value in errors.items()}
    summary["risk_coverage_area"] = scores.rejection.risk_coverage_area()
    for target in TARGETS:
        summary[f"coverage_at_{target}"] = scores.rejection.coverage_at(target)
    writers = scores.per_group or []
    if scores.groups is not None and len(writers) > 1:
        summary["writers"] = len(writers)
        summary["writer_accuracy_interval"] = bootstrap_interval(scores.correct, scores.groups)
        summary["writer_accuracy_deviation"] = metrics.deviation(writers)
        summary["worst_writer_accuracy"] = writers[0].accuracy
    return summary
