"""The layers of LeNet-5, each with its forward pass and its gradient written by hand.

Read this file to see what backpropagation is. `forward` computes y from x and keeps what `backward`
will read. `backward` takes dy, the gradient of the loss with respect to y. It writes the gradients
of the layer's own parameters into `Param.gradient` and returns dx. `ops` decides how each operation
is computed, and on which device.

A layer also works alone: `Conv2D(1, 2, 3).forward(x)` computes on NumPy in float32, with weights
drawn from seed 0.

Shapes: images are (C, H, W, N), dense activations (features, N), with the image index N last
(ARCHITECTURE.md says why). Every array has the dtype of the ops object.
"""

import math
from numbers import Integral
from typing import Any

import numpy as np

from lenet_xp.ops import Array, Ops, get_ops
from lenet_xp.ops.reference import output_size


class Param:
    """A parameter: its value and its gradient, both views into the model's flat vectors.

    Write into them (`p.value[...] = w`); a rebound name would no longer be the model's.
    """

    def __init__(self, value: Array, gradient: Array):
        self.value = value
        self.gradient = gradient

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.value.shape
        return shape


class Kept:
    """In place of what a layer's `forward` keeps for its `backward`, until there is any.

    Raises RuntimeError where it is read. A layer's own attribute of that name takes its place.
    """

    def __get__(self, layer: object, owner: type) -> Any:
        if layer is None:
            return self
        name = getattr(layer, "name", owner.__name__)
        raise RuntimeError(f"{name}: backward needs what forward keeps; call forward first")


class Layer:
    """What all layers share: a name, parameters by attribute, forward and backward.

    kind: the layer's type in one word. name: its own, by default the kind; a network numbers the
    layers that were given none. options: the constructor's other arguments, which are attributes.
    """

    kind = "layer"
    options: tuple[str, ...] = ()
    input_gradient = True  # the first layer of a network has nobody to hand dx to

    def __init__(self, name: str = ""):
        self.name = name or self.kind
        ops = get_ops("numpy")  # until a network attaches the layer to its own
        self.attach(ops, *(ops.zeros((self.num_parameters,)) for _ in range(2)))
        self.initialise(np.random.default_rng(0))

    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter, by the attribute that will hold it."""
        return {}

    @property
    def num_parameters(self) -> int:
        """How many numbers all parameters hold."""
        return sum(math.prod(shape) for shape in self.param_shapes().values())

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one image's y for the shape of one image's x; ValueError if it can't be."""
        return shape

    def attach(self, ops: Ops, values: Array, gradients: Array) -> None:
        """Take ops, and views into this layer's part of the model's flat vectors."""
        self.ops = ops
        start = 0
        for name, shape in self.param_shapes().items():
            end = start + math.prod(shape)
            value = ops.xp.reshape(values[start:end], shape)
            setattr(self, name, Param(value, ops.xp.reshape(gradients[start:end], shape)))
            start = end

    def initialise(self, rng: np.random.Generator, gain: float = 1.0) -> None:
        """Draw the parameters; layers without any have nothing to do."""

    def forward(self, x: Array) -> Array:
        raise NotImplementedError

    def backward(self, dy: Array) -> Array | None:
        raise NotImplementedError


def _whole(name: str, value: object, least: int = 1) -> int:
    """A whole number, NumPy's too, as an int; ValueError for anything else."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number from {least} on, not {value!r:.40}")
    return int(value)


class Conv2D(Layer):
    """Convolution as im2col and one matrix product: y = W columns(x) + b.

    x (C, H, W, N) -> y (O, OH, OW, N) with OH = (H + 2 padding - KH) // stride + 1. As everywhere
    in deep learning the kernel is not flipped. weight (O, C, KH, KW), bias (O,).
    Source: LeCun et al. 1998, section II.A; Chellapilla et al. 2006 for the matrix form.
    """

    kind = "conv2d"
    options = ("in_channels", "out_channels", "kernel", "stride", "padding")
    weight: Param
    bias: Param
    x_shape, columns = Kept(), Kept()

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int = 0,
        name: str = "",
    ):
        height, width = kernel if isinstance(kernel, tuple | list) else (kernel, kernel)
        self.kernel = _whole("kernel", height), _whole("kernel", width)
        self.in_channels = _whole("in_channels", in_channels)
        self.out_channels = _whole("out_channels", out_channels)
        self.stride, self.padding = _whole("stride", stride), _whole("padding", padding, 0)
        super().__init__(name)

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

    def initialise(self, rng: np.random.Generator, gain: float = 1.0) -> None:
        fan_in = self.in_channels * self.kernel[0] * self.kernel[1]
        _initialise(self, rng, gain, fan_in)

    def forward(self, x: Array) -> Array:
        self.x_shape, y_shape = x.shape, self.output_shape(x.shape[:-1])
        self.columns = self.ops.im2col(x, self.kernel, self.stride, self.padding)
        y = self.ops.affine(self._matrix(self.weight.value), self.columns, self.bias.value)
        return self.ops.reshape(y, (*y_shape, x.shape[-1]))

    def backward(self, dy: Array) -> Array | None:
        ops = self.ops
        dy = ops.reshape(dy, (self.out_channels, -1))
        ops.matmul(dy, self.columns.T, out=self._matrix(self.weight.gradient))
        ops.sum_columns(dy, out=self.bias.gradient)
        if not self.input_gradient:
            return None
        dcolumns = ops.matmul(self._matrix(self.weight.value).T, dy)
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
        self.in_features = _whole("in_features", in_features)
        self.out_features = _whole("out_features", out_features)
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


def _initialise(layer: Conv2D | Linear, rng: np.random.Generator, gain: float, fan_in: int) -> None:
    """Uniform weights of deviation gain / sqrt(fan_in), zero biases.

    LeCun et al. 1998 draw from +-2.4 / fan_in; here the deviation follows LeCun's "Efficient
    BackProp" (gain 1) and He et al. 2015 for rectifiers (gain sqrt 2).
    """
    bound = gain * math.sqrt(3.0 / fan_in)
    weights: np.ndarray = rng.uniform(-bound, bound, layer.weight.shape)
    layer.weight.value[...] = layer.ops.asarray(weights)
    layer.bias.value[...] = 0.0


class _Pool(Layer):
    """What both pools share: size x size blocks side by side, rows and columns left over cut."""

    options = ("size",)

    def __init__(self, size: int = 2, name: str = ""):
        self.size = _whole("size", size)
        super().__init__(name)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) != 3 or min(shape[1:]) < self.size:
            raise ValueError(f"{self.name} of {self.size} takes (C, H, W), not {shape}")
        return shape[0], shape[1] // self.size, shape[2] // self.size


class AvgPool2D(_Pool):
    """The mean of each block, without the trained scale and bias of LeCun et al. 1998."""

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
    """y = A tanh(S x) with A = 1.7159, S = 2/3, dx = dy S (A - y^2 / A). LeCun et al. 1998, (6)."""

    kind = "scaled_tanh"


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


class Rubbish(Layer):
    """(K, N) -> (K + 1, N): the logit 0 of one more class, for what is none of the K.

    It stands last. It has no parameters: training lowers the K logits of an image that shows none
    of the K classes below 0. Source: the rubbish class of LeCun et al. 1998, eq. 9.
    """

    kind = "rubbish"

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) != 1:
            raise ValueError(f"{self.name} takes (K,), not {shape}")
        return (shape[0] + 1,)

    def forward(self, x: Array) -> Array:
        return self.ops.with_zero_row(x)

    def backward(self, dy: Array) -> Array:
        return dy[:-1, :]  # the constant depends on nothing


ACTIVATIONS: dict[str, type[Activation]] = {f.kind: f for f in (Tanh, ScaledTanh, ReLU)}
_KINDS: tuple[type[Layer], ...] = (Conv2D, Linear, AvgPool2D, MaxPool2D, Flatten, Rubbish)
LAYERS: dict[str, type[Layer]] = {f.kind: f for f in (*_KINDS, *ACTIVATIONS.values())}


def is_ours(layer: Layer) -> bool:
    """Whether it is a layer of this file: the methods of a user's subclass may do otherwise."""
    return LAYERS.get(layer.kind) is type(layer)
