"""The CUDA sources of this package: compiled for a dtype when first needed, and launched."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

LANES = 32  # threads of a warp, each with an image of its own
NULL = np.uintp(0)  # a pointer to nothing
INT_MAX = 2**31 - 1  # kernels index with ints, which are twice as fast as longs

C_TYPES = {"float32": "float", "float64": "double"}
IN_FRONT = {"stage_forward": ("common", "stage"), "stage_backward": ("common", "stage")}
FILES = (
    *("stage_forward", "stage_backward", "dense", "matmul", "sums"),
    *("elementwise", "images", "loss", "updates"),
)


@cache
def source(file: str) -> str:
    """The text of cuda/`file`.cu with what it builds on in front of it."""
    folder = files("lenet_xp.ops") / "cuda"
    names = () if file == "common" else IN_FRONT.get(file, ("common",))
    return "\n".join((folder / f"{name}.cu").read_text(encoding="utf-8") for name in (*names, file))


def options(dtype: str, settings: dict[str, int]) -> tuple[str, ...]:
    """What the compiler is told: the C type of `dtype`, and the sizes that a file asks for."""
    defines = {"REAL": C_TYPES[dtype], **settings}
    return "--std=c++17", *(f"-D{name}={value}" for name, value in sorted(defines.items()))


class Kernels:
    """Launches kernels on the current stream; compiled ones are kept."""

    def __init__(self, cupy: Any, dtype: str):
        self._cupy, self._dtype = cupy, dtype
        self._modules: dict[tuple[Any, ...], Any] = {}
        self._functions: dict[tuple[Any, ...], Any] = {}

    def launch(
        self,
        file: str,
        name: str,
        grid: Sequence[int],
        block: Sequence[int],
        arguments: Sequence[Any],
        **settings: int,
    ) -> None:
        """Run kernel `name` of cuda/`file`.cu.

        arguments: device arrays, floats (double in C), ints (int), and NumPy's scalars as they are.
        """
        key = file, name, *settings.values()
        if key not in self._functions:
            self._functions[key] = self._compile(file, settings).get_function(name)
        self._functions[key](tuple(grid), tuple(block), tuple(map(_argument, arguments)))

    def _compile(self, file: str, settings: dict[str, int]) -> Any:
        key = file, *settings.values()
        if key not in self._modules:
            told = options(self._dtype, settings)
            self._modules[key] = self._cupy.RawModule(code=source(file), options=told)
        return self._modules[key]


def _argument(value: Any) -> Any:
    """CuPy hands a Python int over as 64 bits; the kernels take C's int."""
    if isinstance(value, (bool, int)):
        return np.int32(value)
    if getattr(value, "size", 0) > INT_MAX and not isinstance(value, np.generic):
        raise ValueError(f"an array of {value.size:,} numbers is too large; take fewer images")
    return value


def cuts(size: int, piece: int) -> int:
    """How many pieces cover `size`."""
    return -(-size // piece)
