"""Class folders: a source's images are found in one folder per class and read as a data set.

Paths in a source have '/' between their parts, in a zip and on every system's disk alike.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lenet_xp.data.account import LeftOut, is_aside, is_dotted, remarks_on, told
from lenet_xp.data.dataset import MAX_IMAGES, Dataset, Request
from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import MAX_PIXELS, ImageFile
from lenet_xp.pictures.kinds import named_image
from lenet_xp.pictures.many import LARGE_FILE, Admit, first_problem, prepare
from lenet_xp.system.text import problem_with

ASKED_FOR_COLOURS = 16  # pictures of a source: they tell whether it is in colour
_EXPECTED = "a folder of images for each class is expected"
_LOOSE = "stands in no class folder"
_DIGITS = re.compile(r"(\d+)", re.ASCII)

# An image's path by its class and its file, of each folder that holds class folders.
_Trees = dict[str, dict[tuple[str, str], str]]


@dataclass(frozen=True)
class Tree:
    """The images of one set of class folders, by class and then by number."""

    paths: tuple[str, ...]  # of each image in its source
    labels: tuple[int, ...]  # indices into class_names
    class_names: tuple[str, ...]  # sorted
    left_out: tuple[LeftOut, ...] = ()  # what else stands in the source, sorted

    @property
    def files(self) -> tuple[str, ...]:
        """Each image as class/file, the same for a zip and for what it was unpacked to."""
        return tuple("/".join(path.rsplit("/", 2)[-2:]) for path in self.paths)


class Files(Protocol):
    """A source of class folders; `size` is in bytes, `read` raises InputError for damaged files."""

    def tree(self) -> Tree: ...
    def size(self, name: str) -> int: ...
    def read(self, name: str) -> bytes: ...


def load_class_folders(source: Files, request: Request) -> Dataset:
    """The data set of a source of class folders.

    InputError for an unreadable image, or with `skip_bad` for a class in which none is readable.
    """
    tree = source.tree()

    name, count = request.name, len(tree.paths)
    asked = range(0, count, max(1, count // ASKED_FOR_COLOURS))
    colour = request.preprocessing.channels == 3
    coloured: set[int] = set()
    several_pages: set[int] = set()

    def picture(index: int, admit: Admit) -> np.ndarray:
        path = tree.paths[index]
        if large := source.size(path) > LARGE_FILE:
            admit(MAX_PIXELS)  # before its bytes are read
        image = ImageFile(source.read(path), path)
        pixels = image.page(0, bool if large else admit, colour)
        if not colour and index in asked and image.has_colours(pixels):
            coloured.add(index)
        if image.pages > 1:
            several_pages.add(index)
        return pixels

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
        left_out=tree.left_out,
        remarks=remarks_on(*([files[i] for i in sorted(s)] for s in (coloured, several_pages))),
    )


def find_tree(
    name: str,
    images: Iterable[str],
    folders: Iterable[str],
    left_out: Iterable[LeftOut],
    checksum: Callable[[str], object],
) -> Tree:
    """The one set of class folders among the images of a source.

    images, folders: their paths in the source. left_out: what stands there beside them.
    checksum: of a file's content, computed only where a source holds several sets.
    A set that the source holds twice is read once: Kaggle's AMHCD archive is of this kind. No
    images, too many, a single class, an empty class folder, class names that cannot be written and
    several different sets raise InputError.
    """
    (trees, loose), others = _images_by_root(images), list(left_out)
    if not trees:
        found = [*loose, *others]
        more = f" ({told(found, 0)})" if found else ""
        raise InputError(f"{name}: holds no images in class folders{more}; {_EXPECTED}")
    root = max(sorted(trees), key=lambda each: len(trees[each]))
    chosen = sorted(trees[root], key=lambda each: (each[0], _natural(each[1])))
    if len(chosen) > MAX_IMAGES:
        raise InputError(f"{name}: holds {len(chosen):,} images; at most {MAX_IMAGES:,} are read")
    class_names = tuple(sorted({class_name for class_name, _ in chosen}))
    if unfit := problem_with(class_names):
        raise InputError(f"{name}: {unfit}")
    beside = _beside(name, trees, root, checksum)
    if len(class_names) == 1:
        raise InputError(f"{name}: holds the one class {class_names[0]!r}; {_EXPECTED}, at least 2")
    elsewhere = {path.rpartition("/")[0] + "/" for path, _ in beside}
    unread = [each for each in folders if not any(e.startswith(f"{each}/") for e in elsewhere)]
    _check_empty_folders(name, root, class_names, unread, others)
    index = {class_name: label for label, class_name in enumerate(class_names)}
    return Tree(
        tuple(trees[root][image] for image in chosen),
        tuple(index[class_name] for class_name, _ in chosen),
        class_names,
        tuple(sorted([*loose, *beside, *others])),
    )


def _images_by_root(images: Iterable[str]) -> tuple[_Trees, list[LeftOut]]:
    """The images in class folders, by the folder that holds these; and the images in none."""
    trees: _Trees = defaultdict(dict)
    loose: list[LeftOut] = []
    for path in images:
        folder, _, file = path.rpartition("/")
        root, _, class_name = folder.rpartition("/")
        if class_name:
            trees[root][class_name, file] = path
        else:
            loose.append((path, _LOOSE))
    return trees, loose


def _beside(
    name: str, trees: _Trees, root: str, checksum: Callable[[str], object]
) -> list[LeftOut]:
    """The images outside of the chosen tree, which are left out: copies of it and loose ones.

    InputError where it would be a guess which tree is meant.
    """
    chosen, left_out = trees[root], []
    for other in sorted(set(trees) - {root}):
        folders = {path.rpartition("/")[0] for path in trees[other].values()}
        if all(f"{root}/".startswith(f"{folder}/") for folder in folders):
            left_out += [(path, _LOOSE) for path in trees[other].values()]
            continue
        within = _class_folder_around(other, root, chosen)
        if within and 2 * len(trees[other]) <= len(chosen):
            why = f"stands in a folder within the class folder {within}; move it up to have it read"
            left_out += [(path, why) for path in trees[other].values()]
            continue
        alone = f"stands in a second set of class folders, beside {root or '.'}"
        twins = {
            path: f"is the same as {chosen[image]}"
            for image, path in trees[other].items()
            if image in chosen and checksum(chosen[image]) == checksum(path)
        }
        if 2 * len(twins) <= len(trees[other]):
            raise InputError(
                f"{name}: holds several different sets of class folders ({root or '.'}, "
                f"{other or '.'}); give one of them"
            )
        left_out += [(path, twins.get(path, alone)) for path in trees[other].values()]
    return left_out


def _class_folder_around(folder: str, root: str, images: Iterable[tuple[str, str]]) -> str | None:
    """The class folder of the tree at `root` that is a folder or holds it, if there is one."""
    prefix = f"{root}/" if root else ""
    first = folder.removeprefix(prefix).partition("/")[0]
    inside = folder.startswith(prefix) and any(class_name == first for class_name, _ in images)
    return prefix + first if inside else None


def _check_empty_folders(
    name: str,
    root: str,
    class_names: Container[str],
    folders: Iterable[str],
    left_out: list[LeftOut],
) -> None:
    """InputError for a class folder without images: its class would be lost.

    A folder of files whose names are not those of images is no class folder.
    """
    prefix = f"{root}/" if root else ""
    found: dict[str, list[LeftOut]] = {
        folder: [] for folder in folders if folder.rpartition("/")[0] == root
    }
    for path, why in left_out:
        last, inside, _ = path.removeprefix(prefix).partition("/")
        if path.startswith(prefix) and (inside or path in found):
            found.setdefault(prefix + last, []).append((path, why))
    for folder, files in sorted(found.items()):
        if folder.removeprefix(prefix) in class_names or is_dotted(folder) or is_aside(folder):
            continue
        lost = [each for each in files if named_image(each[0]) or each[0] == folder]
        if lost or not files:
            reason = f" ({': '.join(lost[0])})" if lost else ""
            problem = f"class folder {folder} holds no image{reason}; fill or remove it"
            raise InputError(f"{name}: {problem}")


def _natural(name: str) -> tuple[list[Any], str]:
    """A sort key by which 2 comes before 10, and no number is too long."""
    parts: list[Any] = _DIGITS.split(name)
    parts[1::2] = [(len(digits), digits) for digits in (each.lstrip("0") for each in parts[1::2])]
    return parts, name
