"""LeNet-5 as a list of layers over one flat vector of parameters."""

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from lenet_xp.fused import fuse
from lenet_xp.layers import (
    ACTIVATIONS,
    Activation,
    AvgPool2D,
    Codes,
    Conv2D,
    Flatten,
    Layer,
    Linear,
    Param,
    Rubbish,
    is_ours,
)
from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.ops import Array, Ops, get_ops
from lenet_xp.system.text import text_table


class Sequential:
    """Layers one after the other, their parameters views into `values` and `gradients`.

    layers: from input to output; those without a name of their own are numbered by kind. Copies are
    taken, so that a layer may stand in several places and networks, each with its own parameters.
    input_shape: of one image, (C, H, W). ops: by default what `get_ops()` finds.
    fused: whether runs of layers that `ops` computes as one are computed so, see `fused.py`. With
    False every layer runs its own `forward` and `backward`, as written in `layers.py`.
    seed: of the initial weights, drawn on the host, the same for every backend.
    values: a flat vector to use instead of a new one, such as another model's; nothing is drawn.
    Raises ValueError where shapes do not fit, or two layers have one name.
    """

    def __init__(
        self,
        layers: list[Layer],
        input_shape: tuple[int, ...],
        ops: Ops | None = None,
        *,
        fused: bool = True,
        seed: int = 0,
        values: Array | None = None,
    ):
        if not layers:
            raise ValueError("a network needs at least one layer")
        if odd := [each for each in layers if not isinstance(each, Layer)]:
            raise ValueError(f"{odd[0]!r:.60} is no layer; give layers such as Flatten()")
        self.layers = layers = [copy.copy(layer) for layer in layers]
        self.input_shape, self.fused = tuple(map(int, input_shape)), fused
        _number(layers)
        self.shapes = [self.input_shape]
        for place, layer in enumerate(layers):
            self.shapes.append(layer.output_shape(self.shapes[-1]))
            layer.input_gradient = place > 0
        self._attach(get_ops() if ops is None else ops, values, None)
        if values is None:
            self._initialise(np.random.default_rng(seed))

    @property
    def num_classes(self) -> int:
        """The length of the last layer's output; ValueError unless it is a vector of at least 2."""
        if len(self.shapes[-1]) != 1 or self.shapes[-1][0] < 2:
            raise ValueError(
                f"{self.layers[-1].name} gives {self.shapes[-1]} for an image, but a classifier "
                "ends with a number for each class, at least two: Flatten(), Linear(..., classes)"
            )
        return self.shapes[-1][0]

    @property
    def num_masked(self) -> int:
        """How many of `values` stay 0 and are no free parameters."""
        return sum(layer.num_masked for layer in self.layers)

    @property
    def num_parameters(self) -> int:
        """How many free parameters there are."""
        return int(self.values.shape[0]) - self.num_masked

    def _attach(self, ops: Ops, values: Array | None, gradients: Array | None) -> None:
        """Give every layer its part of two flat vectors, and fuse what `ops` fuses."""
        size = sum(layer.num_parameters for layer in self.layers)
        self.ops = ops
        self.values = ops.zeros((size,)) if values is None else values
        self.gradients = ops.zeros((size,)) if gradients is None else gradients
        start = 0
        for layer in self.layers:
            part = slice(start, start + layer.num_parameters)
            layer.attach(ops, self.values[part], self.gradients[part])
            start = part.stop
        self._running = fuse(self.layers, ops) if self.fused else self.layers

    def _initialise(self, rng: np.random.Generator) -> None:
        """Draw the weights, each layer's with the gain of the activation that follows it."""
        for layer, following in zip(self.layers, [*self.layers[1:], None], strict=True):
            gain = following.gain if isinstance(following, Activation) else 1.0
            layer.initialise(rng, gain)

    def replica(
        self, values: Array | None = None, gradients: Array | None = None, ops: Ops | None = None
    ) -> Self:
        """The same network for another worker: on the same parameters, or on memory given for them.

        The replica has gradients and an ops object of its own; `ops` defaults to the same backend.
        """
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        twin.layers = [copy.copy(layer) for layer in self.layers]
        ops = self.ops.sibling() if ops is None else ops
        twin._attach(ops, self.values if values is None else values, gradients)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """What pickle and deepcopy keep: layers, values on the host, and which backend computes."""
        lost = {"layers", "values", "gradients", "_running"}
        state = {name: each for name, each in vars(self).items() if name not in lost}
        values = self.ops.to_host(self.values)
        return {**state, "layers": [_detached(layer) for layer in self.layers], "values": values}

    def __setstate__(self, state: dict[str, Any]) -> None:
        values = np.array(state.pop("values"))  # a copy: what comes from other processes is locked
        vars(self).update(state)
        self._attach(self.ops, self.ops.asarray(values), None)

    def forward(self, x: Array) -> Array:
        """y of the last layer for x (*input_shape, N); ValueError for another shape."""
        if tuple(x.shape[:-1]) != self.input_shape:
            takes = ", ".join(map(str, self.input_shape))
            raise ValueError(f"the network takes ({takes}, N), not {tuple(x.shape)}")
        for layer in self._running:
            x = layer.forward(x)
        return x

    def backward(self, dy: Array) -> Array | None:
        """Fill `gradients` from the loss's gradient by the last y; dx if the first layer has it."""
        for layer in reversed(self._running):
            dy = layer.backward(dy)
        return dy

    def capture(self, compute: Callable[[], Any], frozen: bool = False) -> Callable[[], Any]:
        """`ops.capture` of a computation with this network.

        A user's own layer may do arithmetic that `ops` does not see, so with one in the network
        each repetition computes all anew.
        """
        if all(map(is_ours, self.layers)):
            return self.ops.capture(compute, frozen)
        compute()
        return compute

    def parameters(self) -> dict[str, Param]:
        """Every parameter by its dotted name, C1.weight first, in the order of the flat vector."""
        return {
            f"{layer.name}.{name}": getattr(layer, name)
            for layer in self.layers
            for name in layer.param_shapes()
        }

    def loss(self) -> SoftmaxCrossEntropy:
        """What it is trained by: eq. 8 of LeCun et al. 1998 if it ends with `Codes`."""
        rivals = self.rivals if self.rivals < self.num_classes else None
        return SoftmaxCrossEntropy(self.ops, not isinstance(self.layers[-1], Codes), rivals)

    @property
    def rivals(self) -> int:
        """How many outputs may be the answer: after `Codes`, the rubbish class is for training."""
        codes = any(isinstance(layer, Codes) for layer in self.layers[-2:])
        return self.num_classes - (codes and isinstance(self.layers[-1], Rubbish))

    def trace(self, x: Array) -> dict[str, Array]:
        """The output of each layer by name; an activation's has the name of the layer before it."""
        outputs, name = {}, ""
        for layer in self.layers:
            x = layer.forward(x)
            name = name if name and isinstance(layer, Activation) else layer.name
            outputs[name] = x
        return outputs

    def summary(self) -> str:
        """A table of the layers, their output shapes (one image) and parameters."""
        rows = [("input", "", " x ".join(map(str, self.input_shape)), "")]
        for layer, shape in zip(self.layers, self.shapes[1:], strict=True):
            kind, output = type(layer).__name__, " x ".join(map(str, shape))
            rows.append((layer.name, kind, output, _counted(layer)))
        rows.append(("total", "", "", _counted(self)))
        header = ("layer", "kind", "output", "parameters")
        return text_table(header, rows, left=(0, 1, 2)).removesuffix("\n")


def _counted(of: Layer | Sequential) -> str:
    free = of.num_parameters - of.num_masked * isinstance(of, Layer)  # a network's leave them out
    return f"{free:,}" + f" and {of.num_masked:,} masked" * (of.num_masked > 0)


def _number(layers: list[Layer]) -> None:
    """Give layers without a name of their own one of kind and number, as in conv2d_1."""
    counts, taken = Counter[str](), {layer.name for layer in layers}
    for layer in layers:
        unnamed = layer.name == layer.kind
        while unnamed and layer.name in taken:
            counts[layer.kind] += 1
            layer.name = f"{layer.kind}_{counts[layer.kind]}"
    for name, count in Counter(layer.name for layer in layers).items():
        if count > 1:
            raise ValueError(f"{count} layers are named {name}; names must differ")


def _detached(layer: Layer) -> Layer:
    """A copy of a layer without parameters, ops, and the arrays that its last step left behind."""
    twin = copy.copy(layer)
    for name, value in vars(layer).items():
        if name == "ops" or isinstance(value, Param) or hasattr(value, "dtype"):
            delattr(twin, name)
    return twin


class LeNet5(Sequential):
    """LeNet-5 for 32 x 32 grey images: C1 S2 C3 S4 C5 F6 and a dense output.

    Departs from LeCun et al. 1998, section II.B: plain average pools without a trained scale, C3
    connected to every map of S2, a softmax output instead of radial basis functions. `lenet5_1998`
    departs in none of it.

    num_classes: 33 letters; with them 63,661 parameters. activation: "tanh", "scaled_tanh" or
    "relu". squash_pools: the activation once more after each pool, as the seed network has it.
    rubbish: whether a `Rubbish` layer follows. seed, ops, fused, values: see `Sequential`.
    """

    def __init__(
        self,
        num_classes: int = 33,
        *,
        activation: str = "tanh",
        squash_pools: bool = True,
        rubbish: bool = False,
        seed: int = 0,
        ops: Ops | None = None,
        fused: bool = True,
        values: Array | None = None,
    ):
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, not {num_classes}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}, not {activation!r}")
        act = ACTIVATIONS[activation]

        def squash() -> list[Layer]:
            return [act()] if squash_pools else []

        layers: list[Layer] = [
            Conv2D(1, 6, 5, name="C1"),
            act(),
            AvgPool2D(2, name="S2"),
            *squash(),
            Conv2D(6, 16, 5, name="C3"),
            act(),
            AvgPool2D(2, name="S4"),
            *squash(),
            Flatten(),
            Linear(400, 120, name="C5"),
            act(),
            Linear(120, 84, name="F6"),
            act(),
            Linear(84, num_classes, name="output"),
            *([Rubbish()] if rubbish else []),
        ]
        super().__init__(layers, (1, 32, 32), ops, fused=fused, seed=seed, values=values)
