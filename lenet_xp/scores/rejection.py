"""Accuracy against coverage when the least certain images are refused.

Source: El-Yaniv and Wiener 2010; by the top probability as in Geifman and El-Yaniv 2017.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RejectionCurve:
    """One point per top probability that occurs, the most certain first.

    thresholds: (P,) descending; an image is answered if its top probability is at least this.
    coverage: (P,) the share of images that is answered. accuracy: (P,) of the answered images.
    """

    thresholds: np.ndarray
    coverage: np.ndarray
    accuracy: np.ndarray

    def risk_coverage_area(self) -> float:
        """Return the mean over the images of the error rate among those at least as certain."""
        return float(np.sum((1 - self.accuracy) * np.diff(self.coverage, prepend=0.0)))

    def coverage_at(self, accuracy: float) -> float:
        """Return the largest coverage that has at least `accuracy`, 0 if no threshold reaches it.

        The threshold is chosen on the same images, so the value is slightly optimistic.
        """
        return float(self.coverage[self.accuracy >= accuracy].max(initial=0.0))


def rejection_curve(probabilities: np.ndarray, labels: np.ndarray) -> RejectionCurve:
    """Return the rejection curve of (N, C) probabilities and (N,) labels.

    Images of the same top probability are one point, because no threshold separates them.
    """
    top = np.nan_to_num(probabilities.max(axis=1, initial=0.0))
    order = np.argsort(-top, kind="stable")
    right, top = (probabilities.argmax(axis=1) == labels)[order], top[order]
    last = np.flatnonzero(np.append(top[1:] != top[:-1], len(top) > 0))  # of each point
    answered = last + 1
    return RejectionCurve(top[last], answered / len(labels), np.cumsum(right)[last] / answered)
