"""The layers of LeNet-5, today's and 1998's, each with its gradient written by hand.

Read this file to see what backpropagation is. `forward` computes y from x and keeps what `backward`
will read. `backward` takes dy, the gradient of the loss with respect to y. It writes the gradients
of the layer's own parameters into `Param.gradient` and returns dx. `ops` decides how each operation
is computed, and on which device.

`layer.py` has what all layers share, `outputs.py` those that stand last. Skip both at first, and in
`Conv2D` what serves `connections`: it is for the network of 1998.

A layer also works alone: `Conv2D(1, 2, 3).forward(x)` computes on NumPy in float32, with weights
drawn from seed 0.

Shapes: images are (C, H, W, N), dense activations (features, N), with the image index N last
(ARCHITECTURE.md says why). Every array has the dtype of the ops object.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lenet_xp.layer import Kept as Kept
from lenet_xp.layer import Layer as Layer
from lenet_xp.layer import Param as Param
from lenet_xp.layer import whole
from lenet_xp.ops import Array, Ops
from lenet_xp.ops.windows import output_size
from lenet_xp.outputs import Codes as Codes
from lenet_xp.outputs import Rubbish as Rubbish


class Conv2D(Layer):
    """Convolution as im2col and one matrix product: y = W columns(x) + b.

    x (C, H, W, N) -> y (O, OH, OW, N) with OH = (H + 2 padding - KH) // stride + 1. As everywhere
    in deep learning the kernel is not flipped. weight (O, C, KH, KW), bias (O,).
    connections: for each output map the input maps that it sees, as in Table I; by default all. The
    weights between others are 0, learn nothing and are no free parameters.
    Source: LeCun et al. 1998, section II.A; Chellapilla et al. 2006 for the matrix form.
    """

    kind = "conv2d"
    options = ("in_channels", "out_channels", "kernel", "stride", "padding", "connections")
    weight: Param
    bias: Param
    mask: Array | None
    x_shape, columns, seen = Kept(), Kept(), Kept()

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int = 0,
        connections: Sequence[Sequence[int]] | None = None,
        name: str = "",
    ):
        height, width = kernel if isinstance(kernel, tuple | list) else (kernel, kernel)
        self.kernel = whole("kernel", height), whole("kernel", width)
        self.in_channels = whole("in_channels", in_channels)
        self.out_channels = whole("out_channels", out_channels)
        self.stride, self.padding = whole("stride", stride), whole("padding", padding, 0)
        self.connections = None if connections is None else self._checked(connections)
        super().__init__(name)

    def _checked(self, table: Any) -> tuple[tuple[int, ...], ...]:
        lists = isinstance(table, list | tuple) and all(isinstance(r, list | tuple) for r in table)
        if not lists or len(table) != self.out_channels or not all(table):
            raise ValueError(f"connections must be {self.out_channels} lists of input maps")
        for row in table:
            if any(type(c) is not int or not 0 <= c < self.in_channels for c in row):
                raise ValueError(f"connections must name input maps 0 .. {self.in_channels - 1}")
        return tuple(map(tuple, table))

    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        weight = (self.out_channels, self.in_channels, *self.kernel)
        return {"weight": weight, "bias": (self.out_channels,)}

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) != 3 or shape[0] != self.in_channels:
            raise ValueError(f"{self.name} takes ({self.in_channels}, H, W), not {shape}")
        rows, cols = (
            output_size(s, k, self.stride, self.padding)
            for s, k in zip(shape[1:], self.kernel, strict=True)
        )
        if min(rows, cols) < 1:
            raise ValueError(f"{self.name}: {shape} is smaller than the kernel")
        return self.out_channels, rows, cols

    def attach(self, ops: Ops, values: Array, gradients: Array) -> None:
        super().attach(ops, values, gradients)
        self.mask = None if self.connections is None else ops.asarray(self._connected())

    def _connected(self) -> np.ndarray:
        """1 for each weight (O, C, KH, KW) between maps that are connected, 0 for others."""
        connected = np.zeros((self.out_channels, self.in_channels, *self.kernel))
        for output in range(self.out_channels):
            inputs = self.connections[output] if self.connections else range(self.in_channels)
            connected[output, list(inputs)] = 1.0
        return connected

    @property
    def num_masked(self) -> int:
        return int((self._connected() == 0).sum())

    def initialise(self, rng: np.random.Generator, gain: float = 1.0) -> None:
        _initialise(self, rng, gain, self._connected().sum((1, 2, 3), keepdims=True))
        self.masked(self.weight.value, self.weight.value)

    def masked(self, weights: Array, out: Array | None = None) -> Array:
        """Weights or their gradients (O, C, KH, KW), 0 between maps that are not connected."""
        return weights if self.mask is None else self.ops.multiply(weights, self.mask, out=out)

    def forward(self, x: Array) -> Array:
        self.x_shape, y_shape = x.shape, self.output_shape(x.shape[:-1])
        self.columns = self.ops.im2col(x, self.kernel, self.stride, self.padding)
        self.seen = self.masked(self.weight.value)
        y = self.ops.affine(self._matrix(self.seen), self.columns, self.bias.value)
        return self.ops.reshape(y, (*y_shape, x.shape[-1]))

    def backward(self, dy: Array) -> Array | None:
        ops = self.ops
        dy = ops.reshape(dy, (self.out_channels, -1))
        ops.matmul(dy, self.columns.T, out=self._matrix(self.weight.gradient))
        self.masked(self.weight.gradient, self.weight.gradient)
        ops.sum_columns(dy, out=self.bias.gradient)
        if not self.input_gradient:
            return None
        dcolumns = ops.matmul(self._matrix(self.seen).T, dy)
        return ops.col2im(dcolumns, self.x_shape, self.kernel, self.stride, self.padding)

    def _matrix(self, weight: Array) -> Array:
        return self.ops.reshape(weight, (self.out_channels, -1))


class Linear(Layer):
    """Dense layer: y = W x + b, x (in, N) -> y (out, N). weight (out, in), bias (out,)."""

    kind = "linear"
    options = ("in_features", "out_features")
    weight: Param
    bias: Param
    x = Kept()

    def __init__(self, in_features: int, out_features: int, name: str = ""):
        self.in_features = whole("in_features", in_features)
        self.out_features = whole("out_features", out_features)
        super().__init__(name)

    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.out_features, self.in_features), "bias": (self.out_features,)}

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if shape != (self.in_features,):
            raise ValueError(f"{self.name} takes ({self.in_features},), not {shape}")
        return (self.out_features,)

    def initialise(self, rng: np.random.Generator, gain: float = 1.0) -> None:
        _initialise(self, rng, gain, self.in_features)

    def forward(self, x: Array) -> Array:
        self.output_shape(x.shape[:-1])  # ValueError where x does not fit
        self.x = x
        return self.ops.affine(self.weight.value, x, self.bias.value)

    def backward(self, dy: Array) -> Array | None:
        self.ops.matmul(dy, self.x.T, out=self.weight.gradient)
        self.ops.sum_columns(dy, out=self.bias.gradient)
        return self.ops.matmul(self.weight.value.T, dy) if self.input_gradient else None


def _initialise(layer: Conv2D | Linear, rng: np.random.Generator, gain: float, fan_in: Any) -> None:
    """Uniform weights of deviation gain / sqrt(fan_in), zero biases.

    The deviation follows LeCun's "Efficient BackProp" (gain 1) and He et al. 2015 for rectifiers
    (gain sqrt 2); `ScaledTanh` says what it is for LeCun et al. 1998. fan_in: one number, or one
    for each output.
    """
    bound = gain * np.sqrt(3.0 / fan_in)
    weights: np.ndarray = rng.uniform(-bound, bound, layer.weight.shape)
    layer.weight.value[...] = layer.ops.asarray(weights)
    layer.bias.value[...] = 0.0


class _Pool(Layer):
    """What both pools share: size x size blocks side by side, rows and columns left over cut."""

    options = ("size",)

    def __init__(self, size: int = 2, name: str = ""):
        self.size = whole("size", size)
        super().__init__(name)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) != 3 or min(shape[1:]) < self.size:
            raise ValueError(f"{self.name} of {self.size} takes (C, H, W), not {shape}")
        return shape[0], shape[1] // self.size, shape[2] // self.size


class AvgPool2D(_Pool):
    """The mean of each block; LeCun et al. 1998 let a `MapAffine` follow."""

    kind = "avgpool2d"
    x_shape = Kept()

    def forward(self, x: Array) -> Array:
        self.output_shape(x.shape[:-1])  # ValueError where x does not fit
        self.x_shape = x.shape
        return self.ops.average_pool(x, self.size)

    def backward(self, dy: Array) -> Array:
        return self.ops.average_pool_backward(dy, self.x_shape, self.size)


class MaxPool2D(_Pool):
    """The largest pixel of each block, to which alone the gradient returns."""

    kind = "maxpool2d"
    x, y = Kept(), Kept()

    def forward(self, x: Array) -> Array:
        self.output_shape(x.shape[:-1])  # ValueError where x does not fit
        self.x, self.y = x, self.ops.max_pool(x, self.size)
        return self.y

    def backward(self, dy: Array) -> Array:
        return self.ops.max_pool_backward(dy, self.x, self.y, self.size)


class MapAffine(Layer):
    """y = coefficient x + bias, one of each for a map: x (C, H, W, N) -> y of the same shape.

    After an `AvgPool2D`, before the squashing, it makes the sub-sampling of LeCun et al. 1998,
    section II.B (S2, S4). Their coefficient multiplies the sum of four pixels: a quarter of this
    one. The paper does not say where it starts: here at 1, the mean. coefficient, bias (C,).
    """

    kind = "map_affine"
    options = ("channels",)
    coefficient: Param
    bias: Param
    x = Kept()

    def __init__(self, channels: int, name: str = ""):
        self.channels = whole("channels", channels)
        super().__init__(name)

    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"coefficient": (self.channels,), "bias": (self.channels,)}

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) != 3 or shape[0] != self.channels:
            raise ValueError(f"{self.name} takes ({self.channels}, H, W), not {shape}")
        return shape

    def initialise(self, rng: np.random.Generator, gain: float = 1.0) -> None:
        self.coefficient.value[...], self.bias.value[...] = 1.0, 0.0

    def forward(self, x: Array) -> Array:
        self.output_shape(x.shape[:-1])  # ValueError where x does not fit
        ops, self.x = self.ops, self._rows(x)
        y = ops.multiply(self.x, self.coefficient.value[:, None])
        return ops.reshape(ops.add(y, self.bias.value[:, None]), x.shape)

    def backward(self, dy: Array) -> Array:
        ops, shape, dy = self.ops, dy.shape, self._rows(dy)
        ops.sum_columns(ops.multiply(dy, self.x), out=self.coefficient.gradient)
        ops.sum_columns(dy, out=self.bias.gradient)
        return ops.reshape(ops.multiply(dy, self.coefficient.value[:, None]), shape)

    def _rows(self, x: Array) -> Array:
        return self.ops.reshape(x, (self.channels, -1))


class Activation(Layer):
    """y = f(x) for each element; dx = dy f'(x), with f' written in y so that only y is kept.

    kind: the name under which every backend has f and f'. gain: by what the weights in front of f
    are larger than 1 / sqrt(fan_in) at the start, so that signals keep their size.
    """

    gain = 1.0
    y = Kept()

    def forward(self, x: Array) -> Array:
        self.y = self.ops.activation(self.kind, x)
        return self.y

    def backward(self, dy: Array) -> Array:
        return self.ops.activation_backward(self.kind, dy, self.y)


class Tanh(Activation):
    """y = tanh(x), dx = dy (1 - y^2)."""

    kind = "tanh"


class ScaledTanh(Activation):
    """y = A tanh(S x) with A = 1.7159, S = 2/3, dx = dy S (A - y^2 / A). LeCun et al. 1998, (6).

    gain: weights of F inputs start within +-2.4 / sqrt(F). Appendix A prints +-2.4 / F, with which
    the network of 1998 learns nothing; docs/1998.md.
    """

    kind = "scaled_tanh"
    gain = 2.4 / math.sqrt(3.0)


class ReLU(Activation):
    """y = max(x, 0), dx = dy where y > 0, else 0; gain by He et al. 2015, section 2.2."""

    kind = "relu"
    gain = math.sqrt(2.0)


class Flatten(Layer):
    """(C, H, W, N) -> (C*H*W, N): free, for N is already last."""

    kind = "flatten"
    x_shape = Kept()

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (math.prod(shape),)

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return self.ops.reshape(x, (-1, x.shape[-1]))

    def backward(self, dy: Array) -> Array:
        return self.ops.reshape(dy, self.x_shape)


ACTIVATIONS: dict[str, type[Activation]] = {f.kind: f for f in (Tanh, ScaledTanh, ReLU)}
_KINDS: tuple[type[Layer], ...] = (
    *(Conv2D, Linear, AvgPool2D, MaxPool2D, MapAffine, Flatten, Codes, Rubbish),
)
LAYERS: dict[str, type[Layer]] = {f.kind: f for f in (*_KINDS, *ACTIVATIONS.values())}


def is_ours(layer: Layer) -> bool:
    """Whether it is a layer of this file: the methods of a user's subclass may do otherwise."""
    return LAYERS.get(layer.kind) is type(layer)
