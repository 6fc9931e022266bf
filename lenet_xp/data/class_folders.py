"""Class folders: a source's images are found in one folder per class and read as a data set.

Paths in a source have '/' between their parts, in a zip and on every system's disk alike.
"""

import hashlib
import os
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lenet_xp.data.dataset import MAX_IMAGES, Dataset, Request
from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import MAX_PIXELS, SUFFIXES, decode, read_file
from lenet_xp.pictures.many import LARGE_FILE, Admit, first_problem, prepare
from lenet_xp.system.progress import search_report
from lenet_xp.system.text import problem_with

MAX_ENTRIES = 1_000_000  # entries: files and folders that a searched folder may hold
REPORT_STEP = 1000  # entries: from one report of progress to the next
_EXPECTED = "a folder of images for each class is expected"
_DIGITS = re.compile(r"(\d+)", re.ASCII)

# An image's path by its class and its file, of each folder that holds class folders.
_Trees = dict[str, dict[tuple[str, str], str]]


@dataclass(frozen=True)
class Tree:
    """The images of one set of class folders, by class and then by number."""

    paths: tuple[str, ...]  # of each image in its source
    labels: tuple[int, ...]  # indices into class_names
    class_names: tuple[str, ...]  # sorted

    @property
    def files(self) -> tuple[str, ...]:
        """Each image as class/file, the same for a zip and for what it was unpacked to."""
        return tuple("/".join(path.rsplit("/", 2)[-2:]) for path in self.paths)


class Files(Protocol):
    """A source of class folders; `size` is in bytes, `read` raises InputError for damaged files."""

    def tree(self) -> Tree: ...
    def size(self, name: str) -> int: ...
    def read(self, name: str) -> bytes: ...


def load_folder(request: Request) -> Dataset:
    """The data set of a folder on disk; see `load_class_folders`."""
    return load_class_folders(Folder(request.path, request.progress), request)


def folder_fingerprint(request: Request) -> str:
    """See `Folder.fingerprint`."""
    return Folder(request.path, request.progress).fingerprint()


def load_class_folders(source: Files, request: Request) -> Dataset:
    """The data set of a source of class folders.

    InputError for an unreadable image, or with `skip_bad` for a class in which none is readable.
    """
    tree = source.tree()

    def picture(index: int, admit: Admit) -> np.ndarray:
        path = tree.paths[index]
        if source.size(path) <= LARGE_FILE:
            return decode(source.read(path), path, admit)
        admit(MAX_PIXELS)
        return decode(source.read(path), path)

    name, count = request.name, len(tree.paths)
    images, errors = prepare(count, picture, request.preprocessing, name, request.progress)
    if errors and not request.skip_bad:
        raise InputError(f"{name}: {first_problem(errors)}")
    labels, files = np.array(tree.labels, np.int64), tree.files
    good = np.setdiff1d(np.arange(count), list(errors))
    counts = np.bincount(labels[good], minlength=len(tree.class_names))
    if not counts.all():
        empty = tree.class_names[int(counts.argmin())]
        raise InputError(f"{name}: class {empty!r} has no image that can be read")
    reasons = ((i, errors[i].removeprefix(f"{tree.paths[i]}: ")) for i in sorted(errors))
    return Dataset(
        name,
        images[good] if errors else images,
        labels[good],
        tree.class_names,
        files=tuple(files[i] for i in good),
        skipped=tuple((files[i], reason) for i, reason in reasons),
    )


class Folder:
    """A folder on disk as a source of class folders; progress: report a long search."""

    def __init__(self, path: str | Path, progress: bool = False):
        self.path = Path(path)
        # Of a file its size and time of change, of a folder nothing.
        self._entries: dict[str, tuple[int, ...]] = {
            name: (status.st_size, status.st_mtime_ns) if status else ()
            for name, status in scan(self.path, progress)
        }

    def fingerprint(self) -> str:
        """The word "folder" and a hash of all names, sizes and times of change."""
        digest = hashlib.sha256()
        for name, entry in sorted(self._entries.items()):
            digest.update(f"{name}\0{entry}\0".encode(errors="surrogateescape"))
        return f"folder {digest.hexdigest()}"

    def tree(self) -> Tree:
        """The images and their classes; see `find_tree`."""
        files = [name for name, entry in self._entries.items() if entry]
        folders = [name for name, entry in self._entries.items() if not entry]
        checksum = cache(lambda name: zlib.crc32(self.read(name)))
        return find_tree(str(self.path), files, folders, checksum)

    def size(self, name: str) -> int:
        return self._entries[name][0]

    def read(self, name: str) -> bytes:
        try:
            return read_file(self.path / name)
        except OSError as error:
            raise InputError(f"{name}: cannot be read ({error.strerror or error})") from error


def scan(folder: Path, progress: bool = False) -> Iterator[tuple[str, os.stat_result | None]]:
    """Everything in a folder and its subfolders: the path from there, a file's status or None.

    Left out are devices, pipes and links to folders, which may loop. InputError for what cannot be
    read and for too many entries.
    """
    try:
        with search_report(f"searching {folder}", progress) as advance:
            for count, (name, entry) in enumerate(_entries(folder), 1):
                if count % REPORT_STEP == 0:
                    advance(REPORT_STEP)
                if count > MAX_ENTRIES:
                    raise InputError(f"{folder}: holds over {MAX_ENTRIES:,} files; give less")
                if entry.is_dir(follow_symlinks=False):
                    yield name, None
                elif entry.is_file():
                    yield name, entry.stat()
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _entries(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Everything in a folder and its subfolders; links to folders are not followed."""
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name + "/")
                yield name, entry


def find_tree(
    name: str, files: Iterable[str], folders: Iterable[str], checksum: Callable[[str], int]
) -> Tree:
    """The one set of class folders among the files of a source.

    files, folders: their paths in the source.
    checksum: of a file's content, computed only where a source holds several sets.
    A set that the source holds twice is read once: Kaggle's AMHCD archive is of this kind. No
    images, too many, a single class, an empty class folder, class names that cannot be written and
    several different sets raise InputError.
    """
    trees = _images_by_root(files)
    if not trees:
        raise InputError(f"{name}: holds no images in class folders; {_EXPECTED}")
    root = max(sorted(trees), key=lambda each: len(trees[each]))
    images = sorted(trees[root], key=lambda each: (each[0], _natural(each[1])))
    if len(images) > MAX_IMAGES:
        raise InputError(f"{name}: holds {len(images):,} images; at most {MAX_IMAGES:,} are read")
    class_names = tuple(sorted({class_name for class_name, _ in images}))
    if unfit := problem_with(class_names):
        raise InputError(f"{name}: {unfit}")
    _check_other_trees(name, trees, root, checksum)
    if len(class_names) == 1:
        raise InputError(f"{name}: holds the one class {class_names[0]!r}; {_EXPECTED}, at least 2")
    index = {class_name: label for label, class_name in enumerate(class_names)}
    for folder in folders:
        parent, _, last = folder.rpartition("/")
        if parent == root and last not in index and _is_visible(folder):
            raise InputError(f"{name}: class folder {folder} holds no image; fill or remove it")
    paths = tuple(trees[root][image] for image in images)
    return Tree(paths, tuple(index[class_name] for class_name, _ in images), class_names)


def is_image(path: str) -> bool:
    """Whether a path's name is that of an image; ._name.png, which systems leave, is none."""
    return path.lower().endswith(SUFFIXES) and _is_visible(path)


def _is_visible(path: str) -> bool:
    """False for what systems leave in folders: .DS_Store, ._name, __MACOSX."""
    return not ("/." in f"/{path}" or "/__MACOSX/" in f"/{path}/")


def _images_by_root(files: Iterable[str]) -> _Trees:
    """The images in class folders, by the folder that holds these."""
    trees: _Trees = defaultdict(dict)
    for path in filter(is_image, files):
        folder, _, file = path.rpartition("/")
        root, _, class_name = folder.rpartition("/")
        if class_name:
            trees[root][class_name, file] = path
    return trees


def _check_other_trees(name: str, trees: _Trees, root: str, checksum: Callable[[str], int]) -> None:
    """Refuse to guess: only copies of the chosen tree and loose images may stand beside it."""
    chosen = trees[root]
    for other in sorted(set(trees) - {root}):
        folders = {path.rpartition("/")[0] for path in trees[other].values()}
        if all(f"{root}/".startswith(f"{folder}/") for folder in folders):
            continue  # a preview picture beside the class folders or above them
        twins = sum(
            image in chosen and checksum(chosen[image]) == checksum(path)
            for image, path in trees[other].items()
        )
        if 2 * twins <= len(trees[other]):
            raise InputError(
                f"{name}: holds several different sets of class folders ({root or '.'}, "
                f"{other or '.'}); give one of them"
            )


def _natural(name: str) -> tuple[list[Any], str]:
    """A sort key by which 2 comes before 10, and no number is too long."""
    parts: list[Any] = _DIGITS.split(name)
    parts[1::2] = [(len(digits), digits) for digits in (each.lstrip("0") for each in parts[1::2])]
    return parts, name
