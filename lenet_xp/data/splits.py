"""Named splits of a data set into training, validation and test images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.duplicates import image_groups, linked, members_of
from lenet_xp.data.writers import WRITERS, doubtful_writers, writers_of
from lenet_xp.errors import InputError

SEED = 42
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1  # of the images that are not test images
RANDOM_VALIDATION_SHARE = 0.125  # of those: a tenth of all
VALIDATION_WRITERS = 6  # of the 48 who are not test writers
ENOUGH = 15  # images of a class, where all have as many: 3 to test on, 1 to validate on


Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Split:
    """Which images train, which choose the epoch, which judge: three disjoint index arrays."""

    name: str
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    fold: int = 0


def make_split(dataset: Dataset, name: str | None = None, fold: int = 0) -> Split:
    """The split of that name, one of SPLITS; by default the source's own, else the seed's.

    seed: the seed project's random fifth of every class as the test set. source: the source's own
    test set. random: 70 % training, 10 % validation, 20 % test images. kfold: 5 folds, each image
    a test image in one. writer: AMHCD's 60 writers in 5 folds of 12; 6 of the others validate.
    Identical images (see `image_groups`) stay on one side of random, kfold and writer.
    fold: from 0, below FOLDS[name].
    Together the three int64 arrays hold every image once, and the same data set gives the same
    split. An unknown name or fold, a source without a test set or writers of its own and classes
    with too few images raise InputError.
    """
    name = name or default_split(dataset)
    if name not in SPLITS:
        raise InputError(f"split {name!r} is unknown; choose {' or '.join(sorted(SPLITS))}")
    if not 0 <= fold < FOLDS[name]:
        choice = f"0 to {FOLDS[name] - 1}" if FOLDS[name] > 1 else "only 0"
        raise InputError(f"split {name!r} has no fold {fold}; it has {choice}")
    train, val, test = SPLITS[name](dataset, fold)
    return Split(name, train, val, test, fold)


def default_split(dataset: Dataset) -> str:
    """The name of the split that is taken where none is asked for."""
    return "seed" if dataset.source_train is None else "source"


def _seed(dataset: Dataset, fold: int) -> Parts:
    train, test = _stratified(dataset, np.arange(len(dataset)), TEST_SHARE)
    return *_stratified(dataset, train, VALIDATION_SHARE), test


def _source(dataset: Dataset, fold: int) -> Parts:
    if not dataset.source_train:
        raise InputError(f"{dataset.name}: has no test set of its own; choose the split 'seed'")
    order = np.arange(len(dataset))
    train, test = order[: dataset.source_train], order[dataset.source_train :]
    return *_stratified(dataset, train, VALIDATION_SHARE), test


def _random(dataset: Dataset, fold: int) -> Parts:
    groups = image_groups(dataset.images)
    train, test = _stratified(dataset, _firsts(groups), TEST_SHARE)
    train, val = _stratified(dataset, train, RANDOM_VALIDATION_SHARE)
    return _with_twins(groups, train), _with_twins(groups, val), _with_twins(groups, test)


def _kfold(dataset: Dataset, fold: int) -> Parts:
    groups = image_groups(dataset.images)
    firsts = _firsts(groups)
    labels = dataset.labels[firsts]
    if np.bincount(labels, minlength=len(dataset.class_names)).min() < FOLDS["kfold"]:
        _refuse(dataset, labels, TEST_SHARE)
    from sklearn.model_selection import StratifiedKFold  # a second that predict need not wait

    folds = StratifiedKFold(FOLDS["kfold"], shuffle=True, random_state=SEED)
    train, test = (firsts[part] for part in list(folds.split(firsts, labels))[fold])
    train, val = _stratified(dataset, train, RANDOM_VALIDATION_SHARE)
    return _with_twins(groups, train), _with_twins(groups, val), _with_twins(groups, test)


def _writer(dataset: Dataset, fold: int) -> Parts:
    """Writers who share an image, or may have been taken for one another, stay together."""
    writers = writers_of(dataset)
    shared = members_of(image_groups(dataset.images), writers)
    units = linked(WRITERS, [*shared, *doubtful_writers()])
    folds = _writer_folds(units)
    test = folds == fold
    val = _some_writers(units, ~test, VALIDATION_WRITERS, fold)
    train, val, test = (np.flatnonzero(side[writers]) for side in (~test & ~val, val, test))
    return train, val, test


def _writer_folds(units: np.ndarray) -> np.ndarray:
    """(60,) the fold of each writer: those of one unit together, folds as equal as can be.

    The largest unit goes first, always to the fold with the most room; else the order is random.
    """
    numbers, sizes = np.unique(units, return_counts=True)
    order = np.random.default_rng(SEED).permutation(len(numbers))
    room = np.full(FOLDS["writer"], WRITERS // FOLDS["writer"])
    folds = np.empty(WRITERS, np.int64)
    for place in order[np.argsort(-sizes[order], kind="stable")]:
        fold = int(room.argmax())
        folds[units == numbers[place]] = fold
        room[fold] -= sizes[place]
    return folds


def _some_writers(units: np.ndarray, allowed: np.ndarray, count: int, fold: int) -> np.ndarray:
    """(60,) bool: `count` writers at random among those allowed, whole units only."""
    chosen = np.zeros(WRITERS, bool)
    for unit in np.random.default_rng([SEED, fold]).permutation(np.unique(units[allowed])):
        if chosen.sum() + (units == unit).sum() <= count:
            chosen |= units == unit
    return chosen


# Each takes a data set and a fold and returns the training, validation and test indices; those of
# validation never come from the test set, so that no split can choose an epoch on it.
SPLITS: dict[str, Callable[[Dataset, int], Parts]] = {
    "seed": _seed,
    "source": _source,
    "random": _random,
    "kfold": _kfold,
    "writer": _writer,
}
FOLDS = {"seed": 1, "source": 1, "random": 1, "kfold": 5, "writer": 5}


def _firsts(groups: np.ndarray) -> np.ndarray:
    """The index of each group's first image: identical images are drawn as one."""
    return np.unique(groups, return_index=True)[1]


def _with_twins(groups: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The indices of all images that are identical to a chosen one, in order."""
    return np.flatnonzero(np.isin(groups, groups[chosen]))


def _stratified(
    dataset: Dataset, indices: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """The indices parted at random, `share` of every class, and some of it, in the second part."""
    labels = dataset.labels[indices]
    classes = len(dataset.class_names)
    counts = np.bincount(labels, minlength=classes)
    if counts.min() >= 2 and share * len(indices) >= classes:
        from sklearn.model_selection import train_test_split  # as above

        first, second = train_test_split(
            indices, test_size=share, stratify=labels, random_state=SEED
        )
        if len(np.unique(dataset.labels[second])) == classes:
            return first, second
    _refuse(dataset, labels, share)


def _refuse(dataset: Dataset, labels: np.ndarray, share: float) -> NoReturn:
    counts = np.bincount(labels, minlength=len(dataset.class_names))
    rarest = int(counts.argmin())
    raise InputError(
        f"{dataset.name}: too few images to set {share:.0%} of every class apart ({counts[rarest]} "
        f"of class {dataset.class_names[rarest]!r}); give at least {ENOUGH} of each"
    )
