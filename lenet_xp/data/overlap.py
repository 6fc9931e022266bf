"""Images that stand on two sides of a split: found, and kept out of a training run."""

from dataclasses import dataclass, replace

import numpy as np

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.duplicates import image_groups
from lenet_xp.data.splits import Split, make_split
from lenet_xp.errors import InputError


@dataclass(frozen=True)
class Overlap:
    """How many images of the first side are identical to one of the second.

    dropped: images left out of training and validation on their account.
    """

    train_test: int
    val_test: int
    train_val: int
    dropped: int = 0

    def __bool__(self) -> bool:
        return bool(self.train_test or self.val_test or self.train_val)


def find_overlap(groups: np.ndarray, split: Split) -> Overlap:
    """What the sides of a split share; groups (N,) as of `image_groups`."""
    train, val, test = (groups[part] for part in (split.train, split.val, split.test))
    pairs = ((train, test), (val, test), (train, val))
    return Overlap(*(int(np.isin(first, second).sum()) for first, second in pairs))


def honest_split(
    dataset: Dataset, name: str | None = None, fold: int = 0, allow_overlap: bool = False
) -> tuple[Split, Overlap]:
    """A split no two sides of which share an image, and what they shared before; see `make_split`.

    The seed's split, which is fixed, keeps its test set: what also stands there leaves training
    and validation, and what also validates leaves training. Any other split with an overlap
    raises InputError. With `allow_overlap` every split stays as it is.
    """
    split = make_split(dataset, name, fold)
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
    judged = np.concatenate([val, split.test])
    train = split.train[~np.isin(groups[split.train], groups[judged])]
    _check_classes(dataset, train, val)
    dropped = len(split.train) + len(split.val) - len(train) - len(val)
    return replace(split, train=train, val=val), replace(overlap, dropped=dropped)


def _check_classes(dataset: Dataset, train: np.ndarray, val: np.ndarray) -> None:
    """InputError where nothing is left to validate on, or of a class to train on."""
    counts = np.bincount(dataset.labels[train], minlength=len(dataset.class_names))
    if len(val) and counts.min():
        return
    missing = f"of class {dataset.class_names[int(counts.argmin())]!r} to train on"
    raise InputError(
        f"{dataset.name}: without the images that also stand in the test set none is left "
        f"{missing if len(val) else 'to validate on'}; give more different images, "
        "or keep them with --allow-overlap"
    )
