"""Layers that stand last: the fixed codes and the rubbish class of LeCun et al. 1998."""

from collections.abc import Sequence

import numpy as np

from lenet_xp.layer import Kept, Layer, whole
from lenet_xp.ops import Array, Ops

MAX_SPREAD = 1024  # codes: drawing more takes seconds
DRAWN_CODES = 64  # of which the farthest is taken


class Codes(Layer):
    """y_k = -|x - w_k|^2 for a fixed code w_k of each class: x (in, N) -> y (out, N).

    The radial basis functions of LeCun et al. 1998, section II.B, their sign turned, so that the
    likeliest class has the largest y. They have no parameters. As every w is 1 or -1,
    y = 2 w x - |x|^2 - in, and dx = 2 w dy - 2 x sum(dy).
    codes: for each class a text of # for 1 and . for -1; by default `spread_codes`.
    """

    kind = "codes"
    options = ("in_features", "out_features", "codes")
    x = Kept()

    def __init__(
        self, in_features: int, out_features: int, codes: Sequence[str] = (), name: str = ""
    ):
        self.in_features = whole("in_features", in_features)
        self.out_features = whole("out_features", out_features)
        codes = codes or spread_codes(self.out_features, self.in_features)
        if not isinstance(codes, list | tuple) or len(codes) != out_features:
            raise ValueError(f"codes must be {out_features} texts, one for each class")
        for code in codes:
            if not isinstance(code, str) or len(code) != in_features or set(code) - set("#."):
                raise ValueError(f"a code must be {in_features} of # and ., not {code!r:.40}")
        self.codes = tuple(codes)
        super().__init__(name)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if shape != (self.in_features,):
            raise ValueError(f"{self.name} takes ({self.in_features},), not {shape}")
        return (self.out_features,)

    def attach(self, ops: Ops, values: Array, gradients: Array) -> None:
        super().attach(ops, values, gradients)
        doubled = np.array([[2.0 if bit == "#" else -2.0 for bit in code] for code in self.codes])
        self.doubled, self.minus = ops.asarray(doubled), ops.asarray(np.full(doubled.shape, -1.0))
        self.length = ops.asarray(np.full(self.out_features, -float(self.in_features)))

    def forward(self, x: Array) -> Array:
        self.output_shape(x.shape[:-1])  # ValueError where x does not fit
        ops, self.x = self.ops, x
        squares = ops.matmul(self.minus, ops.multiply(x, x))
        return ops.add(ops.affine(self.doubled, x, self.length), squares)

    def backward(self, dy: Array) -> Array:
        ops = self.ops
        sums = ops.matmul(self.minus.T, dy)
        pull = ops.multiply(ops.add(self.x, self.x), sums)
        return ops.add(ops.matmul(self.doubled.T, dy), pull)


def spread_codes(count: int, length: int) -> tuple[str, ...]:
    """Codes for `count` classes, far from each other: each the farthest of many drawn ones.

    33 codes of 84 bits differ by at least 31 bits. ValueError for more than MAX_SPREAD codes.
    """
    if count > MAX_SPREAD:
        raise ValueError(f"give the codes of more than {MAX_SPREAD:,} classes yourself")
    rng = np.random.default_rng(1998)
    codes = np.where(rng.random((1, length)) < 0.5, 1.0, -1.0)
    while len(codes) < count:
        drawn = np.where(rng.random((DRAWN_CODES, length)) < 0.5, 1.0, -1.0)
        nearest = (drawn @ codes.T).max(axis=1)  # the larger, the fewer bits differ
        codes = np.vstack([codes, drawn[nearest.argmin()]])
    return tuple("".join("#" if bit > 0 else "." for bit in code) for code in codes)


class Rubbish(Layer):
    """(K, N) -> (K + 1, N): the logit -j of one more class, for what is none of the K.

    It stands last. It has no parameters: training lowers the K logits of an image that shows none
    of the K classes below -j. Source: LeCun et al. 1998, eq. 9, softmax and cross-entropy after
    `Codes` and this; the paper gives no j.
    """

    kind = "rubbish"
    options = ("j",)

    def __init__(self, j: int = 0, name: str = ""):
        self.j = whole("j", j, 0)
        super().__init__(name)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) != 1:
            raise ValueError(f"{self.name} takes (K,), not {shape}")
        return (shape[0] + 1,)

    def forward(self, x: Array) -> Array:
        return self.ops.with_row(x, -float(self.j))

    def backward(self, dy: Array) -> Array:
        return dy[:-1, :]  # the constant depends on nothing
