"""Whether a network is right as often as its probabilities say, and one number to mend them.

The definitions are those of Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural
Networks", sections 2 and 4.2.
"""

import math
from dataclasses import dataclass

import numpy as np

BINS = 15
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0  # temperatures
HALVINGS = 50
SMALLEST = 1e-30  # counts as the probability of what underflowed to 0, as it does in the loss


@dataclass(frozen=True)
class Reliability:
    """Images in bins of equal width by their top probability, each bin (low, high].

    edges: (B + 1,) from 0 to 1. counts: (B,) int64 images. confidence and accuracy: (B,) means of
    each bin, NaN where it is empty.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """Expected (`ece`) and maximum (`mce`) calibration error, Brier score, and the bins of both."""

    ece: float
    mce: float
    brier_score: float
    bins: Reliability

    def errors(self) -> dict[str, float]:
        """The three numbers by name."""
        return {name: value for name, value in vars(self).items() if name != "bins"}


def measure_calibration(probabilities: np.ndarray, labels: np.ndarray) -> Calibration:
    """Return the calibration of (N, C) probabilities against (N,) labels."""
    curve = reliability(probabilities, labels)
    return Calibration(
        expected_calibration_error(curve),
        maximum_calibration_error(curve),
        brier_score(probabilities, labels),
        curve,
    )


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Reliability:
    """Bin (N, C) probabilities by the largest of each row, beside what (N,) labels say of it."""
    # A row that is not a number, as weights that ran away give, promises nothing.
    top = np.nan_to_num(probabilities.max(axis=1, initial=0.0))
    right = probabilities.argmax(axis=1) == labels if len(labels) else np.zeros(0)
    edges = np.linspace(0, 1, bins + 1)
    places = np.searchsorted(edges[1:-1], top)
    counts = np.bincount(places, minlength=bins)
    whole = np.where(counts == 0, np.nan, counts)
    confidence, accuracy = (
        np.bincount(places, weights=each, minlength=bins) / whole for each in (top, right)
    )
    return Reliability(edges, counts, confidence, accuracy)


def expected_calibration_error(curve: Reliability) -> float:
    """Return the mean distance of accuracy and confidence over the images; 0 for no images.

    sum over bins of (images in the bin / all images) * |accuracy - confidence|.
    """
    gaps = np.nan_to_num(np.abs(curve.accuracy - curve.confidence))
    return float(curve.counts @ gaps / max(curve.counts.sum(), 1))


def maximum_calibration_error(curve: Reliability) -> float:
    """Return the largest distance of accuracy and confidence in a bin, however few its images."""
    return float(np.nan_to_num(np.abs(curve.accuracy - curve.confidence)).max())


def brier_score(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean squared distance of (N, C) probabilities from the labels' unit vectors.

    From 0 to 2, summed over all classes, as Brier 1950 has it; 0 for no images.
    """
    chosen = probabilities[np.arange(len(labels)), labels]
    distances = np.sum(probabilities**2, axis=1) - 2 * chosen + 1
    return float(distances.mean()) if len(labels) else 0.0


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Return the logarithms (N, C), finite also where a probability underflowed to 0."""
    logits: np.ndarray = np.log(np.maximum(probabilities, SMALLEST))
    return logits


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature T for which softmax(logits / T) makes (N,) labels most likely.

    logits: (N, C), or the logarithms of probabilities, which differ from logits by a constant in
    each row. Fit it on validation images, never on those that score it.
    The negative log likelihood is convex in 1 / T, so its one minimum is found by halving between
    0.05 and 20. Where every image is read right there is none, for colder is always likelier, and
    nothing was learned of errors: the answer is then 1.
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
        if np.mean(expected - chosen) > 0:  # the derivative with respect to 1 / T
            low = middle
        else:
            high = middle
    return min(max(math.exp((low + high) / 2), MIN_TEMPERATURE), MAX_TEMPERATURE)


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return (N, C) probabilities as softmax(logits / temperature) would have given them.

    The order within a row stays: p^(1 / T), made to sum to 1. A temperature of 1 changes nothing.
    Raises ValueError for a temperature that is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"a temperature must be positive, not {temperature}")
    if temperature == 1.0:
        return probabilities
    scaled = log_probabilities(probabilities) / temperature
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf))
    normed: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return normed
