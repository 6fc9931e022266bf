"""A network as plain data, a table for each layer: recipes and model files have it so, not as code.

    {"kind": "conv2d", "name": "C1", "in_channels": 1, "out_channels": 6, "kernel": [5, 5]}

kind and name are a layer's own; the other entries are its constructor's arguments in `layers.py`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lenet_xp.layers import LAYERS, Conv2D, Layer, Rubbish, is_ours
from lenet_xp.model import Sequential
from lenet_xp.system.text import nearest, problem_with

MAX_LAYERS = 200
MAX_PARAMETERS = 8_000_000  # numbers: of all layers together; in float64 they fit a model file
MAX_WORK = 2**25  # numbers: that all layers make of one image, the columns of im2col included
LARGEST = 2**20  # of the numbers in a table
# The options whose product is the number of weights. The first follows from the layer before.
_SIZES = {
    "conv2d": ("in_channels", "out_channels", "kernel"),
    "linear": ("in_features", "out_features"),
    "codes": ("in_features", "out_features"),
    "map_affine": ("channels",),
}

Table = Mapping[str, Any]


def describe(network: Sequential) -> dict[str, Any]:
    """The network as JSON holds it: `input`, the shape of one image, and `layers`, their tables.

    Raises ValueError for a layer that is none of the package's.
    """
    return {"input": list(network.input_shape), "layers": [_table(each) for each in network.layers]}


def _table(layer: Layer) -> dict[str, Any]:
    if not is_ours(layer):
        raise ValueError(
            f"{layer.name} is a {type(layer).__name__}, none of the package's layers, which alone "
            f"can be written as data: {', '.join(LAYERS)}"
        )
    options = {name: getattr(layer, name) for name in layer.options}
    plain = {name: _plain(value) for name, value in options.items() if value is not None}
    return {"kind": layer.kind, "name": layer.name, **plain}


def _plain(value: Any) -> Any:
    """A value with lists in place of tuples, as JSON and TOML give it back."""
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def layers_of(
    tables: Sequence[Table], input_shape: Sequence[int], num_classes: int | None = None
) -> list[Layer]:
    """The layers that tables describe, for images (C, H, W), from input to output.

    in_channels, in_features and the last layer's out_features may be left out: they follow from
    the layer before and from num_classes; without num_classes that is 2, to check the tables. The
    class of a `Rubbish` layer at the end comes on top.
    Raises ValueError for tables that describe no network, and for one that is too large.
    """
    if not isinstance(tables, list | tuple) or not 1 <= len(tables) <= MAX_LAYERS:
        raise ValueError(f"a network is a list of 1 to {MAX_LAYERS} layers")
    layers: list[Layer] = []
    rubbish = isinstance(tables[-1], Mapping) and tables[-1].get("kind") == Rubbish.kind
    shape, room, work = tuple(input_shape), MAX_PARAMETERS, 0
    for place, table in enumerate(tables, start=1):
        classes = num_classes or 2 if place >= len(tables) - rubbish else None
        try:
            layer = _layer(table, shape, classes, room)
            after = layer.output_shape(shape)
            window = math.prod(layer.kernel) * shape[0] if isinstance(layer, Conv2D) else 1
            work += max(math.prod(after), window * math.prod(after[1:]))
            if work > MAX_WORK:
                raise ValueError(f"the network makes over {MAX_WORK:,} numbers of an image")
        except ValueError as error:
            raise ValueError(f"layer {place} of the network: {error}") from error
        layers.append(layer)
        shape, room = after, room - layer.num_parameters
    if num_classes is not None and shape != (num_classes + rubbish,):
        raise ValueError(
            f"the network gives {shape} for an image, and {num_classes} classes need "
            f"({num_classes + rubbish},)"
        )
    return layers


def _layer(table: Table, shape: tuple[int, ...], classes: int | None, room: int) -> Layer:
    """The layer of a table, for one image's x of a shape; room: parameters that it may have."""
    if not isinstance(table, Mapping):
        raise ValueError(f"a layer is a table of names and values, not {table!r:.40}")
    options = dict(table)
    kind, name = options.pop("kind", None), options.pop("name", "")
    if not isinstance(kind, str) or kind not in LAYERS:
        raise ValueError(f"there is no kind {kind!r:.40}; {nearest(str(kind), list(LAYERS))}")
    if not isinstance(name, str) or (name and (problem_with([name]) or "." in name)):
        raise ValueError(f"its name cannot be {name!r:.40}")
    for option in options.keys() - set(LAYERS[kind].options):
        known = ["kind", "name", *LAYERS[kind].options]
        raise ValueError(f"a {kind} has no {option[:40]!r}; {nearest(option, known)}")
    sizes = _SIZES.get(kind, ())
    if sizes:
        options.setdefault(sizes[0], shape[0])
    if "out_features" in sizes and classes is not None:
        options.setdefault("out_features", classes)
    if missing := [option for option in sizes if option not in options]:
        raise ValueError(f"a {kind} needs {missing[0]}")
    checked = options.keys() - {"connections", "codes"}  # these by the layer
    numbers = {option: _numbers(option, options[option]) for option in checked}
    if math.prod(number for option in sizes for number in numbers[option]) > room:
        raise ValueError(f"the network has over {MAX_PARAMETERS:,} parameters")
    return LAYERS[kind](**options, name=name)


def _numbers(option: str, value: Any) -> Sequence[int]:
    """A whole number, of a kernel its rows and columns; ValueError for anything else."""
    wanted = 2 if option == "kernel" else 1
    numbers = value if wanted == 2 and isinstance(value, list | tuple) else [value] * wanted
    if len(numbers) != wanted or not all(type(n) is int and 0 <= n <= LARGEST for n in numbers):
        raise ValueError(f"{option} cannot be {value!r:.40}")
    return numbers
