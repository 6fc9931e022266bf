"""A folder on disk: what stands in it, as a source of class folders or as pictures alone."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from lenet_xp.data.account import ASIDE, DOTTED, LeftOut, is_aside, is_dotted, why_left_out
from lenet_xp.data.class_folders import Tree, find_tree
from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import MAX_BYTES, read_file
from lenet_xp.pictures.kinds import START
from lenet_xp.pictures.many import CHUNK, MAX_WORKERS
from lenet_xp.system.own_process import usable_cores
from lenet_xp.system.progress import search_report
from lenet_xp.system.workers import in_order

MAX_ENTRIES = 1_000_000  # entries: files and folders that a searched folder may hold
_PIECE = 2**20  # bytes: hashed at a time


class Entry(NamedTuple):
    """A folder, an image, or with `why` a thing that is left out; the path is from the source."""

    path: str
    folder: bool = False
    why: str | None = None


class Folder:
    """A folder on disk as a source of class folders; progress: report a long search."""

    def __init__(self, path: str | Path, progress: bool = False):
        self.path, self._progress = Path(path), progress
        self._entries = list(scan(self.path, progress))

    def fingerprint(self) -> str:
        """The word "folder" and a hash of the images' paths, classes and content and of the rest.

        Sizes and times of change are not asked: tools write pictures that differ in neither.
        """
        tree = self.tree()
        digest = hashlib.sha256(repr(tree).encode(errors="surrogateescape"))
        parts = [tree.paths[i : i + CHUNK] for i in range(0, len(tree.paths), CHUNK)]

        def digests(paths: tuple[str, ...]) -> bytes:
            return b"".join(map(self._digest, paths))

        with search_report(f"reading {self.path}", self._progress) as advance:
            for part in in_order(digests, parts, min(MAX_WORKERS, usable_cores())):
                digest.update(part)
                advance(CHUNK)
        return f"folder {digest.hexdigest()}"

    def tree(self) -> Tree:
        """The images and their classes; see `find_tree`."""
        images = [each.path for each in self._entries if not each.folder and each.why is None]
        folders = [each.path for each in self._entries if each.folder]
        left_out = [(each.path, each.why) for each in self._entries if each.why is not None]
        return find_tree(str(self.path), images, folders, left_out, cache(self._digest))

    def size(self, name: str) -> int:
        try:
            return os.stat(self.path / name).st_size
        except OSError:
            return 0  # `read` says why

    def read(self, name: str) -> bytes:
        try:
            return read_file(self.path / name)
        except OSError as error:
            raise InputError(f"{name}: {_unread(error)}") from error

    def _digest(self, name: str) -> bytes:
        """A hash of a file's content, as far as `read` reads it; the reason where it cannot."""
        digest = hashlib.sha256()
        try:
            with open(self.path / name, "rb", buffering=0) as file:
                size = min(os.fstat(file.fileno()).st_size, MAX_BYTES + 1)
                while size > 0 and (piece := file.read(min(size, _PIECE))):
                    digest.update(piece)
                    size -= len(piece)
        except OSError as error:
            digest.update(_unread(error).encode())
        return digest.digest()


def pictures_in(folder: Path, most: int) -> tuple[list[str], list[LeftOut]]:
    """The paths of a folder's images, at most `most`, and what is left out; both in order."""
    images: list[str] = []
    left_out: list[LeftOut] = []
    for path, is_folder, why in scan(folder, progress=True):
        if why is not None:
            left_out.append((path, why))
        elif not is_folder:
            images.append(path)
        if len(images) == most:
            break
    return sorted(images, key=lambda path: path.split("/")), sorted(left_out)


def scan(folder: Path, progress: bool = False) -> Iterator[Entry]:
    """Everything in a folder and its subfolders, except for what systems leave.

    Links are followed, and each folder is read once: links to one that was read, which may loop,
    are left out. InputError for a folder that cannot be read and for too many entries.
    """
    try:
        with search_report(f"searching {folder}", progress) as advance:
            for count, entry in enumerate(_Search(folder).entries(), 1):
                advance(1)
                if count > MAX_ENTRIES:
                    raise InputError(f"{folder}: holds over {MAX_ENTRIES:,} files; give less")
                if entry.why != ASIDE:
                    yield entry
    except OSError as error:
        raise InputError(f"{folder}: {_unread(error)}") from error


class _Search:
    """A search through a folder: own folders first, and then those that links lead to."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._waiting = [""]  # prefixes of the paths in folders to be listed, the next one last
        self._links: list[str] = []  # to folders
        self._beyond = False  # whether a link was followed, so that folders may be met again
        self._known: dict[tuple[int, int], str] = {}  # by device and inode
        for parent in Path(os.path.realpath(folder)).parents:
            with suppress(OSError):  # one need not be able to look at it
                self._met(parent, f"{parent}, which holds the searched folder")

    def entries(self) -> Iterator[Entry]:
        """Everything found, in an order that is the same on every system."""
        self._met(self.folder, "the searched folder")
        while self._waiting or self._links:
            if self._waiting:
                yield from self._listed(self._waiting.pop())
            else:
                self._beyond = True
                yield self._folder(self._links.pop(0))

    def _met(self, folder: Path, words: str) -> str | None:
        """The words under which a folder was met before; None, and it is noted, if it was not."""
        status = os.stat(folder)
        before = self._known.setdefault((status.st_dev, status.st_ino), words)
        return None if before is words else before

    def _folder(self, path: str) -> Entry:
        """A folder, which is to be listed unless it was met before."""
        try:  # nothing is read behind a dot
            words = f"{path}, which is read already"
            before = None if is_dotted(path) else self._met(self.folder / path, words)
        except OSError as error:
            return Entry(path, why=_unread(error))
        if before and self._beyond:
            return Entry(path, why=f"leads to {before}")
        self._waiting.append(f"{path}/")
        return Entry(path, folder=True)

    def _listed(self, prefix: str) -> Iterator[Entry]:
        """What stands directly in a folder."""
        try:
            with os.scandir(self.folder / prefix) as listing:
                found = sorted(islice(listing, MAX_ENTRIES + 1), key=lambda each: each.name)
        except OSError as error:
            if not prefix:
                raise
            yield Entry(prefix[:-1], why=_unread(error))
            return
        for each in found:
            path = prefix + each.name
            try:
                if not each.is_dir():
                    yield Entry(path, why=_why_left_out(each, path))
                elif is_aside(each.name):
                    continue
                elif each.is_symlink() and is_dotted(path):
                    yield Entry(path, why=DOTTED)
                elif each.is_symlink():
                    self._links.append(path)
                else:
                    yield self._folder(path)
            except OSError as error:
                yield Entry(path, why=_unread(error))


def _why_left_out(entry: os.DirEntry[str], path: str) -> str | None:
    """See `why_left_out`; OSError where the entry cannot be looked at."""
    if entry.is_symlink() and not os.path.exists(entry.path):
        missing = f"is a link whose target is missing: {os.readlink(entry.path)}"
        return ASIDE if is_aside(entry.name) else missing
    if not entry.is_file():
        return "is a device or a pipe, no file"

    def start() -> bytes:
        if not entry.stat().st_size:  # also of files that never end, such as those in /proc
            return b""
        with open(entry.path, "rb", buffering=0) as file:
            return file.read(START)

    return why_left_out(path, start)


def _unread(error: OSError) -> str:
    return f"cannot be read ({error.strerror or error})"
