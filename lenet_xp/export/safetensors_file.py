"""A model as a safetensors file with the names and layouts of a PyTorch state_dict."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from lenet_xp.export.description import describe
from lenet_xp.export.verify import Opened, exact
from lenet_xp.model_file import SavedModel
from lenet_xp.ops import get_ops

PACKAGES = ("safetensors",)


def encode(saved: SavedModel) -> bytes:
    """The file's bytes: float32 C1.weight (O, C, KH, KW), C5.weight (out, in), their biases ...

    Ours are PyTorch's layouts, and what C5 reads is flattened in PyTorch's order: channels, rows,
    columns. So no array is turned.
    """
    from safetensors.numpy import save

    parameters = saved.model.parameters()
    with np.errstate(over="ignore"):
        arrays = {
            name: np.array(saved.model.ops.to_host(parameter.value), np.float32)
            for name, parameter in parameters.items()
        }
    return bytes(save(arrays, describe(saved)))


def open_again(path: Path, saved: SavedModel) -> Opened:
    """The file as the package reads it, its arrays in a network of ours; an exception if it can't.

    The arrays are found by their names, and each must have its parameter's shape.
    """
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        description = file.metadata()
    ops = get_ops("numpy", "float64")
    model = type(saved.model)(**saved.model.config, ops=ops)
    parameters = model.parameters()
    shapes = {name: array.shape for name, array in arrays.items()}
    if shapes != {name: tuple(parameter.shape) for name, parameter in parameters.items()}:
        raise ValueError("its arrays have not the names and shapes of the model's")
    for name, parameter in parameters.items():
        parameter.value[...] = ops.asarray(arrays[name])
    again = replace(saved, model=model)
    return Opened(description, lambda images: exact(again, images))
