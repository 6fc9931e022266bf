"""The arrays of an .npz, each checked before anything of the size that it declares is made.

`numpy.load` allocates what a header declares, and unpacks whatever stands behind it. Here shapes
and dtypes are read first, values are read a piece at a time, and a pickle is never opened.
"""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from lenet_xp.data.bounded import BoundedFile

PIECE = 4 * 2**20  # bytes that are read at a time: of values, and of the list of members

# What NumPy writes. Python unpacks the other kinds beyond the size that a member declares.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class StoredArray:
    """One array of an open .npz, told by its header: shape, dtype, nbytes; nothing is read yet."""

    def __init__(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo):
        self._archive, self._member = archive, member
        with archive.open(member) as file:
            self.shape, self._fortran, self.dtype = _header(file)
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize

    def pieces(self) -> Iterator[np.ndarray]:
        """The values as they are stored, flat, some at a time. ValueError if any lack."""
        left = self.nbytes
        with self._archive.open(self._member) as file:
            _header(file)
            step = PIECE // self.dtype.itemsize * self.dtype.itemsize or self.dtype.itemsize
            while left:
                data = file.read(min(step, left))
                if len(data) < min(step, left):
                    raise ValueError(f"{self._member.filename} is cut short")
                left -= len(data)
                yield np.frombuffer(data, self.dtype)
            if file.read(1):  # its end is also where the checksum is verified
                raise ValueError(f"{self._member.filename} goes on behind its end")

    def shaped(self, flat: np.ndarray) -> np.ndarray:
        """Values that `pieces` gave, or what was made of each, in the array's shape."""
        return flat.reshape(self.shape, order="F" if self._fortran else "C")

    def read(self, most: int) -> np.ndarray:
        """The whole array, if it has at most so many bytes; else ValueError."""
        if self.nbytes > most:
            raise ValueError(f"{self._member.filename} declares {self.nbytes:,} bytes")
        flat, filled = np.empty(math.prod(self.shape), self.dtype), 0
        for piece in self.pieces():
            flat[filled : filled + len(piece)] = piece
            filled += len(piece)
        return self.shaped(flat)


@contextmanager
def open_npz(path: Path) -> Iterator[dict[str, StoredArray]]:
    """The arrays of an .npz by name. Whatever is damaged raises one of a dozen exceptions."""
    with BoundedFile(path, PIECE) as file, zipfile.ZipFile(file) as archive:
        members = [each for each in archive.infolist() if each.filename.endswith(".npy")]
        if any(each.compress_type not in _COMPRESSIONS for each in members):
            raise ValueError("it is compressed in another way than NumPy's")
        yield {each.filename.removesuffix(".npy"): StoredArray(archive, each) for each in members}


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"it is of version {version} of NumPy's format")
    shape, fortran, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError("Python objects cannot be loaded: a pickle could run code")
    if dtype.itemsize == 0 or any(side < 0 for side in shape):
        raise ValueError(f"it declares the shape {shape} of {dtype}")
    return shape, fortran, dtype
