"""What every layer has: parameters in the model's flat vectors, shapes, forward and backward."""

import math
from numbers import Integral
from typing import Any

import numpy as np

from lenet_xp.ops import Array, Ops, get_ops


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
    """An attribute that a layer's `forward` sets for its `backward`.

    Reading it before that raises RuntimeError.
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

    @property
    def num_masked(self) -> int:
        """How many of them are always 0 and learn nothing."""
        return 0

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


def whole(name: str, value: object, least: int = 1) -> int:
    """A whole number, NumPy's too, as an int; ValueError for anything else."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number from {least} on, not {value!r:.40}")
    return int(value)
