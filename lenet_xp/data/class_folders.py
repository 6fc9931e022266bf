"""Class folders: which of a source's files are the images, and of which class."""

import hashlib
import os
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.data.dataset import MAX_IMAGES, Dataset
from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import MAX_PIXELS, SUFFIXES, decode, read_file
from lenet_xp.pictures.many import LARGE_FILE, Admit, first_problem, prepare
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.progress import search_report
from lenet_xp.system.text import problem_with

# By the folder that holds their class folders: the images, each as (class, file).
_Trees = dict[str, list[tuple[str, str]]]

_DIGITS = re.compile(r"(\d+)", re.ASCII)

EXPECTED = "a folder of images for each class is expected"


@dataclass(frozen=True)
class Tree:
    """The images of one folder of class folders, by class and then by number.

    paths: where each image stands in its source, with '/' between the parts.
    labels: the class of each, an index into class_names; these are sorted.
    """

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    class_names: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """Each image as class/file, the same for a zip and for what it was unpacked to."""
        return tuple("/".join(path.rsplit("/", 2)[-2:]) for path in self.paths)


def is_image(path: str) -> bool:
    """Whether a path in a source, '/' between the parts, is that of an image, to go by its name.

    What systems leave beside images is none, ._name.png for one.
    """
    return path.lower().endswith(SUFFIXES) and _is_visible(path)


def find_tree(
    name: str, files: Iterable[str], folders: Iterable[str], checksum: Callable[[str], int]
) -> Tree:
    """The one tree of class folders among the files of a source.

    files, folders: their paths in the source, '/' between the parts.
    checksum: of a file's content, asked for only where a source holds several trees.
    A tree that stands there twice is read once: Kaggle's AMHCD archive is of this kind. No images,
    too many, a single class, an empty class folder, class names that cannot be written and several
    different trees raise InputError.
    """
    trees = _images_by_root(files)
    if not trees:
        raise InputError(f"{name}: holds no images in class folders; {EXPECTED}")
    root = max(sorted(trees), key=lambda each: len(trees[each]))
    if len(trees[root]) > MAX_IMAGES:
        raise InputError(
            f"{name}: holds {len(trees[root]):,} images; at most {MAX_IMAGES:,} are read"
        )
    class_names = tuple(sorted({class_name for class_name, _ in trees[root]}))
    if unfit := problem_with(class_names):
        raise InputError(f"{name}: {unfit}")
    _check_other_trees(name, trees, root, checksum)
    if len(class_names) == 1:
        raise InputError(f"{name}: holds the one class {class_names[0]!r}; {EXPECTED}, two or more")
    index = {class_name: label for label, class_name in enumerate(class_names)}
    for folder in folders:
        parent, _, last = folder.rpartition("/")
        if parent == root and last not in index and _is_visible(folder):
            raise InputError(f"{name}: class folder {folder} holds no image; fill or remove it")
    ordered = sorted(trees[root], key=lambda each: (each[0], _natural(each[1])))
    return Tree(
        tuple(_path(root, each) for each in ordered),
        tuple(index[class_name] for class_name, _ in ordered),
        class_names,
    )


def _images_by_root(files: Iterable[str]) -> _Trees:
    """The images as (class, file) by the folder that holds their class folder, nothing else."""
    trees: _Trees = defaultdict(list)
    for path in files:
        if is_image(path):
            folder, _, file = path.rpartition("/")
            root, _, class_name = folder.rpartition("/")
            if class_name:
                trees[root].append((class_name, file))
    return trees


def _path(root: str, image: Iterable[str]) -> str:
    return "/".join(part for part in (root, *image) if part)


def _check_other_trees(name: str, trees: _Trees, root: str, checksum: Callable[[str], int]) -> None:
    """Refuse to guess: besides the chosen tree only its copies and loose images may stand."""
    chosen = set(trees[root])
    for other in sorted(set(trees) - {root}):
        folders = {_path(other, image[:1]) for image in trees[other]}
        if all(f"{root}/".startswith(f"{folder}/") for folder in folders):
            continue  # a preview picture beside the class folders or above them
        twins = sum(
            image in chosen and checksum(_path(root, image)) == checksum(_path(other, image))
            for image in trees[other]
        )
        if 2 * twins <= len(trees[other]):
            raise InputError(
                f"{name}: holds several different sets of class folders ({root or '.'}, "
                f"{other or '.'}); give one of them"
            )


def _is_visible(path: str) -> bool:
    """False for what systems leave in folders: .DS_Store, ._name, __MACOSX."""
    return not ("/." in f"/{path}" or "/__MACOSX/" in f"/{path}/")


def _natural(name: str) -> tuple[list[Any], str]:
    """A sort key by which 2 comes before 10, and no number is too long."""
    parts: list[Any] = _DIGITS.split(name)
    parts[1::2] = [(len(digits), digits) for digits in (each.lstrip("0") for each in parts[1::2])]
    return parts, name


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


def load_tree(
    name: str,
    tree: Tree,
    read: Callable[[str], bytes],
    size: Callable[[str], int],
    preprocessing: Preprocessing,
    *,
    skip_bad: bool,
    progress: bool,
) -> Dataset:
    """The data set of a tree of class folders.

    read, size: give the content of one of the tree's paths, and of how many bytes it is.
    An image that cannot be read raises InputError; with `skip_bad` it is listed in `skipped`
    instead, and only a class with no image left is an error.
    """

    def picture(index: int, admit: Admit) -> np.ndarray:
        path = tree.paths[index]
        if size(path) > LARGE_FILE:
            admit(MAX_PIXELS)
            return decode(read(path), path)
        return decode(read(path), path, admit)

    images, errors = prepare(len(tree.paths), picture, preprocessing, name, progress)
    if errors and not skip_bad:
        raise InputError(f"{name}: {first_problem(errors)}")
    labels, files = np.array(tree.labels, np.int64), tree.files
    good = np.setdiff1d(np.arange(len(files)), list(errors))
    counts = np.bincount(labels[good], minlength=len(tree.class_names))
    if not counts.all():
        empty = tree.class_names[int(counts.argmin())]
        raise InputError(f"{name}: class {empty!r} has no image that can be read")
    skipped = [
        (files[i], error.removeprefix(f"{tree.paths[i]}: ")) for i, error in sorted(errors.items())
    ]
    return Dataset(
        name=name,
        images=images[good] if errors else images,
        labels=labels[good],
        class_names=tree.class_names,
        files=tuple(files[i] for i in good),
        skipped=tuple(skipped),
    )
