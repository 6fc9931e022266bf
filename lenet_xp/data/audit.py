"""What a data set holds that could make a figure dishonest: duplicates, conflicts, leaks."""

from itertools import combinations
from typing import Any

import numpy as np

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.duplicates import image_groups, members_of, repeated
from lenet_xp.data.overlap import find_overlap
from lenet_xp.data.splits import FOLDS, SPLITS, Split, make_split
from lenet_xp.data.writers import SAMPLES, doubtful_writers, known_writers, writer_table
from lenet_xp.errors import InputError


def audit(dataset: Dataset, split: str | None = None) -> dict[str, Any]:
    """Everything the audit command shows, in plain JSON values.

    split: judge this one only, instead of every split that the data set can be given. A name that
    cannot be made of it raises InputError.
    """
    groups = image_groups(dataset.images)
    twins = repeated(groups)
    writers = known_writers(dataset)
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    return {
        "dataset": dataset.name,
        "images": len(dataset),
        "classes": dict(zip(dataset.class_names, counts.tolist(), strict=True)),
        "unreadable": [{"file": file, "reason": reason} for file, reason in dataset.skipped],
        "duplicates": {
            "groups": len(twins),
            "surplus": sum(len(part) for part in twins) - len(twins),
            "images": [[_name(dataset, each) for each in part] for part in twins],
        },
        "label_conflicts": [
            [_name(dataset, each) for each in part]
            for part in twins
            if len(np.unique(dataset.labels[part])) > 1
        ],
        "writers": None if writers is None else _writers(groups, writers),
        "splits": _splits(dataset, groups, writers, split),
    }


def _name(dataset: Dataset, index: int) -> str:
    """An image by its file, or by class and place where the source has no files."""
    if dataset.files:
        return dataset.files[index]
    return f"{dataset.class_names[dataset.labels[index]]}#{index}"


def _writers(groups: np.ndarray, writers: np.ndarray) -> dict[str, Any]:
    table = writer_table()
    return {
        "count": len(np.unique(writers)),
        "samples_of_each_class": SAMPLES,
        "sharing_an_image": [list(each) for each in members_of(groups, writers)],
        "in_doubt": [list(each) for each in doubtful_writers()],
        "uncertain_classes": [name for name, each in table.items() if not each.certain],
    }


def _splits(
    dataset: Dataset, groups: np.ndarray, writers: np.ndarray | None, only: str | None
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in [only] if only else SPLITS:
        try:
            splits = [make_split(dataset, name, fold) for fold in range(FOLDS.get(name, 1))]
        except InputError:
            if only:
                raise
            continue  # a split that this data set cannot have is no finding
        found += [_split(each, groups, writers) for each in splits]
    return found


def _split(split: Split, groups: np.ndarray, writers: np.ndarray | None) -> dict[str, Any]:
    sides = {"train": split.train, "val": split.val, "test": split.test}
    overlap = find_overlap(groups, split)
    return {
        "name": split.name,
        "fold": split.fold,
        **{side: len(part) for side, part in sides.items()},
        "overlap": {
            "train_test": overlap.train_test,
            "val_test": overlap.val_test,
            "train_val": overlap.train_val,
        },
        "shared_writers": None
        if writers is None
        else {
            f"{one}_{other}": len(np.intersect1d(writers[sides[one]], writers[sides[other]]))
            for one, other in combinations(sides, 2)
        },
    }
