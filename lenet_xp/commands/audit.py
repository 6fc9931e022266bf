"""Look for what makes a figure dishonest: duplicates, label conflicts, leaks between sides."""

import argparse
import json
from itertools import combinations
from typing import Any

import numpy as np

from lenet_xp.commands.terminal import add_data_option, add_samples_option, parser
from lenet_xp.data.dataset import Dataset
from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import (
    FOLDS,
    SPLITS,
    Split,
    find_overlap,
    image_groups,
    make_split,
    members_of,
    repeated,
)
from lenet_xp.data.writers import SAMPLES, doubtful_writers, known_writers, writer_table
from lenet_xp.errors import InputError
from lenet_xp.system.text import printable, text_table

LISTED = 5  # of the images or classes that a line names
EXAMPLES = """\
  lenet-xp audit --data amhcd_64.zip
      duplicates, label conflicts, writers, and what each split's sides share
  lenet-xp audit --data amhcd_64.zip --split writer --json
      one split, everything that was found, for a program to read"""


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser(
        "lenet-xp audit",
        "Report duplicates, label conflicts and leaks between a split's sides.",
        EXAMPLES,
    )
    add_data_option(p, None, skip_bad=False)
    p.add_argument(
        "--split", choices=sorted(SPLITS), help="this one only (default: all that it can have)"
    )
    add_samples_option(p, 400, "400")
    p.add_argument("--json", action="store_true", help="print everything as JSON")
    return p.parse_args(arguments)


def audit(arguments: list[str] | None = None) -> None:
    """The command: see --help. Unreadable images are a finding here, not an error."""
    options = _options(arguments)
    dataset = load_dataset(
        options.data,
        samples_per_class=options.samples,
        skip_bad=True,
        cache=not options.no_cache,
    )
    found = audited(dataset, options.split)
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(map(printable, _lines(found))))


def _lines(found: dict[str, Any]) -> list[str]:
    counts = found["classes"].values()
    each = f"{min(counts):,}" + (f" to {max(counts):,}" if min(counts) < max(counts) else "")
    duplicates, unreadable = found["duplicates"], found["unreadable"]
    lines = [
        f"{found['dataset']}: {found['images']:,} images, {len(counts)} classes, {each} of each",
        f"unreadable: {len(unreadable):,} files",
        *_listed([f"{bad['file']} ({bad['reason']})" for bad in unreadable]),
        f"duplicates: {duplicates['groups']:,} images stand there more than once, "
        f"{duplicates['surplus']:,} surplus",
        *_listed([" = ".join(part) for part in duplicates["images"]]),
        f"label conflicts: {len(found['label_conflicts']):,} images stand under two classes",
        *_listed([" = ".join(part) for part in found["label_conflicts"]]),
        *_writer_lines(found["writers"]),
        "",
    ]
    return lines + _split_table(found["splits"]).splitlines()


def _listed(texts: list[str]) -> list[str]:
    more = [f"... and {len(texts) - LISTED:,} more (--json lists all)"] * (len(texts) > LISTED)
    return [f"  {text}" for text in [*texts[:LISTED], *more]]


def _writer_lines(writers: dict[str, Any] | None) -> list[str]:
    if writers is None:
        return ["writers: unknown"]
    return [
        f"writers: {writers['count']}, {writers['samples_of_each_class']} samples of each class",
        f"  sharing an image: {_groups(writers['sharing_an_image'])}",
        f"  not told apart for certain: {_groups(writers['in_doubt'])} "
        f"(in {', '.join(writers['uncertain_classes'])})",
    ]


def _groups(groups: list[list[int]]) -> str:
    return "; ".join(" ".join(map(str, each)) for each in groups) or "none"


def _split_table(splits: list[dict[str, Any]]) -> str:
    """A line for each split and fold; an honest one has no image on two sides."""
    pairs = ("train_test", "val_test", "train_val")
    sizes = ("fold", "train", "val", "test")
    header = ("split", *sizes, *(pair.replace("_", "/") for pair in pairs))
    rows = []
    for each in splits:
        shared = [f"{each['overlap'][pair]:,}" for pair in pairs]
        if each["shared_writers"]:
            shared = [
                f"{n}, {each['shared_writers'][p]}" for n, p in zip(shared, pairs, strict=True)
            ]
        rows.append((each["name"], *(f"{each[key]:,}" for key in sizes), *shared))
    shown = "images, writers" if any(each["shared_writers"] for each in splits) else "images"
    return f"sizes of the sides; {shown} that stand on two of them\n" + text_table(
        header, rows, left=(0,)
    )


def audited(dataset: Dataset, split: str | None = None) -> dict[str, Any]:
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
