"""The loss: softmax and cross-entropy as one, for their gradient together is p - t."""

import numpy as np

from lenet_xp.ops import Array, Ops
from lenet_xp.ops.reference import LossPlace

MAX_GAP = 1e-3  # by which the targets of an image may miss 1 in sum: of float16 they do


class SoftmaxCrossEntropy:
    """Mean of -log p_label over a batch, p = softmax(logits).

    With targets t, distributions over the classes, it is the mean of -sum(t log p).
    """

    def __init__(self, ops: Ops):
        self.ops = ops

    def __call__(
        self,
        logits: Array,
        labels: Array,
        scale: float | None = None,
        into: LossPlace | None = None,
        targets: Array | None = None,
    ) -> tuple[Array, Array, Array]:
        """Losses (N,), hits (N,) of 0 or 1, and dlogits (K, N) of scale * sum(losses).

        logits (K, N), labels (N,) int64 that passed `check_labels`. scale is 1 / N, the mean over
        the batch, unless the batch is a part of a larger one. into: where losses and hits go, as
        `ops.softmax_cross_entropy` has it. targets: (K, N) in the dtype of the logits, which passed
        `check_targets`, such as smoothed labels or another network's probabilities.
        """
        if scale is None:
            scale = 1.0 / logits.shape[1]
        return self.ops.softmax_cross_entropy(logits, labels, scale, into, targets)


def check_labels(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Host labels (N,) as int64; ValueError unless they are integers in [0, num_classes).

    Checked once, on the host, for an index out of range wraps around silently on a GPU.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels must be a vector of integers, not {labels.ndim}-d {labels.dtype.name}"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        wrong = labels[(labels < 0) | (labels >= num_classes)][0]
        raise ValueError(f"label {wrong} is outside 0 .. {num_classes - 1}")
    return labels.astype(np.int64, copy=False)


def check_targets(targets: np.ndarray, num_classes: int, count: int) -> np.ndarray:
    """Host targets (K, N) as float64; ValueError unless each column is a distribution.

    Its numbers are finite and not negative, and their sum is 1 to MAX_GAP.
    """
    targets = np.asarray(targets)
    if targets.shape != (num_classes, count) or targets.dtype.kind not in "biuf":
        wanted = f"numbers ({num_classes} classes, {count} images)"
        raise ValueError(f"targets must be {wanted}, not {targets.dtype.name} {targets.shape}")
    targets = targets.astype(np.float64, copy=False)
    if not np.isfinite(targets).all() or (targets < 0).any():
        raise ValueError("targets must be finite and not negative")
    sums = targets.sum(axis=0)
    for image in np.flatnonzero(np.abs(sums - 1) > MAX_GAP)[:1]:
        raise ValueError(f"the targets of image {image} add up to {sums[image]:.6g}, not to 1")
    return targets
