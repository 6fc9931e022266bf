"""One run to a folder: a lock that goes with its process, however that dies."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lenet_xp.errors import InputError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


@contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a folder for this process alone. Raises InputError where another one holds it."""
    path = Path(folder) / ".lock"
    handle = _acquire(path)
    try:
        yield
    finally:
        with suppress(OSError):  # gone already, or open on a system that minds
            path.unlink()
        handle.close()


def _acquire(path: Path) -> BinaryIO:
    while True:
        try:
            handle = path.open("ab")
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror or error}") from error
        try:
            _lock(handle)
        except OSError as error:
            handle.close()
            raise InputError(
                f"{path.parent}: another run is writing there; wait for its end, "
                "or choose another --out"
            ) from error
        # Its last holder may have removed the file between our opening and our locking it.
        with suppress(OSError):
            if os.path.samestat(os.fstat(handle.fileno()), path.stat()):
                return handle
        handle.close()


def _lock(handle: BinaryIO) -> None:
    if sys.platform == "win32":
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
