"""Class folders: which of a source's files are the images, and of which class."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lenet_xp.data.dataset import MAX_IMAGES, objection
from lenet_xp.data.image_file import SUFFIXES
from lenet_xp.errors import InputError

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
    if unfit := objection(class_names):
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
