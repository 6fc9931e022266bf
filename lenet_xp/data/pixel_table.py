"""A table of pixels: text with a picture in each line, and its label before or behind it."""

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path

import numpy as np

from lenet_xp.data.arrays import MAX_VALUES, Arrays
from lenet_xp.data.dataset import MAX_IMAGES
from lenet_xp.data.label_table import LABELS, TABLES, folded, separator
from lenet_xp.pictures.image_file import MIN_SIDE
from lenet_xp.system.npz_file import LazyArray

MAX_LINE = 2**20  # bytes: of one picture


def is_pixel_table(source: str | Path) -> bool:
    """Whether the first lines of a text hold a square number of numbers and a label."""
    path = os.path.expanduser(source)
    if not (os.path.isfile(path) and path.lower().endswith(TABLES)):
        return False
    try:
        *_, line = islice(_lines(path), 2)
        pixels = line.count(separator(line))
        side = math.isqrt(pixels)
        return side >= MIN_SIDE and side * side == pixels and _is_picture(line)
    except (OSError, ValueError):
        return False


@contextmanager
def open_pixels(path: Path) -> Iterator[Arrays]:
    """The arrays of a table of pixels, for `load_arrays`.

    The label's column is the one that a header names so, or else, of the first and the last, the
    one whose numbers are further from their neighbours.
    """
    lines = _lines(path)
    first = next(lines)
    mark = separator(first)
    names = [folded(cell) for cell in first.split(mark)]
    most = min(MAX_IMAGES, MAX_VALUES // 4 // len(names))
    lines = chain([first], lines) if _is_picture(first) else lines
    how = {"delimiter": mark, "comments": None, "quotechar": '"', "ndmin": 2}
    rows = np.loadtxt(lines, np.float32, max_rows=most + 1, **how)  # type: ignore[call-overload]
    if len(rows) > most:
        raise ValueError(f"it holds over {most:,} pictures")
    named = [names[end] in LABELS.split() for end in (0, -1)]
    gaps = named if any(named) else abs(rows[:, [0, -1]] - rows[:, [1, -2]]).sum(0)
    at = -1 if gaps[1] > gaps[0] else 0
    with np.errstate(over="ignore"):  # infinite is out of range all the same
        pixels = np.delete(rows, at, axis=1).astype(np.float16)
    yield Arrays([(_held("pixels", pixels), _held("labels", rows[:, at]))])


def _held(name: str, array: np.ndarray) -> LazyArray:
    data, header = array.tobytes(), (array.shape, False, array.dtype)
    return LazyArray(name, lambda: io.BytesIO(data), lambda file: header)


def _lines(path: str | Path) -> Iterator[str]:
    """The lines that are not blank; ValueError for one that is too long, or no UTF-8."""
    with open(path, "rb") as file:
        for line in iter(lambda: file.readline(MAX_LINE + 1), b""):
            if len(line) > MAX_LINE:
                raise ValueError(f"a line has over {MAX_LINE:,} bytes")
            if line.strip():
                yield line.decode("utf-8-sig")


def _is_picture(line: str) -> bool:
    """Whether a line's cells between its first and its last are numbers."""
    try:
        return bool([float(cell.strip(' "')) for cell in line.split(separator(line))[1:-1]])
    except ValueError:
        return False
