"""What is gained when the least certain images are refused: accuracy against coverage.

The risk-coverage curve of El-Yaniv and Wiener 2010, by the top probability, as Geifman and
El-Yaniv 2017 have it for networks.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RejectionCurve:
    """One point for each top probability that occurs, the most certain first.

    thresholds: (P,) falling; images of at least this top probability are answered, others refused.
    coverage: (P,) the share of all images that is answered. accuracy: (P,) of those answered.
    """

    thresholds: np.ndarray
    coverage: np.ndarray
    accuracy: np.ndarray


def rejection_curve(probabilities: np.ndarray, labels: np.ndarray) -> RejectionCurve:
    """Answer more and more of the images of (N, C) probabilities, the most certain first.

    labels: (N,). Images of the same top probability are one point: no threshold parts them.
    """
    top = np.nan_to_num(probabilities.max(axis=1, initial=0.0))
    order = np.argsort(-top, kind="stable")
    right = (probabilities.argmax(axis=1) == labels)[order] if len(labels) else np.zeros(0)
    top = top[order]
    last = np.flatnonzero(np.append(top[1:] != top[:-1], len(top) > 0))  # of each probability
    answered = last + 1
    return RejectionCurve(top[last], answered / len(labels), np.cumsum(right)[last] / answered)


def risk_coverage_area(curve: RejectionCurve) -> float:
    """Return the mean error over all coverages: the area under the risk-coverage curve.

    0 is perfect. Equals the mean, over the images, of the error among those at least as certain.
    """
    widths = np.diff(curve.coverage, prepend=0.0)
    return float(np.sum((1 - curve.accuracy) * widths))


def coverage_at(curve: RejectionCurve, accuracy: float) -> float:
    """Return the largest share of images that can be answered with at least that accuracy.

    0 where no threshold reaches it. Found on the images it is told of, so it is a little too good.
    """
    return float(curve.coverage[curve.accuracy >= accuracy].max(initial=0.0))
