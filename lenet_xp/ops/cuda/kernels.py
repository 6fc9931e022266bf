"""Compiles the CUDA sources of this package when they are first needed, and launches kernels."""

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

LANES = 32  # threads: size of a warp, in which each thread has an image of its own
NULL = np.uintp(0)  # a null pointer
MAX_SIZE = 2**31 - 1  # numbers in an array: kernels index with ints, twice as fast as longs


@cache
def source(file: str) -> str:
    """The text of cuda/`file`.cu with that of the files that it includes."""
    text = (files("lenet_xp.ops") / "cuda" / f"{file}.cu").read_text(encoding="utf-8")
    return re.sub(r'#include "(\w+)\.cu"', lambda found: source(found[1]), text)


def compiler_options(dtype: str, defines: dict[str, int]) -> tuple[str, ...]:
    """The compiler's options, which define the C type of `dtype` and the macros of a file."""
    macros = {"REAL": {"float32": "float", "float64": "double"}[dtype], **defines}
    return "--std=c++17", *(f"-D{name}={value}" for name, value in sorted(macros.items()))


class Launch(NamedTuple):
    """Kernel `name` of cuda/`file`.cu, compiled with some macros.

    arguments: device arrays, floats (double in C), ints (int in C), or NumPy scalars of the
    kernel's type.
    """

    file: str
    name: str
    grid: Sequence[int]
    block: Sequence[int]
    arguments: tuple[Any, ...]
    defines: dict[str, int]


class Kernels:
    """Launches kernels on the current stream, compiled by CuPy once for each set of macros.

    held: the launches that wait, while any are to.
    """

    def __init__(self, cupy: Any, dtype: str):
        self._cupy, self._dtype = cupy, dtype
        self._functions: dict[tuple[Any, ...], Any] = {}
        self.held: list[Launch] | None = None

    def launch(self, *what: Any, **defines: int) -> None:
        """Run a kernel, or let it wait; what: a `Launch` without the macros."""
        launch = Launch._make((*what, defines))
        if self.held is None:
            self.run(launch)
        else:
            self.held.append(launch)

    def run(self, launch: Launch) -> None:
        """Run it now. An array of more than MAX_SIZE numbers raises ValueError."""
        file, name, grid, block, arguments, defines = launch
        key = file, name, *defines.values()
        if key not in self._functions:
            options = compiler_options(self._dtype, defines)
            module = self._cupy.RawModule(code=source(file), options=options)
            self._functions[key] = module.get_function(name)
        self._functions[key](tuple(grid), tuple(block), tuple(map(_argument, arguments)))


def _argument(value: Any) -> Any:
    """A kernel argument: CuPy passes a Python int as 64 bits, but the kernels take C's int."""
    if isinstance(value, int):
        return np.int32(value)
    if getattr(value, "size", 0) > MAX_SIZE and not isinstance(value, np.generic):
        raise ValueError(f"an array of {value.size:,} numbers is too large; take fewer images")
    return value


def ceil_div(size: int, part: int) -> int:
    """The number of parts that cover `size`."""
    return -(-size // part)
