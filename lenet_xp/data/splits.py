"""Named splits of a data set into training, validation and test images."""

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split

from lenet_xp.data.dataset import Dataset
from lenet_xp.errors import InputError

SEED = 42
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
ENOUGH = 15  # images of a class, where all have as many: 3 to test on, 1 to validate on


@dataclass(frozen=True)
class Split:
    """Which images train, which choose the epoch, which judge: three disjoint index arrays."""

    name: str
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def make_split(dataset: Dataset, name: str | None = None) -> Split:
    """The split of that name, one of SPLITS; by default the source's own, else the seed's.

    Together the three int64 arrays hold every image once, and the same data set gives the same
    split. An unknown name, a source without a test set of its own and classes with too few images
    raise InputError.
    """
    name = name or ("seed" if dataset.source_train is None else "source")
    if name not in SPLITS:
        raise InputError(f"split {name!r} is unknown; choose {' or '.join(sorted(SPLITS))}")
    train, test = SPLITS[name](dataset)
    train, val = _stratified(dataset, train, VALIDATION_SHARE)
    return Split(name, train, val, test)


def _seed(dataset):
    """The seed project's: a random fifth of every class is the test set."""
    return _stratified(dataset, np.arange(len(dataset)), TEST_SHARE)


def _source(dataset):
    """The source's own test set, as MNIST has one."""
    if not dataset.source_train:
        raise InputError(f"{dataset.name}: has no test set of its own; choose the split 'seed'")
    order = np.arange(len(dataset))
    return order[: dataset.source_train], order[dataset.source_train :]


# Each takes a data set and returns the indices to train on and those to test on; validation
# images are taken from the former afterwards, so that no split can choose an epoch on its test set.
SPLITS = {"seed": _seed, "source": _source}


def _stratified(dataset, indices, share):
    """The indices parted at random, `share` of every class, and some of it, in the second part."""
    labels = dataset.labels[indices]
    classes = len(dataset.class_names)
    counts = np.bincount(labels, minlength=classes)
    if counts.min() >= 2 and share * len(indices) >= classes:
        first, second = train_test_split(
            indices, test_size=share, stratify=labels, random_state=SEED
        )
        if len(np.unique(dataset.labels[second])) == classes:
            return first, second
    rarest = int(counts.argmin())
    raise InputError(
        f"{dataset.name}: too few images to set {share:.0%} of every class apart ({counts[rarest]} "
        f"of class {dataset.class_names[rarest]!r}); give at least {ENOUGH} of each"
    )
