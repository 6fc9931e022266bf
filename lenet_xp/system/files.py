"""Files are written whole or not at all: a reader never sees half a file."""

import csv
import errno
import json
import math
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np

from lenet_xp.errors import InputError

FilePath = str | os.PathLike[str]

MAKE_SPACE = "free some space or choose another place"
ADVICE = {
    MAKE_SPACE: (errno.ENOSPC, errno.EDQUOT),
    "raise the limit (ulimit -f) or choose another place": (errno.EFBIG,),
    "change its permissions or choose another place": (errno.EACCES, errno.EPERM),
    "choose a place that is not read-only": (errno.EROFS,),
    "give a shorter name": (errno.ENAMETOOLONG,),
    "create its folder, or choose another place": (errno.ENOENT,),
    "choose another place, for its path leads through a file": (errno.ENOTDIR,),
    "try again, or choose a disk that works": (errno.EIO, errno.ESTALE),
}


@contextmanager
def atomic_write(path: FilePath) -> Iterator[BinaryIO]:
    """Yield a binary file handle whose content is on disk and replaces `path` when the block ends.

    When anything fails, Ctrl-C included, the old file stays as it was. A symbolic link is followed;
    devices and pipes are refused. Raises InputError for whatever the system refuses.
    """
    temporary = None
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            # Root can rename a file over /dev/null, which would then be lost to every program.
            raise OSError(f"it is a {'folder' if target.is_dir() else 'device'}, not a file")
        # A short random name clashes with no other file, and is not too long where `path` is not.
        temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
        with temporary.open("xb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(target)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def remove_leftovers(folder: FilePath) -> None:
    """Remove the temporary files of killed writers; nobody else may be writing to `folder`."""
    for path in Path(folder).glob(".*.tmp"):
        if re.fullmatch(r"\.[0-9a-f]{16}\.tmp", path.name):
            path.unlink(missing_ok=True)


def make_folder(path: FilePath) -> Path:
    """Create the folder `path` and its parents unless it exists; return it. Raises InputError."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error
    return folder


def write_text(path: FilePath, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all. Raises InputError.

    Bytes of a file's name that are no text become escapes such as \\udce9, which JSON has, too.
    """
    with atomic_write(path) as handle:
        handle.write(_encoded(text))


def write_json(path: FilePath, value: Any) -> None:
    """Write a value as JSON, whole or not at all. Raises InputError, TypeError as `json_text`."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Return `value` as indented JSON in the order given, with a newline at its end.

    NumPy scalars and arrays, paths and tuples are converted. NaN and infinities, which JSON lacks,
    become null. Raises TypeError for a value that JSON cannot hold.
    """
    return json.dumps(_as_json(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_csv(path: FilePath, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write one header line and `rows`, one by one, as `write_text` would. Raises InputError."""
    with atomic_write(path) as handle:
        # A line ends in \r\n at first, so that the writer quotes either sign in a cell.
        lines: Any = SimpleNamespace(write=lambda line: handle.write(_encoded(line[:-2] + "\n")))
        csv.writer(lines).writerows(chain([header], rows))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _cannot_write(path: FilePath, error: OSError) -> InputError:
    known = (words for words, codes in ADVICE.items() if error.errno in codes)
    advice = next(known, "choose another place")
    return InputError(f"cannot write {os.fspath(path)}: {error.strerror or error}; {advice}")


def is_full(error: InputError) -> bool:
    """Whether this is a refusal for want of space, which removing files may mend."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in ADVICE[MAKE_SPACE]


def _as_json(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return os.fspath(value) if isinstance(value, os.PathLike) else value
