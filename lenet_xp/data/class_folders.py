"""Class folders: a source's images are found in one folder per class and read as a data set.

Paths in a source have '/' between their parts, in a zip and on every system's disk alike.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lenet_xp.data.account import LeftOut, is_aside, is_dotted, remarks_on, told
from lenet_xp.data.dataset import MAX_IMAGES, Dataset, Request
from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import ImageFile
from lenet_xp.pictures.kinds import named_image
from lenet_xp.pictures.levels import has_colours
from lenet_xp.pictures.many import first_problem, prepare
from lenet_xp.system.text import problem_with

ASKED_FOR_COLOURS = 16  # pictures of a source: they tell whether it is in colour
_EXPECTED = (
    "a folder of images for each class is expected, or files named by class, such as ya_1.png, "
    "at least 2 of each, or a table of files and labels"
)
_LOOSE = "stands in no class folder"
_BESIDE = "stands beside the class folders in train, val or test"
# Folders that hold the class folders of training, validation or test; case is ignored.
_PARTS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1}
_PARTS |= {"test": 2, "testing": 2}
# A file named by its class: up to the last letter, then a number, as in ya_001.png, "yab (3).png".
_NAMED = re.compile(r"(.*[^\W\d_])[\s_.-]*(\(\d+\)|\d+)\.[^.]+", re.DOTALL)
_DIGITS = re.compile(r"(\d+)", re.ASCII)

# An image's path by its class and its file, of each folder that holds class folders.
_Trees = dict[str, dict[tuple[str, str], str]]


@dataclass(frozen=True)
class Tree:
    """The images of one set of class folders, by class and then by number."""

    paths: tuple[str, ...]  # of each image in its source
    labels: tuple[int, ...]  # indices into class_names
    class_names: tuple[str, ...]  # sorted
    left_out: tuple[LeftOut, ...]  # what else is there, sorted; rows of a table first
    root: str = ""  # the folder that holds the class folders

    @property
    def files(self) -> tuple[str, ...]:
        """Each image's path from the root, the same for a zip and for what it was unpacked to."""
        return tuple(path.removeprefix(f"{self.root}/") for path in self.paths)


class Files(Protocol):
    """A source of class folders; `read` raises InputError for damaged files."""

    def tree(self) -> Tree: ...
    def read(self, name: str) -> bytes: ...


def load_class_folders(source: Files, request: Request) -> Dataset:
    """The data set of a source of class folders.

    InputError for an unreadable image, or with `skip_bad` for a class in which none is readable.
    """
    tree = source.tree()
    name, count = request.name, len(tree.paths)
    asked = range(0, count, max(1, count // ASKED_FOR_COLOURS))
    colour = request.preprocessing.channels == 3
    coloured, several_pages = set[int](), set[int]()

    def picture(index: int) -> np.ndarray:
        path = tree.paths[index]
        image = ImageFile(source.read(path), path)
        pixels = image.page(colour=colour)
        if not colour and index in asked and has_colours(image.page(colour=True)):
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
    own, remarks = _own_split(tree, good, name)
    skipped = ((files[i], errors[i].removeprefix(f"{tree.paths[i]}: ")) for i in sorted(errors))
    return Dataset(
        name,
        images[good] if errors else images,
        labels[good],
        tree.class_names,
        files=tuple(files[i] for i in good),
        **own,
        skipped=tuple(skipped),
        left_out=tree.left_out,
        remarks=remarks_on(*([files[i] for i in sorted(s)] for s in (coloured, several_pages)))
        + remarks,
    )


def _own_split(tree: Tree, good: np.ndarray, name: str) -> tuple[dict[str, int], tuple[str, ...]]:
    """The sizes of a source's own parts, and a line on each class that its test lacks.

    Without a test part, that of validation is the test. InputError for a class that training lacks.
    """
    places = [_place(file) for file in tree.files]
    if None in places or len(set(places)) == 1:
        return {}, ()
    test = max(filter(None, places))
    parts, labels = (np.array(each)[good] for each in (places, tree.labels))
    untrained, untested = (set(tree.labels) - set(labels[parts == each]) for each in (0, test))
    if untrained:
        lacking = tree.class_names[min(untrained)]
        raise InputError(f"{name}: class {lacking!r} has no image to train on; move some there")
    lines = (f"class {tree.class_names[each]!r} has no test image" for each in sorted(untested))
    counts = (int((parts == each).sum()) for each in (0, 1))
    return dict(zip(("source_train", "source_val")[:test], counts, strict=False)), tuple(lines)


def _place(file: str) -> int | None:
    """Which of the source's own parts holds an image, by its path from the root of its tree."""
    part, *others = file.split("/")
    return _PARTS.get(part.casefold()) if len(others) > 1 else None


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
    every, others = list(images), list(left_out)
    trees, loose = _images_by_root(every)
    if len({class_name for tree in trees.values() for class_name, _ in tree}) < 2:
        found = {path: _NAMED.fullmatch(path.rpartition("/")[2]) for path in every}
        named = [(met[1], path) for path, met in found.items() if met]
        counts = Counter(class_name for class_name, _ in named)
        if len(counts) > 1 and min(counts.values()) > 1:
            loose = [(path, "has a name that gives no class") for path in every if not found[path]]
            return tree_of(name, named, [*loose, *others])
    root = max(sorted(trees), key=lambda each: len(trees[each]), default="")
    beside = _beside(name, trees, root, checksum) if trees else []
    chosen = [(class_name, path) for (class_name, _), path in trees[root].items()]
    holders = sorted({path.rpartition("/")[0].rpartition("/")[0] for _, path in chosen})
    root = holders[0] if len(holders) == 1 else root
    tree = tree_of(name, chosen, [*loose, *beside, *others], root)
    elsewhere = {path.rpartition("/")[0] + "/" for path, _ in beside}
    unread = [each for each in folders if not any(e.startswith(f"{each}/") for e in elsewhere)]
    for holder in holders:
        _check_empty_folders(name, holder, tree.class_names, unread, others)
    return tree


def tree_of(
    name: str,
    images: Iterable[tuple[str, str]],
    left_out: Iterable[LeftOut],
    root: str = "",
    expected: str = _EXPECTED,
) -> Tree:
    """The tree of images, each given as its class and its path.

    expected: what the InputError for too few classes says; others are raised as by `find_tree`.
    """

    def order(image: tuple[str, str]) -> tuple[Any, ...]:
        return _place(image[1].removeprefix(f"{root}/")) or 0, image[0], natural(image[1])

    chosen = sorted(images, key=order)
    rest = tuple(sorted(left_out, key=lambda each: (not each[1].startswith("line "), each)))
    class_names = tuple(sorted({class_name for class_name, _ in chosen}))
    if len(chosen) > MAX_IMAGES:
        raise InputError(f"{name}: holds {len(chosen):,} images; at most {MAX_IMAGES:,} are read")
    if unfit := problem_with(class_names):
        raise InputError(f"{name}: {unfit}")
    if len(class_names) < 2:
        found = f"the one class {class_names[0]!r}" if chosen else "no images in classes"
        more = f" ({told(rest, len(chosen))})" if rest else ""
        raise InputError(f"{name}: holds {found}{more}; {expected}")
    index = {class_name: label for label, class_name in enumerate(class_names)}
    labels = tuple(index[class_name] for class_name, _ in chosen)
    return Tree(tuple(path for _, path in chosen), labels, class_names, rest, root)


def _images_by_root(images: Iterable[str]) -> tuple[_Trees, list[LeftOut]]:
    """The images in class folders, by the folder that holds these, or its parts; and those in none.

    What stands beside the folders of a source's own parts, such as train and test, is in none.
    """
    trees: _Trees = defaultdict(dict)
    loose: list[LeftOut] = []
    parted = set[str]()
    for path in images:
        folder, _, file = path.rpartition("/")
        root, _, class_name = folder.rpartition("/")
        around, _, part = root.rpartition("/")
        if part.casefold() in _PARTS:
            root, file = around, f"{part}/{file}"
            parted.add(root)
        if class_name:
            trees[root][class_name, file] = path
        else:
            loose.append((path, _LOOSE))
    for root in parted:
        beside = [image for image in trees[root] if "/" not in image[1]]
        loose += [(trees[root].pop(image), _BESIDE) for image in beside]
    return trees, loose


def _beside(
    name: str, trees: _Trees, root: str, checksum: Callable[[str], object]
) -> list[LeftOut]:
    """The images outside of the chosen tree; InputError where it is not clear which is meant."""
    chosen, left_out = trees[root], []
    for other in sorted(set(trees) - {root}):
        folders = {path.rpartition("/")[0] for path in trees[other].values()}
        within, twins = _class_folder_around(other, root, chosen), dict[str, str]()
        if all(f"{root}/".startswith(f"{folder}/") for folder in folders):
            why = _LOOSE
        elif within and 2 * len(trees[other]) <= len(chosen):
            why = f"stands in a folder within the class folder {within}; move it up to have it read"
        else:
            why = f"stands in a second set of class folders, beside {root or '.'}"
            twins = {
                path: f"is the same as {chosen[image]}"
                for image, path in trees[other].items()
                if image in chosen and checksum(chosen[image]) == checksum(path)
            }
            if 2 * len(twins) <= len(trees[other]):
                sets = f"({root or '.'}, {other or '.'}); give one of them"
                raise InputError(f"{name}: holds several different sets of class folders {sets}")
        left_out += [(path, twins.get(path, why)) for path in trees[other].values()]
    return left_out


def _class_folder_around(folder: str, root: str, images: Iterable[tuple[str, str]]) -> str | None:
    """The class folder of the tree at `root` that is a folder or holds it, if there is one."""
    prefix = f"{root}/" if root else ""
    first, _, rest = folder.removeprefix(prefix).partition("/")
    if first.casefold() in _PARTS and rest:
        prefix, first = f"{prefix}{first}/", rest.partition("/")[0]
    inside = folder.startswith(prefix) and any(class_name == first for class_name, _ in images)
    return prefix + first if inside else None


def _check_empty_folders(
    name: str,
    root: str,
    class_names: Container[str],
    folders: Iterable[str],
    left_out: list[LeftOut],
) -> None:
    """InputError for a class folder without images; one that holds other files alone is none."""
    prefix, found = f"{root}/" if root else "", dict[str, list[LeftOut]]()
    found |= {folder: [] for folder in folders if folder.rpartition("/")[0] == root}
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


def natural(name: str) -> tuple[list[Any], str]:
    """A sort key by which 2 comes before 10, and no number is too long."""
    parts: list[Any] = _DIGITS.split(name)
    parts[1::2] = [(len(digits), digits) for digits in (each.lstrip("0") for each in parts[1::2])]
    return parts, name
