"""The loss of a batch, its parts, and the check of the labels."""

import numpy as np
import oracle
import pytest
from tolerances import FINITE_DIFFERENCE, assert_close, error

from lenet_xp.losses import SoftmaxCrossEntropy, check_labels, check_targets

RNG = np.random.default_rng(8)
LOGITS, LABELS = RNG.normal(size=(6, 5)) * 3, RNG.integers(0, 5, 6)
TARGETS = RNG.dirichlet(np.ones(5), 6)


@pytest.mark.parametrize("targets", (None, TARGETS))
def test_mean_over_the_batch(ops, targets):
    losses, hits, gradient = oracle.cross_entropy(LOGITS, LABELS, targets)
    loss, soft = SoftmaxCrossEntropy(ops), None if targets is None else ops.asarray(targets.T)
    got = loss(ops.asarray(LOGITS.T), ops.asarray(LABELS), targets=soft)
    for actual, desired in zip(got, (losses, hits, gradient.T / 6), strict=True):
        assert_close(ops, actual, desired)


@pytest.mark.parametrize("targets", (None, TARGETS))
def test_finite_differences(ops64, targets):
    loss, soft = SoftmaxCrossEntropy(ops64), None if targets is None else ops64.asarray(targets.T)
    labels = ops64.asarray(LABELS)

    def mean(logits):
        return ops64.to_host(loss(ops64.asarray(logits), labels, targets=soft)[0]).mean()

    gradient = ops64.to_host(loss(ops64.asarray(LOGITS.T), labels, targets=soft)[2])
    assert error(gradient, oracle.gradient(mean, LOGITS.T)) < FINITE_DIFFERENCE


def test_parts_of_a_batch_make_the_whole(ops):
    loss = SoftmaxCrossEntropy(ops)
    whole = loss(ops.asarray(LOGITS.T), ops.asarray(LABELS))
    for part in (slice(0, 2), slice(2, 6)):
        some = loss(ops.asarray(LOGITS.T[:, part]), ops.asarray(LABELS[part]), scale=1 / 6)
        for actual, desired in zip(some, whole, strict=True):
            assert_close(ops, actual, ops.to_host(desired)[..., part])


@pytest.mark.parametrize("dtype", (np.uint8, np.int32, np.int64))
def test_labels_become_int64(dtype):
    labels = check_labels(np.array([0, 32, 5], dtype), 33)
    assert labels.dtype == np.int64 and labels.tolist() == [0, 32, 5]
    assert check_labels(np.array([], dtype), 33).shape == (0,)


@pytest.mark.parametrize(
    "labels, message",
    [
        ([0, 33, 1], r"label 33 is outside 0 .. 32"),
        ([0, -1], r"label -1 is outside 0 .. 32"),
        ([0.0, 1.0], r"vector of integers, not 1-d float64"),
        ([[0, 1]], r"vector of integers, not 2-d int64"),
        ([True, False], r"vector of integers, not 1-d bool"),
    ],
)
def test_bad_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        check_labels(np.array(labels), 33)


@pytest.mark.parametrize("dtype", (np.float16, np.float32, np.float64))
def test_targets_become_float64(dtype):
    targets = TARGETS.T.astype(dtype)
    assert np.array_equal(check_targets(targets, 5, 6), targets.astype(float))
    assert check_targets(np.eye(5, 6, 1, dtype=int) + np.eye(5, 6, -4, int), 5, 6).sum() == 6
    assert check_targets(np.zeros((5, 0), dtype), 5, 0).dtype == np.float64


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.T, r"\(5, 6\), classes by images, not \(6, 5\)"),
        (lambda t: t[0], r"\(5, 6\), classes by images, not \(6,\)"),
        (lambda t: np.full((5, 6), "a fifth"), "float"),
        (lambda t: t * [1, 1, 1, np.nan, 1, 1], "numbers from 0 on"),
        (lambda t: t * [1, 1, 1, np.inf, 1, 1], "add up to 1 for each image"),
        (lambda t: t + np.array([[0.5], [-0.5], [0], [0], [0]]), "numbers from 0 on"),
        (lambda t: t * [1, 1, 0.9, 1, 1, 1], "add up to 1 for each image"),
        (lambda t: t * 100, "add up to 1 for each image"),
    ],
)
def test_bad_targets(change, message):
    targets = np.full((5, 6), 0.0125) + 0.9375 * np.eye(5, 6)
    targets[0, 5] += 0.9375
    assert check_targets(targets, 5, 6) is targets
    with pytest.raises(ValueError, match=message):
        check_targets(change(targets), 5, 6)
