"""Calibration agrees with scikit-learn, with loops over images, and with known temperatures."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from lenet_xp.scores.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    apply_temperature,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    log_probabilities,
    maximum_calibration_error,
    reliability,
)

NONE = np.zeros((0, 4)), np.zeros(0, dtype=np.int64)


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def drawn(count: int, classes: int, scale: float = 3.0, seed: int = 0):
    """Logits, and labels drawn from their softmax: by construction calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, classes)) * scale
    # Gumbel's way to draw from a softmax
    return logits, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


@pytest.fixture(params=[33, 10, 2])
def answers(request):
    logits, labels = drawn(700, request.param)
    return softmax(1.7 * logits), labels


def naive_bins(probabilities, labels, bins):
    """(images, accuracy, confidence) of each bin (low, high], image by image."""
    found = [[] for _ in range(bins)]
    for row, label in zip(probabilities, labels, strict=True):
        top = max(row)
        for number in range(bins):
            if number / bins < top <= (number + 1) / bins:
                found[number].append((list(row).index(top) == label, top))
    return [(len(b), *np.mean(b, axis=0)) if b else (0, np.nan, np.nan) for b in found]


@pytest.mark.parametrize("bins", [15, 10, 1])
def test_errors_agree_with_a_loop_over_images(answers, bins):
    probabilities, labels = answers
    curve = reliability(probabilities, labels, bins)
    counts, accuracy, confidence = np.array(naive_bins(probabilities, labels, bins)).T
    np.testing.assert_array_equal(curve.counts, counts)
    np.testing.assert_allclose(curve.accuracy, accuracy)
    np.testing.assert_allclose(curve.confidence, confidence)
    gaps = [
        (n / len(labels) * abs(a - c), abs(a - c))
        for n, a, c in zip(counts, accuracy, confidence, strict=True)
        if n
    ]
    assert expected_calibration_error(curve) == pytest.approx(sum(g for g, _ in gaps))
    assert maximum_calibration_error(curve) == pytest.approx(max(g for _, g in gaps))


def test_reliability_agrees_with_sklearn(answers):
    probabilities, labels = answers
    correct = probabilities.argmax(axis=1) == labels
    expected = calibration_curve(correct, probabilities.max(axis=1), n_bins=15)
    curve = reliability(probabilities, labels)
    filled = curve.counts > 0
    np.testing.assert_allclose(curve.accuracy[filled], expected[0])
    np.testing.assert_allclose(curve.confidence[filled], expected[1])


def test_calibration_error_by_hand():
    # Three images say 0.9 and two are right; one says 0.6 and is wrong: 3/4 * 0.7/3 + 1/4 * 0.6.
    probabilities = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.6, 0.4]])
    curve = reliability(probabilities, np.array([0, 1, 1, 1]))
    assert expected_calibration_error(curve) == pytest.approx(0.325)
    assert maximum_calibration_error(curve) == pytest.approx(0.6)


def test_a_probability_on_an_edge_lies_in_the_lower_bin():
    curve = reliability(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 0]), bins=2)
    assert curve.counts.tolist() == [1, 1]


def test_brier_score_agrees_with_sklearn_class_by_class(answers):
    probabilities, labels = answers
    expected = sum(
        brier_score_loss(labels == k, probabilities[:, k], pos_label=True)
        for k in range(probabilities.shape[1])
    )
    assert brier_score(probabilities, labels) == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 1.9, 6.0])
@pytest.mark.parametrize("classes", [2, 33])
def test_a_known_temperature_is_found_again(temperature, classes):
    logits, labels = drawn(40_000, classes)
    assert fit_temperature(temperature * logits, labels) == pytest.approx(temperature, rel=0.03)


def test_the_temperature_is_the_one_of_least_log_loss(answers):
    probabilities, labels = answers
    fitted = fit_temperature(log_probabilities(probabilities), labels)

    def loss(temperature):
        scaled = softmax(np.log(probabilities) / temperature)
        return log_loss(labels, scaled, labels=range(probabilities.shape[1]))

    least = loss(fitted)
    assert all(least <= loss(fitted * factor) for factor in (0.5, 0.9, 0.999, 1.001, 1.1, 2))
    # It scales with the logits, and a constant added to a row of logits means nothing.
    logits = 3 * np.log(probabilities) + np.arange(len(labels))[:, None]
    assert fit_temperature(logits, labels) == pytest.approx(3 * fitted, rel=1e-6)


def test_temperature_mends_what_overconfidence_broke():
    logits, labels = drawn(20_000, 10)
    before = softmax(3 * logits)
    half = slice(0, 10_000), slice(10_000, None)
    fitted = fit_temperature(log_probabilities(before[half[0]]), labels[half[0]])
    after = apply_temperature(before[half[1]], fitted)
    errors = [
        expected_calibration_error(reliability(each, labels[half[1]]))
        for each in (before[half[1]], after)
    ]
    assert errors[0] > 0.1 and errors[1] < 0.02


def test_without_errors_there_is_nothing_to_fit():
    logits = np.eye(5) * 2
    assert fit_temperature(logits, np.arange(5)) == 1.0
    assert fit_temperature(np.zeros((9, 4)), np.zeros(9, dtype=np.int64)) == 1.0
    assert fit_temperature(*NONE) == 1.0


def test_a_network_that_knows_nothing_gets_the_highest_temperature():
    fitted = fit_temperature(np.eye(5) * 9, (np.arange(5) + 1) % 5)
    assert fitted == pytest.approx(MAX_TEMPERATURE) and fitted <= MAX_TEMPERATURE
    timid, labels = drawn(20_000, 10)
    fitted = fit_temperature(MIN_TEMPERATURE / 4 * timid, labels)
    assert fitted == pytest.approx(MIN_TEMPERATURE) and fitted >= MIN_TEMPERATURE


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_scaled_probabilities_are_those_of_scaled_logits_in_the_same_order(temperature):
    logits, _ = drawn(200, 33)
    scaled = apply_temperature(softmax(logits), temperature)
    np.testing.assert_allclose(scaled, softmax(logits / temperature), rtol=1e-9, atol=1e-29)
    np.testing.assert_array_equal(scaled.argsort(axis=1), logits.argsort(axis=1))


@pytest.mark.filterwarnings("error")
def test_extreme_probabilities_stay_finite():
    certain = np.array([[1.0, 0.0, 0.0], [0.0, 1e-44, 1.0]])
    labels = np.array([1, 0])
    for temperature in (MIN_TEMPERATURE, 1.0, MAX_TEMPERATURE):
        scaled = apply_temperature(certain, temperature)
        assert np.isfinite(scaled).all()
        np.testing.assert_allclose(scaled.sum(axis=1), 1)
    assert MIN_TEMPERATURE <= fit_temperature(log_probabilities(certain), labels) <= MAX_TEMPERATURE


@pytest.mark.filterwarnings("error")
def test_no_images_and_no_numbers():
    curve = reliability(*NONE)
    assert curve.counts.sum() == expected_calibration_error(curve) == brier_score(*NONE) == 0
    assert maximum_calibration_error(curve) == 0
    assert apply_temperature(NONE[0], 2.0).shape == (0, 4)
    curve = reliability(np.full((2, 3), np.nan), np.array([0, 1]))
    assert curve.counts[0] == 2 and curve.confidence[0] == 0


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match="positive"):
        apply_temperature(np.ones((1, 2)) / 2, temperature)
