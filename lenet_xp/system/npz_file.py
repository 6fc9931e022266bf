"""The one reader of .npz files, which trusts nothing that a file declares; and containers.

`numpy.load` allocates what an array's header declares, and unpacks any amount of data. Here shapes
and dtypes are read first and compared with what is there, and no pickle is ever opened.
A container is an .npz file whose array "header" is a JSON text with a checksum.
"""

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from lenet_xp.system.files import FilePath, atomic_write

PIECE = 4 * 2**20  # bytes: of a member read at a time, and of the list of members at most
MAX_CONTAINER = 64 * 2**20  # bytes: of all arrays of a model file; a LeNet-5 takes far fewer
MAX_ARRAYS = 1000  # arrays: in a container
MAX_HEADER = 4 * 2**20  # bytes: of a container's JSON text, which takes up to 30 times as many

# The two methods that NumPy writes. With others Python unpacks more than a member declares.
UNPACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Damaged(ValueError):
    """The file is not a container, or its content has changed since it was written."""


class CappedReads(io.FileIO):
    """A file for zipfile to open; reading more than `max_bytes` at once raises BadZipFile."""

    def __init__(self, path: FilePath, max_bytes: int):
        super().__init__(path)
        self._max_bytes = max_bytes  # zipfile's objects of a list of members take ten times as many

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._max_bytes:
            raise zipfile.BadZipFile(f"its list of members is over {self._max_bytes:,} bytes")
        return super().read(size)


class LazyArray:
    """The header of an array in an archive: name, shape, dtype, nbytes; its values are not read.

    ValueError for a header that is unsafe, or declares more than the member has.
    """

    def __init__(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo):
        self.name = member.filename.removesuffix(".npy")
        self._archive, self._member = archive, member
        with archive.open(member) as file:
            self.shape, self._fortran, self.dtype = _array_header(file)
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize
        if self.nbytes > member.file_size:
            raise ValueError(f"{self.name} declares {self.nbytes:,} bytes and holds fewer")

    def read(self, max_bytes: int) -> np.ndarray:
        """Return the array; ValueError if it has more than `max_bytes`, or others than declared."""
        if self.nbytes > max_bytes:
            raise ValueError(f"{self.name} declares {self.nbytes:,} bytes")
        with self._archive.open(self._member) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
            if file.read(1):  # zipfile verifies the checksum at the end
                raise ValueError(f"{self.name} holds more than it declares")
        return np.asarray(array)


@contextmanager
def open_npz(
    path: FilePath, wanted: Collection[str]
) -> Iterator[tuple[dict[str, LazyArray], list[str]]]:
    """Yield the wanted arrays of an .npz by name, and the names of its other members, unread.

    A damaged file raises one of a dozen exceptions.
    """
    with CappedReads(path, PIECE) as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        chosen = [each for each in members if each.filename in {f"{name}.npy" for name in wanted}]
        if len({each.filename for each in chosen}) < len(chosen):
            raise Damaged("it holds an array twice")
        others = [each.filename for each in members if each not in chosen]
        yield _lazy_arrays(archive, chosen), others


def write_container(
    path: FilePath, header: dict[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write header and arrays, whole or not at all; they are on disk then. Raises InputError."""
    header = header | {"sha256": _digest(header, arrays)}
    text = json.dumps(header, ensure_ascii=False).encode("utf-8", "surrogatepass")
    with atomic_write(path) as handle:
        np.savez(handle, header=np.frombuffer(text, np.uint8), **dict[str, Any](arrays))


def read_container(
    data: bytes, most: int = MAX_CONTAINER
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a file's bytes, verified by the checksum if there is one.

    most: bytes that they may take. Raises any exception of NumPy's and zipfile's readers, Damaged.
    """
    if data.count(b"PK\1\2") > MAX_ARRAYS:  # each entry of the list of members begins so
        raise Damaged("it holds too many arrays")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(each.file_size for each in members) > most:
            raise Damaged("its content is too large")
        if odd := [each.filename for each in members if not each.filename.endswith(".npy")]:
            raise Damaged(f"it holds {odd[0][:40]!r}, no header")
        stored = _lazy_arrays(archive, members)
        if "header" not in stored:
            raise Damaged("it has no header")
        text = stored.pop("header").read(MAX_HEADER).tobytes()
        try:
            header = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Damaged("its header is damaged") from error
        if not isinstance(header, dict):
            raise Damaged("its header is of another format")
        arrays = {name: each.read(most) for name, each in stored.items()}
    checksum = header.pop("sha256", None)
    if checksum is not None and checksum != _digest(header, arrays):
        raise Damaged("its checksum does not match its content")
    return header, arrays


def _lazy_arrays(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> dict[str, LazyArray]:
    if any(each.compress_type not in UNPACKED for each in members):
        raise Damaged("it is compressed in another way than NumPy's")
    return {each.name: each for each in (LazyArray(archive, member) for member in members)}


def _array_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, whether the order is Fortran's, and dtype; ValueError for an unsafe header."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"it is of version {version} of NumPy's format")
    shape, fortran, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("Python objects cannot be loaded: a pickle could run code")
    if dtype.itemsize == 0 or any(side < 0 for side in shape):
        raise ValueError(f"it declares the shape {shape} of {dtype}")
    return shape, fortran, dtype


def _digest(header: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of the header and of each array's name, dtype, shape and bytes."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
