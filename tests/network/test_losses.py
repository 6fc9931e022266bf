"""The loss of a batch, its parts, and the check of the labels."""

import numpy as np
import oracle
import pytest
from tolerances import FINITE_DIFFERENCE, assert_close, error

from lenet_xp.losses import SoftmaxCrossEntropy, check_labels

RNG = np.random.default_rng(8)
LOGITS, LABELS = RNG.normal(size=(6, 5)) * 3, RNG.integers(0, 5, 6)


def test_mean_over_the_batch(ops):
    losses, hits, gradient = oracle.cross_entropy(LOGITS, LABELS)
    loss = SoftmaxCrossEntropy(ops)
    got = loss(ops.asarray(LOGITS.T), ops.asarray(LABELS))
    for actual, desired in zip(got, (losses, hits, gradient.T / 6), strict=True):
        assert_close(ops, actual, desired)


def test_finite_differences(ops64):
    loss = SoftmaxCrossEntropy(ops64)
    labels = ops64.asarray(LABELS)

    def mean(logits):
        return ops64.to_host(loss(ops64.asarray(logits), labels)[0]).mean()

    gradient = ops64.to_host(loss(ops64.asarray(LOGITS.T), labels)[2])
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
