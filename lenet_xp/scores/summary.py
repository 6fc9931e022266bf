"""All that is said in numbers about a tested network, in one dictionary for the records."""

from typing import Any

import numpy as np

from lenet_xp.scores.calibration import (
    apply_temperature,
    brier_score,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
)
from lenet_xp.scores.intervals import bootstrap_interval, wilson_interval
from lenet_xp.scores.metrics import (
    accuracy,
    confusion_matrix,
    cross_entropy,
    deviation,
    macro_f1,
    per_group,
    top_k_accuracy,
)
from lenet_xp.scores.rejection import coverage_at, rejection_curve, risk_coverage_area

TARGETS = (0.995, 0.999)  # accuracies to reach by refusing the least certain images


def judge(
    labels: np.ndarray,
    probabilities: np.ndarray,
    temperature: float = 1.0,
    groups: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return the scores of (N, C) probabilities, as trained, against (N,) labels, by name.

    What depends on the probabilities' size is given before and after the temperature ("_scaled");
    the coverages are of the scaled ones, which a user sees. groups: (N,) writers of the images,
    if known; two at least add what can be said of writers.
    """
    classes = probabilities.shape[1]
    correct = probabilities.argmax(axis=1) == labels
    scaled = apply_temperature(probabilities, temperature)
    curve = rejection_curve(scaled, labels)
    scores = {
        "accuracy": accuracy(labels, probabilities.argmax(axis=1)),
        "accuracy_interval": wilson_interval(int(correct.sum()), len(labels)),
        "macro_f1": macro_f1(confusion_matrix(labels, probabilities.argmax(axis=1), classes)),
        "top_3_accuracy": top_k_accuracy(probabilities, labels, min(3, classes)),
    }
    for suffix, each in (("", probabilities), ("_scaled", scaled)):
        scores[f"loss{suffix}"] = cross_entropy(each, labels)
        scores |= {f"{name}{suffix}": score for name, score in calibration(each, labels).items()}
    scores["risk_coverage_area"] = risk_coverage_area(curve)
    for target in TARGETS:
        scores[f"coverage_at_{target}"] = coverage_at(curve, target)
    return scores | (_of_writers(correct, groups) if groups is not None else {})


def calibration(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the expected ("ece") and maximum ("mce") calibration error and the Brier score."""
    curve = reliability(probabilities, labels)
    return {
        "ece": expected_calibration_error(curve),
        "mce": maximum_calibration_error(curve),
        "brier_score": brier_score(probabilities, labels),
    }


def _of_writers(correct: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    scores = per_group(correct, groups)
    if len(scores) < 2:
        return {}
    return {
        "writers": len(scores),
        "writer_accuracy_interval": bootstrap_interval(correct, groups),
        "writer_accuracy_deviation": deviation(scores),
        "worst_writer_accuracy": scores[0].accuracy,
    }
