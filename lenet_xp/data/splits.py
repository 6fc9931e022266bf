"""Named splits of a data set into training, validation and test images.

Identical images on two sides make a score too good: splits that draw their own sides keep them
together, and `honest_split` drops them from training and validation.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.writers import WRITERS, doubtful_writers, writers_of
from lenet_xp.errors import InputError

SEED = 42  # of every random draw, so that a data set has one split of each name and fold
TEST_SHARE = 0.2  # of all images
VALIDATION_SHARE = 0.1  # of the images that are not test images: seed and source
RANDOM_VALIDATION_SHARE = 0.125  # of the images that are not test images: a tenth of all
VALIDATION_WRITERS = 6  # of the 48 who are not test writers
MIN_IMAGES = 15  # images of each class: 3 to test on, 1 to validate on
MAX_SAMPLES = 10_000  # generated images of each letter

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Split:
    """Indices of the training, validation and test images: three disjoint int64 arrays."""

    name: str
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    fold: int = 0
    folds: np.ndarray | None = None  # of each test image, where networks of each fold judge them


def make_split(dataset: Dataset, name: str | None = None, fold: int = 0) -> Split:
    """The split of a name in SPLITS; by default the source's own, else the seed's.

    seed: the seed project's random fifth of every class as the test set. source: the source's own
    test set. random: 70 % training, 10 % validation, 20 % test images. kfold: 5 folds, each image
    a test image in one. writer: AMHCD's 60 writers in 5 folds of 12; 6 of the others validate.
    Identical images stay on one side of random, kfold and writer. fold: from 0, below FOLDS[name].
    Every image is on one side, and the same data set gives the same split. An unknown name or
    fold, a source without a test set or writers of its own and classes with too few images raise
    InputError.
    """
    name = name or ("seed" if dataset.source_train is None else "source")
    if name not in SPLITS:
        raise InputError(f"split {name!r} is unknown; choose {' or '.join(sorted(SPLITS))}")
    if not 0 <= fold < FOLDS[name]:
        choice = f"0 to {FOLDS[name] - 1}" if FOLDS[name] > 1 else "only 0"
        raise InputError(f"split {name!r} has no fold {fold}; it has {choice}")
    return Split(name, *SPLITS[name](dataset, fold), fold)


def _seed(dataset: Dataset, fold: int) -> Parts:
    train, test = _stratified(dataset, np.arange(len(dataset)), TEST_SHARE)
    return *_stratified(dataset, train, VALIDATION_SHARE), test


def _source(dataset: Dataset, fold: int) -> Parts:
    if not dataset.source_train:
        raise InputError(f"{dataset.name}: has no test set of its own; choose the split 'seed'")
    ends = np.cumsum([dataset.source_train, dataset.source_val])
    train, val, test = np.split(np.arange(len(dataset)), ends)
    if len(val):
        return train, val, test
    return *_stratified(dataset, train, VALIDATION_SHARE), test


def _random(dataset: Dataset, fold: int) -> Parts:
    """Identical images are drawn as one, here and for kfold."""
    groups = image_groups(dataset.images)
    train, test = _stratified(dataset, np.unique(groups, return_index=True)[1], TEST_SHARE)
    return _validated(dataset, groups, train, test)


def _kfold(dataset: Dataset, fold: int) -> Parts:
    groups = image_groups(dataset.images)
    firsts = np.unique(groups, return_index=True)[1]
    labels = dataset.labels[firsts]
    if np.bincount(labels, minlength=len(dataset.class_names)).min() < FOLDS["kfold"]:
        raise _too_few(dataset, labels, TEST_SHARE)
    from sklearn.model_selection import StratifiedKFold  # its import takes a second

    folds = StratifiedKFold(FOLDS["kfold"], shuffle=True, random_state=SEED)
    train, test = (firsts[part] for part in list(folds.split(firsts, labels))[fold])
    return _validated(dataset, groups, train, test)


def _writer(dataset: Dataset, fold: int) -> Parts:
    """Writers who share an image, or may have been taken for one another, stay together."""
    writers = writers_of(dataset)
    shared = members_of(image_groups(dataset.images), writers)
    units = linked(WRITERS, [*shared, *doubtful_writers()])
    test = _writer_folds(units) == fold
    val = np.zeros(WRITERS, bool)
    for unit in np.random.default_rng([SEED, fold]).permutation(np.unique(units[~test])):
        if val.sum() + (units == unit).sum() <= VALIDATION_WRITERS:  # whole units only
            val |= units == unit
    train, val, test = (np.flatnonzero(side[writers]) for side in (~test & ~val, val, test))
    return train, val, test


def _writer_folds(units: np.ndarray) -> np.ndarray:
    """The fold of each writer (60,): the largest unit left goes where there is most room."""
    numbers, sizes = np.unique(units, return_counts=True)
    order = np.random.default_rng(SEED).permutation(len(numbers))  # of units of equal size
    room = np.full(FOLDS["writer"], WRITERS // FOLDS["writer"])
    folds = np.empty(WRITERS, np.int64)
    for place in order[np.argsort(-sizes[order], kind="stable")]:
        fold = int(room.argmax())
        folds[units == numbers[place]] = fold
        room[fold] -= sizes[place]
    return folds


# Each takes a data set and a fold and returns the training, validation and test indices.
SPLITS: dict[str, Callable[[Dataset, int], Parts]] = {
    "seed": _seed,
    "source": _source,
    "random": _random,
    "kfold": _kfold,
    "writer": _writer,
}
FOLDS = {"seed": 1, "source": 1, "random": 1, "kfold": 5, "writer": 5}


def _validated(dataset: Dataset, groups: np.ndarray, train: np.ndarray, test: np.ndarray) -> Parts:
    """Validation images drawn from `train`; each side also gets the twins of its images."""
    train, val = _stratified(dataset, train, RANDOM_VALIDATION_SHARE)
    sides = (groups[side] for side in (train, val, test))
    train, val, test = (np.flatnonzero(np.isin(groups, side)) for side in sides)
    return train, val, test


def _stratified(
    dataset: Dataset, indices: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """The indices parted at random: `share`, and at least one, of every class come second."""
    labels, classes = dataset.labels[indices], len(dataset.class_names)
    if np.bincount(labels, minlength=classes).min() >= 2 and share * len(indices) >= classes:
        from sklearn.model_selection import train_test_split  # its import takes a second

        draw = {"test_size": share, "stratify": labels, "random_state": SEED}
        first, second = train_test_split(indices, **draw)
        if len(np.unique(dataset.labels[second])) == classes:
            return first, second
    raise _too_few(dataset, labels, share)


def few_split(dataset: Dataset) -> Split:
    """The split of a data set that is too small for any other: each image trains.

    Test images are those of classes with two different images or more. They have FOLDS["kfold"]
    folds; a network that learned from the other folds judges each. Identical images stay together.
    """
    groups, folds = image_groups(dataset.images), np.full(len(dataset), -1)
    for label in range(len(dataset.class_names)):
        of_class = np.flatnonzero(dataset.labels == label)
        different, places = np.unique(groups[of_class], return_inverse=True)
        if len(different) > 1:
            order = np.random.default_rng([SEED, label]).permutation(len(different))
            folds[of_class] = order[places] % FOLDS["kfold"]
    for part in repeated(groups):  # of several classes
        folds[part] = folds[part].min()
    test, everything = np.flatnonzero(folds >= 0), np.arange(len(dataset))
    return Split("few", everything, everything, test, folds=folds[test])


def by_folds(split: Split, judge: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The rows (n, ...) of a split's test images, `judge` asked for the images of each fold."""
    folds = np.asarray(split.folds)
    rows = np.concatenate([judge(split.test[folds == fold]) for fold in np.unique(folds)])
    result = np.empty_like(rows)
    result[np.argsort(folds, kind="stable")] = rows
    return result


class TooFew(InputError):
    """A class has too few images for a split."""


def _too_few(dataset: Dataset, labels: np.ndarray, share: float) -> TooFew:
    counts = np.bincount(labels, minlength=len(dataset.class_names))
    found = f"{counts.min()} of class {dataset.class_names[int(counts.argmin())]!r}"
    problem = f"too few images to set {share:.0%} of every class apart ({found})"
    return TooFew(f"{dataset.name}: {problem}; give at least {MIN_IMAGES} of each")


def image_groups(images: np.ndarray) -> np.ndarray:
    """The groups of identical images (N, ...), numbered in the order of their first: (N,) int64."""
    seen: dict[str, int] = {}  # by digest: whole images as keys would take the memory again
    return np.array([seen.setdefault(digest, len(seen)) for digest in digests(images)], np.int64)


def digests(images: np.ndarray) -> list[str]:
    """A digest of each image, equal for identical images."""
    return [hashlib.blake2b(image.tobytes(), digest_size=10).hexdigest() for image in images]


def repeated(groups: np.ndarray) -> list[np.ndarray]:
    """The indices of each group that has several images, one array a group."""
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return [part for part in parts if len(part) > 1]


def linked(count: int, links: Iterable[tuple[int, ...]]) -> np.ndarray:
    """The component of each number below count, by its lowest member; `links` join numbers."""
    lowest = np.arange(count)
    for link in links:
        joined = np.isin(lowest, lowest[list(link)])
        lowest[joined] = lowest[joined].min()
    return lowest


def members_of(groups: np.ndarray, values: np.ndarray) -> list[tuple[int, ...]]:
    """The different `values` (N,) of each group that has several, sorted and without repeats."""
    members = {tuple(np.unique(values[part]).tolist()) for part in repeated(groups)}
    return sorted(each for each in members if len(each) > 1)


@dataclass(frozen=True)
class Overlap:
    """Numbers of images of the first side that are identical to one of the second."""

    train_test: int
    val_test: int
    train_val: int
    dropped: int = 0  # images left out of training and validation for that reason

    def __bool__(self) -> bool:
        return bool(self.train_test or self.val_test or self.train_val)


def find_overlap(groups: np.ndarray, split: Split) -> Overlap:
    """The images that the sides of a split share; groups (N,) as `image_groups` gives them."""
    train, val, test = (groups[part] for part in (split.train, split.val, split.test))
    pairs = ((train, test), (val, test), (train, val))
    return Overlap(*(int(np.isin(first, second).sum()) for first, second in pairs))


def honest_split(
    dataset: Dataset, name: str | None = None, fold: int = 0, allow_overlap: bool = False
) -> tuple[Split, Overlap]:
    """A split whose sides share no image, and what they shared before; see `make_split`.

    The seed's split is fixed and keeps its test set: its images are dropped from training and
    validation, and validation images from training. Any other split with an overlap raises
    InputError. With `allow_overlap` every split stays as it is. Data of too few images for the
    seed's split, if no other is asked for, have that of `few_split`.
    """
    try:
        split = make_split(dataset, name, fold)
    except TooFew:
        if name is not None or dataset.source_train is not None:
            raise
        if len((few := few_split(dataset)).test):
            return few, Overlap(0, 0, 0)
        raise InputError(f"{dataset.name}: no class has two different images; add some") from None
    if not isinstance(dataset.images, np.ndarray):  # a stream: nobody has seen all of them
        return split, Overlap(0, 0, 0)
    groups = image_groups(dataset.images)
    overlap = find_overlap(groups, split)
    if allow_overlap or not overlap:
        return split, overlap
    if split.name != "seed":
        raise InputError(
            f"{dataset.name}: the split {split.name!r} has identical images on two sides "
            f"({overlap.train_test} training and {overlap.val_test} validation images stand in the "
            f"test set, {overlap.train_val} training images in validation); choose --split random, "
            "or keep them with --allow-overlap"
        )
    val = split.val[~np.isin(groups[split.val], groups[split.test])]
    evaluated = groups[np.concatenate([val, split.test])]
    train = split.train[~np.isin(groups[split.train], evaluated)]
    counts = np.bincount(dataset.labels[train], minlength=len(dataset.class_names))
    if not len(val) or not counts.min():
        missing = f"of class {dataset.class_names[int(counts.argmin())]!r} to train on"
        raise InputError(
            f"{dataset.name}: without the images that also stand in the test set none is left "
            f"{missing if len(val) else 'to validate on'}; give more different images, "
            "or keep them with --allow-overlap"
        )
    dropped = len(split.train) + len(split.val) - len(train) - len(val)
    return replace(split, train=train, val=val), replace(overlap, dropped=dropped)
