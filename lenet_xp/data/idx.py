"""MNIST's own files, idx: a header of sizes and then the values, often packed by gzip."""

import gzip
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from lenet_xp.data.arrays import Arrays
from lenet_xp.errors import InputError
from lenet_xp.system.npz_file import LazyArray

_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_NAME = re.compile(r"(.*)(train|t10k|test)-(images|labels)[.-]idx[13]-ubyte(\.gz)?")


def idx_files(source: str | Path) -> list[Path]:
    """Pictures and labels of the training, then of the test; [] where a source is no idx.

    source: a folder of four such files, or one of them; InputError where some are missing.
    """
    path, found = Path(os.path.expanduser(source)), dict[tuple[str, bool, str], Path]()
    chosen = None if path.is_dir() else _NAME.fullmatch(path.name)
    if chosen or path.is_dir():
        folder = path.parent if chosen else path
        for file in sorted(folder.glob("*-ubyte*"), reverse=True):  # what is packed comes first
            met = _NAME.fullmatch(file.name)
            if met and file.is_file() and (chosen is None or met[1] == chosen[1]):
                found[met[1], met[2] != "train", met[3]] = file
    if len(found) not in (0, 4) or len({key[0] for key in found}) > 1:
        there = ", ".join(sorted(each.name for each in found.values())[:8])
        problem = f"images and labels of train and of t10k or test are expected, not {there}"
        raise InputError(f"{path}: {problem}; give one file of the set")
    return [found[key] for key in sorted(found)]


@contextmanager
def open_idx(path: Path) -> Iterator[Arrays]:
    """The arrays of idx files, for `load_arrays`."""
    arrays = []
    for each in idx_files(path):
        how: Any = gzip.open if each.suffix == ".gz" else open
        arrays.append(LazyArray(each.name, partial(how, each, "rb"), _header))
    yield Arrays([(arrays[0], arrays[1]), (arrays[2], arrays[3])])


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """See `LazyArray`."""
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _DTYPES:
        raise ValueError(f"{file.name} has no header of idx")
    sizes = np.frombuffer(file.read(4 * start[3]), ">u4", start[3]).tolist()
    return tuple(sizes), False, np.dtype(_DTYPES[start[2]])
