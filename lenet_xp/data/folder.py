"""A folder of class folders."""

import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from lenet_xp.data.image_file import read_file
from lenet_xp.data.tree import Tree, find_tree
from lenet_xp.errors import InputError
from lenet_xp.system.progress import search_report

MAX_ENTRIES = 1_000_000
AT_A_TIME = 1000  # entries between two reports


class Folder:
    """A folder on disk; `tree` says which images it holds, `read` gives the bytes of one.

    progress: whether to report on standard error while a large folder is searched.
    """

    def __init__(self, path: str | Path, progress: bool = False):
        self.path = Path(path)
        self._files: dict[str, tuple[int, int]] = {}
        self._folders: list[str] = []
        for name, entry in scan(self.path, progress):
            if entry is None:
                self._folders.append(name)
            else:
                self._files[name] = (entry.st_size, entry.st_mtime_ns)

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def fingerprint(self) -> str:
        """A hash of all names, sizes and times of change."""
        digest = hashlib.sha256()
        for name in sorted(self._files):
            digest.update(f"{name}\0{self._files[name]}\0".encode(errors="surrogateescape"))
        for name in sorted(self._folders):
            digest.update(f"{name}/\0".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def tree(self) -> Tree:
        """The images and their classes; see `find_tree`."""
        checksum: dict[str, int] = {}

        def checksum_of(name: str) -> int:
            if name not in checksum:
                checksum[name] = zlib.crc32(self.read(name))
            return checksum[name]

        return find_tree(str(self.path), self._files, self._folders, checksum_of)

    def size(self, name: str) -> int:
        """How many bytes one file is."""
        return self._files[name][0]

    def read(self, name: str) -> bytes:
        """The content of one file; InputError names it where it cannot be read."""
        try:
            return read_file(self.path / name)
        except OSError as error:
            raise InputError(f"{name}: cannot be read ({error.strerror or error})") from error


def scan(folder: Path, progress: bool = False) -> Iterator[tuple[str, os.stat_result | None]]:
    """Everything in a folder and those in it: the path from there, and a file's status.

    None is the status of a folder. Links to folders are left out, for they may loop, and so are
    devices and pipes. What cannot be read raises InputError, and so do too many entries.
    """
    try:
        with search_report(f"searching {folder}", progress) as advance:
            for count, (name, entry) in enumerate(_entries(folder), 1):
                if count % AT_A_TIME == 0:
                    advance(AT_A_TIME)
                if count > MAX_ENTRIES:
                    raise InputError(f"{folder}: holds over {MAX_ENTRIES:,} files; give less")
                if entry.is_dir(follow_symlinks=False):
                    yield name, None
                elif entry.is_file():
                    yield name, entry.stat()
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _entries(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Everything in a folder and those in it, but for what links to folders lead to."""
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name + "/")
                yield name, entry
