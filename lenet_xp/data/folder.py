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
from lenet_xp.pictures.image_file import read_file
from lenet_xp.pictures.kinds import START
from lenet_xp.system.progress import search_report

MAX_ENTRIES = 1_000_000  # entries: files and folders that a searched folder may hold


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
        with search_report(f"reading {self.path}", self._progress) as advance:
            for path in tree.paths:
                digest.update(self._digest(path))
                advance(1)
        return f"folder {digest.hexdigest()}"

    def tree(self) -> Tree:
        """The images and their classes; see `find_tree`."""
        images = [each.path for each in self._entries if not each.folder and each.why is None]
        folders = [each.path for each in self._entries if each.folder]
        left_out = [(each.path, each.why) for each in self._entries if each.why is not None]
        return find_tree(str(self.path), images, folders, left_out, cache(self._digest))

    def read(self, name: str) -> bytes:
        try:
            return read_file(self.path / name)
        except OSError as error:
            raise InputError(f"{name}: {_unread(error)}") from error

    def _digest(self, name: str) -> bytes:
        """A hash of a file's content; of the reason where it cannot be read."""
        try:
            with open(self.path / name, "rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            return hashlib.sha256(_unread(error).encode()).digest()


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
            for count, entry in enumerate(_entries(folder), 1):
                advance(1)
                if count > MAX_ENTRIES:
                    raise InputError(f"{folder}: holds over {MAX_ENTRIES:,} files; give less")
                if entry.why != ASIDE:
                    yield entry
    except OSError as error:
        raise InputError(f"{folder}: {_unread(error)}") from error


def _entries(root: Path) -> Iterator[Entry]:
    """Everything found, in an order that is the same everywhere; what links lead to comes last."""
    known: dict[tuple[int, int], str] = {}  # folders met, by device and inode

    def met(folder: Path, words: str) -> str | None:
        """The words under which a folder was met before; None, and it is noted, if it was not."""
        status = os.stat(folder)
        before = known.setdefault((status.st_dev, status.st_ino), words)
        return None if before is words else before

    for parent in Path(os.path.realpath(root)).parents:
        with suppress(OSError):  # one need not be able to look at it
            met(parent, f"{parent}, which holds the searched folder")
    met(root, "the searched folder")
    waiting, links = [""], list[str]()  # folders to be listed, the next one last; and links to such
    beyond = False  # whether a link was followed, so that folders may be met again
    while waiting or links:
        beyond = beyond or not waiting
        path = waiting.pop() if waiting else links.pop(0)
        try:
            if path:
                # Nothing is read behind a dot.
                seen = not is_dotted(path) and met(root / path, f"{path}, which is read already")
                if seen and beyond:
                    yield Entry(path, why=f"leads to {seen}")
                    continue
                yield Entry(path, folder=True)
            with os.scandir(root / path) as listing:
                found = sorted(islice(listing, MAX_ENTRIES + 1), key=lambda each: each.name)
        except OSError as error:
            if not path:
                raise
            yield Entry(path, why=_unread(error))
            continue
        for each in found:
            inner = f"{path}/{each.name}" if path else each.name
            try:
                if not each.is_dir():
                    yield Entry(inner, why=_why_left_out(each, inner))
                elif each.is_symlink() and is_dotted(inner) and not is_aside(each.name):
                    yield Entry(inner, why=DOTTED)
                elif not is_aside(each.name):
                    (links if each.is_symlink() else waiting).append(inner)
            except OSError as error:
                yield Entry(inner, why=_unread(error))


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
