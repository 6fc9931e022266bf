"""The losses: softmax and cross-entropy as one, for their gradient together is p - t; eq. 8."""

import numpy as np

from lenet_xp.ops import Array, Ops
from lenet_xp.ops.reference import Place


class SoftmaxCrossEntropy:
    """Mean over a batch of -log p_label, or -sum(t log p) with targets t; p = softmax(logits).

    After `Codes` and `Rubbish(j)` this is eq. 9 of LeCun et al. 1998. compete: if not, the loss is
    -logit of the label: after `Codes` their eq. 8, |f - w|^2. rivals: a hit is a label whose logit
    is the largest of the first so many; by default of all.
    """

    def __init__(self, ops: Ops, compete: bool = True, rivals: int | None = None):
        self.ops, self.compete, self.rivals = ops, compete, rivals

    def __call__(
        self,
        logits: Array,
        labels: Array,
        scale: float | None = None,
        into: Place = None,
        targets: Array = None,
    ) -> tuple[Array, Array, Array]:
        """Losses (N,), hits (N,) of 0 or 1, and dlogits (K, N) of scale * sum(losses).

        logits (K, N), labels (N,) int64 that passed `check_labels`. scale is 1 / N, the mean over
        the batch, unless the batch is a part of a larger one. into: where losses and hits go, as
        `ops.softmax_cross_entropy` has it; targets (K, N), too, which passed `check_targets`.
        """
        if scale is None:
            scale = 1.0 / logits.shape[1]
        return self.ops.softmax_cross_entropy(
            logits, labels, scale, into, targets, compete=self.compete, rivals=self.rivals
        )


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
    """Host targets (K, N) as float64; ValueError unless each column is a distribution, to 0.001."""
    targets, shape = np.asarray(targets, np.float64), (num_classes, count)
    if targets.shape != shape:
        raise ValueError(f"targets must be {shape}, classes by images, not {targets.shape}")
    if not (targets >= 0).all() or (np.abs(targets.sum(axis=0) - 1) > 1e-3).any():
        raise ValueError("targets must be numbers from 0 on, and add up to 1 for each image")
    return targets
