"""LeNet-5 as a list of layers over one flat vector of parameters."""

import math
from typing import Any

import numpy as np

from lenet_xp.layers import (
    ACTIVATIONS,
    Activation,
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    Linear,
    Param,
    Stage,
)
from lenet_xp.ops import Array, Ops, get_ops

GAINS = {"tanh": 1.0, "scaled_tanh": 1.0, "relu": math.sqrt(2.0)}


class Sequential:
    """Layers one after the other, their parameters views into `values` and `gradients`.

    layers: from input to output. values, gradients: flat vectors to use instead of new ones, such
    as another model's values (a worker thread's model has them) or memory that processes share.
    Raises ValueError where shapes do not fit.
    """

    def __init__(
        self,
        layers: list[Layer],
        input_shape: tuple[int, ...],
        ops: Ops,
        values: Array | None = None,
        gradients: Array | None = None,
    ):
        self.layers, self.input_shape, self.ops = layers, tuple(input_shape), ops
        self.shapes = [self.input_shape]
        for layer in layers:
            self.shapes.append(layer.output_shape(self.shapes[-1]))
        sizes = [sum(math.prod(s) for s in layer.param_shapes().values()) for layer in layers]
        self.values = ops.zeros((sum(sizes),)) if values is None else values
        self.gradients = ops.zeros((sum(sizes),)) if gradients is None else gradients
        start = 0
        for layer, size in zip(layers, sizes, strict=True):
            part = slice(start, start + size)
            layer.attach(ops, self.values[part], self.gradients[part])
            start += size
        layers[0].input_gradient = False

    def forward(self, x: Array) -> Array:
        """y of the last layer for x (*input_shape, N); ValueError for another shape."""
        if tuple(x.shape[:-1]) != self.input_shape:
            takes = ", ".join(map(str, self.input_shape))
            raise ValueError(f"the network takes ({takes}, N), not {tuple(x.shape)}")
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: Array) -> None:
        """Fill `gradients` from the gradient of the loss with respect to the last y."""
        for layer in reversed(self.layers):
            dy = layer.backward(dy)

    def parameters(self) -> dict[str, Param]:
        """Every parameter by its dotted name, C1.weight first, in the order of the flat vector."""
        return {
            f"{part.name}.{name}": getattr(part, name)
            for layer in self.layers
            for part in layer.parts()
            for name in part.param_shapes()
        }

    def trace(self, x: Array) -> dict[str, Array]:
        """The output of each named layer, with the activation that follows it, for x."""
        outputs, name = {}, ""
        for layer in self.layers:
            for part in layer.parts():
                x = part.forward(x)
                name = part.name or (name if isinstance(part, Activation) else "")
                if name:
                    outputs[name] = x
        return outputs

    def summary(self) -> str:
        """A table of the layers, their output shapes (one image) and parameters."""
        rows = [("layer", "kind", "output", "parameters")]
        shape = self.input_shape
        rows.append(("input", "", " x ".join(map(str, shape)), ""))
        for layer in self.layers:
            for part in layer.parts():
                shape = part.output_shape(shape)
                size = sum(math.prod(s) for s in part.param_shapes().values())
                kind = type(part).__name__
                rows.append((part.name, kind, " x ".join(map(str, shape)), f"{size:,}"))
        rows.append(("total", "", "", f"{self.values.shape[0]:,}"))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        return "\n".join(
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:<{widths[2]}}  {d:>{widths[3]}}".rstrip()
            for a, b, c, d in rows
        )


class LeNet5(Sequential):
    """LeNet-5 for 32 x 32 grey images: C1 S2 C3 S4 C5 F6 and a dense output.

    Departs from LeCun et al. 1998, section II.B: plain average pools without a trained scale, C3
    connected to every map of S2, a softmax output instead of radial basis functions.

    num_classes: 33 letters; with them 63,661 parameters. activation: "tanh", "scaled_tanh" or
    "relu". squash_pools: the activation once more after each pool, as the seed network has it.
    seed: of the initial weights, drawn on the host, the same for every backend.
    """

    def __init__(
        self,
        num_classes: int = 33,
        *,
        activation: str = "tanh",
        squash_pools: bool = True,
        seed: int = 0,
        ops: Ops | None = None,
        values: Array | None = None,
        gradients: Array | None = None,
    ):
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, not {num_classes}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}, not {activation!r}")
        self.config: dict[str, Any] = {
            "num_classes": num_classes,
            "activation": activation,
            "squash_pools": squash_pools,
        }
        act = ACTIVATIONS[activation]

        def squash() -> Activation | None:
            return act() if squash_pools else None

        layers: list[Layer] = [
            Stage(Conv2D(1, 6, 5, name="C1"), act(), AvgPool2D(2, name="S2"), squash()),
            Stage(Conv2D(6, 16, 5, name="C3"), act(), AvgPool2D(2, name="S4"), squash()),
            Flatten(),
            Dense(Linear(400, 120, name="C5"), act()),
            Dense(Linear(120, 84, name="F6"), act()),
            Dense(Linear(84, num_classes, name="output")),
        ]
        ops = get_ops() if ops is None else ops
        super().__init__(layers, (1, 32, 32), ops, values, gradients)
        if values is None:
            rng = np.random.default_rng(seed)
            for layer in layers:
                layer.initialise(rng, GAINS[activation] if layer is not layers[-1] else 1.0)

    def replica(self, values: Array | None = None, gradients: Array | None = None) -> "LeNet5":
        """The same network for another worker: on the same parameters, or on memory given for them.

        Its gradients and its ops object are its own.
        """
        values = self.values if values is None else values
        return LeNet5(**self.config, ops=self.ops.sibling(), values=values, gradients=gradients)
