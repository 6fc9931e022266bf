"""Arrays and a JSON header in one .npz with a checksum, no pickle inside.

npz is NumPy's own container, so a file opens anywhere NumPy does, with nothing else installed. It
is read as views of the bytes on disk: what a hostile header declares is never allocated, and an
array of objects, whose pickle could run code, cannot be such a view.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np

from lenet_xp.files import atomic_write

LARGEST = 64 * 2**20  # bytes: far above any LeNet-5, so a hostile file costs little
MOST_ARRAYS = 1000
LONGEST_HEADER = 4 * 2**20  # bytes: as Python objects, JSON may take thirty times as many


class Damaged(ValueError):
    """A file that is no container, or whose content is not what was written."""


def write_container(
    path: str | os.PathLike[str], header: dict[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write header and arrays, whole or not at all, on disk when it returns. Raises InputError."""
    header = header | {"sha256": _digest(header, arrays)}
    text = json.dumps(header, ensure_ascii=False).encode()
    with atomic_write(path) as handle:
        np.savez(handle, header=np.frombuffer(text, np.uint8), **dict[str, Any](arrays))


def read_container(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a file's bytes, checked against the checksum if there is one.

    The arrays are read-only views. Raises Damaged, zipfile.BadZipFile and whatever else damaged
    bytes make of NumPy's and zipfile's readers.
    """
    arrays = _arrays(data)
    if "header" not in arrays:
        raise Damaged("it has no header")
    text = arrays.pop("header").tobytes()
    if len(text) > LONGEST_HEADER:
        raise Damaged("its header is too large")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Damaged("its header is damaged") from error
    if not isinstance(header, dict):
        raise Damaged("its header is of another format")
    checksum = header.pop("sha256", None)
    if checksum is not None and checksum != _digest(header, arrays):
        raise Damaged("its checksum does not match its content")
    return header, arrays


def _digest(header: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the header and each array's name, dtype, shape and bytes."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _arrays(data: bytes) -> dict[str, np.ndarray]:
    arrays = {}
    if data.count(b"PK\1\2") > MOST_ARRAYS:  # as each entry of the list of members begins
        raise Damaged("it holds too many arrays")
    with zipfile.ZipFile(BytesIO(data)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
            raise Damaged("its content is too large")
        for entry in archive.infolist():
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                # Python unpacks the others beyond the size that an entry declares.
                raise Damaged("it is compressed in another way than NumPy's")
            name, suffix = os.path.splitext(entry.filename)
            if suffix != ".npy":
                raise Damaged(f"it holds {entry.filename[:40]!r}, no header")
            content = BytesIO(archive.read(entry))
            if np.lib.format.read_magic(content) != (1, 0):
                raise Damaged(f"{name} is of another version of NumPy's format")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(content)
            flat = np.frombuffer(content.getbuffer()[content.tell() :], dtype)
            arrays[name] = flat.reshape(shape, order="F" if fortran else "C")
    return arrays
