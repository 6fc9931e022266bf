"""How well a network's probabilities match its accuracy, and the temperature that calibrates them.

Definitions: Guo et al. 2017, "On Calibration of Modern Neural Networks", sections 2 and 4.2.
"""

import math
from dataclasses import dataclass

import numpy as np

BINS = 15  # bins of equal width: of the top probability
MIN_TEMPERATURE = 0.05  # of a model
MAX_TEMPERATURE = 20.0  # of a model
HALVINGS = 50  # bisection steps: they leave a relative error of 5e-15
MIN_PROBABILITY = 1e-30  # what a probability that underflowed to 0 counts as, as in the loss


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: images in bins (low, high] of equal width by their top probability.

    edges: (B + 1,) from 0 to 1. counts: (B,) int64 images. confidence, accuracy: (B,) the mean top
    probability and the share read right in each bin, NaN where it is empty.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Reliability:
    """Return the reliability diagram of (N, C) probabilities and (N,) labels."""
    # A row of NaN, which diverged weights give, counts as a confidence of 0.
    top = np.nan_to_num(probabilities.max(axis=1, initial=0.0))
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    places = np.searchsorted(edges[1:-1], top)
    counts = np.bincount(places, minlength=bins)
    divisors = np.where(counts == 0, np.nan, counts)
    means = (np.bincount(places, each, minlength=bins) / divisors for each in (top, right))
    return Reliability(edges, counts, *means)


def errors_of(curve: Reliability, rows: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the calibration errors and the Brier score of rows of probabilities by name."""
    ece, mce = expected_calibration_error(curve), maximum_calibration_error(curve)
    return {"ece": ece, "mce": mce, "brier_score": brier_score(rows, labels)}


def expected_calibration_error(curve: Reliability) -> float:
    """Return the mean |accuracy - confidence| of the bins, weighted by images; 0 for no images."""
    return float(curve.counts @ _gaps(curve) / max(curve.counts.sum(), 1))


def maximum_calibration_error(curve: Reliability) -> float:
    """Return the largest |accuracy - confidence| of a bin, however few images it holds."""
    return float(_gaps(curve).max())


def _gaps(curve: Reliability) -> np.ndarray:
    return np.asarray(np.nan_to_num(np.abs(curve.accuracy - curve.confidence)))


def brier_score(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean squared distance of (N, C) probabilities from the labels' one-hot vectors.

    From 0 to 2, summed over the classes (Brier 1950); 0 for no images.
    """
    chosen = probabilities[np.arange(len(labels)), labels]
    distances = np.sum(probabilities**2, axis=1) - 2 * chosen + 1
    return float(distances.mean()) if len(labels) else 0.0


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Return the logarithms (N, C), finite even where a probability underflowed to 0."""
    return np.asarray(np.log(np.maximum(probabilities, MIN_PROBABILITY)))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature T, 0.05 to 20, at which softmax(logits / T) fits (N,) labels best.

    logits: (N, C), or logarithms of probabilities, which differ from them by a constant per row.
    Fit it on validation images, never on the images that are scored.
    The negative log-likelihood is convex in 1 / T, so bisection finds its one minimum. If every
    image is read right there is no minimum, because a lower T always fits better: T is then 1.
    """
    logits = logits - logits.max(axis=1, keepdims=True, initial=-np.inf)
    chosen = logits[np.arange(len(labels)), labels]
    if not chosen.any():
        return 1.0
    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        weights = np.exp(logits * math.exp(-middle))
        expected = np.sum(weights * logits, axis=1) / np.sum(weights, axis=1)
        falls = np.mean(expected - chosen) > 0  # the derivative by 1 / T
        low, high = (middle, high) if falls else (low, middle)
    return min(max(math.exp((low + high) / 2), MIN_TEMPERATURE), MAX_TEMPERATURE)


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return (N, C) probabilities as softmax(logits / temperature) would give them.

    They are p^(1 / T), scaled to a sum of 1, so their order stays. A temperature of 1 changes
    nothing. Raises ValueError for a temperature that is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"a temperature must be positive, not {temperature}")
    if temperature == 1.0:
        return probabilities
    logits = log_probabilities(probabilities) / temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
