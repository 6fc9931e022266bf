"""A folder of class folders."""

import hashlib
import os
import zlib
from pathlib import Path

from lenet_xp.data.tree import Tree, find_tree
from lenet_xp.errors import InputError


class Folder:
    """A folder on disk; `tree` says which images it holds, `read` gives the bytes of one."""

    def __init__(self, path):
        self.path = Path(path)
        self._files, self._folders = {}, []
        try:
            self._scan(self.path, "")
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
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
        checksum = {}

        def checksum_of(name):
            if name not in checksum:
                checksum[name] = zlib.crc32(self.read(name))
            return checksum[name]

        return find_tree(str(self.path), self._files, self._folders, checksum_of)

    def read(self, name: str) -> bytes:
        """The content of one file; InputError names it where it cannot be read."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise InputError(f"{name}: cannot be read ({error.strerror})") from error

    def _scan(self, folder, prefix):
        """Note each file with its size and time. Linked folders are left out: they may loop."""
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    self._folders.append(name)
                    self._scan(entry.path, name + "/")
                elif entry.is_file():
                    status = entry.stat()
                    self._files[name] = (status.st_size, status.st_mtime_ns)
