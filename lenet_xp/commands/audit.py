"""The audit of a data set: duplicates, label conflicts and leaks, which make scores too good."""

from typing import Any

import numpy as np

from lenet_xp.commands.terminal import add_data_option, add_samples_option, parser, print_json
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

MAX_LISTED = 5  # findings of a kind that are printed
PAIRS = ("train_test", "val_test", "train_val")  # of sides that must not share an image
EXAMPLES = """\
  lenet-xp audit --data amhcd_64.zip
      duplicates, label conflicts, writers, and what each split's sides share
  lenet-xp audit --data amhcd_64.zip --split writer --json
      one split, everything that was found, for a program to read"""


def audit(arguments: list[str] | None = None) -> None:
    """Run the command; see --help. Unreadable images are a finding here, not an error."""
    about = "Report duplicates, label conflicts and leaks between a split's sides."
    p = parser("lenet-xp audit", about, EXAMPLES)
    add_data_option(p, None, skip_bad=False)
    p.add_argument(
        "--split", choices=sorted(SPLITS), help="this one only (default: all that it can have)"
    )
    add_samples_option(p, 400, "400")
    p.add_argument("--json", action="store_true", help="print everything as JSON")
    options = p.parse_args(arguments)
    how: dict[str, Any] = {"samples_per_class": options.samples_per_class, "cache": options.cache}
    how["columns"] = options.columns
    dataset = load_dataset(options.data, skip_bad=True, **how)
    found = audited(dataset, options.split)
    if options.json:
        print_json(found)
    else:
        print("\n".join(map(printable, _lines(found))))


def audited(dataset: Dataset, split: str | None = None) -> dict[str, Any]:
    """Everything that the command shows, in plain JSON values.

    split: by default all that the data set can have; InputError for one that it cannot have.
    """
    groups, labels, writers = image_groups(dataset.images), dataset.labels, known_writers(dataset)
    names = np.array(dataset.names, object)
    twins = repeated(groups)
    conflicts = [part for part in twins if len(np.unique(labels[part])) > 1]
    counts = np.bincount(labels, minlength=len(dataset.class_names))
    return {
        "dataset": dataset.name,
        "images": len(dataset),
        "classes": dict(zip(dataset.class_names, counts.tolist(), strict=True)),
        "unreadable": [{"file": file, "reason": reason} for file, reason in dataset.skipped],
        "left_out": [{"file": file, "reason": reason} for file, reason in dataset.left_out],
        "blank": list(dataset.blank),
        "remarks": list(dataset.remarks),
        "duplicates": {
            "groups": len(twins),
            "surplus": sum(len(part) for part in twins) - len(twins),
            "images": [names[part].tolist() for part in twins],
        },
        "label_conflicts": [names[part].tolist() for part in conflicts],
        "writers": None if writers is None else _writers(groups, writers),
        "splits": [_split(each, groups, writers) for each in _splits(dataset, split)],
    }


def _writers(groups: np.ndarray, writers: np.ndarray) -> dict[str, Any]:
    return {
        "count": len(np.unique(writers)),
        "samples_of_each_class": SAMPLES,
        "sharing_an_image": [list(each) for each in members_of(groups, writers)],
        "in_doubt": [list(each) for each in doubtful_writers()],
        "uncertain_classes": [name for name, each in writer_table().items() if not each.certain],
    }


def _splits(dataset: Dataset, only: str | None) -> list[Split]:
    """The folds of one split, or of every split that the data set can have."""
    found: list[Split] = []
    for name in [only] if only else SPLITS:
        try:
            found += [make_split(dataset, name, fold) for fold in range(FOLDS[name])]
        except InputError:  # that a data set cannot have a split is no finding
            if only:
                raise
    return found


def _split(split: Split, groups: np.ndarray, writers: np.ndarray | None) -> dict[str, Any]:
    sides = {"train": split.train, "val": split.val, "test": split.test}
    overlap, shared = find_overlap(groups, split), None
    if writers is not None:
        both = {pair: [writers[sides[side]] for side in pair.split("_")] for pair in PAIRS}
        shared = {pair: len(np.intersect1d(*each)) for pair, each in both.items()}
    return {
        "name": split.name,
        "fold": split.fold,
        **{side: len(part) for side, part in sides.items()},
        "overlap": {pair: getattr(overlap, pair) for pair in PAIRS},
        "shared_writers": shared,
    }


def _lines(found: dict[str, Any]) -> list[str]:
    """The findings for a reader, the splits as a table."""
    counts = found["classes"].values()
    each = f"{min(counts):,}" + (f" to {max(counts):,}" if min(counts) < max(counts) else "")
    duplicates, conflicts, blank = (
        found[name] for name in ("duplicates", "label_conflicts", "blank")
    )
    return [
        f"{found['dataset']}: {found['images']:,} images, {len(counts)} classes, {each} of each",
        *_account(found["unreadable"], "unreadable"),
        *_account(found["left_out"], "left out"),
        *found["remarks"],
        f"no ink: {len(blank):,} pictures, which stay in the data",
        *_listed(blank),
        f"duplicates: {duplicates['groups']:,} images stand there more than once, "
        f"{duplicates['surplus']:,} surplus",
        *_listed([" = ".join(part) for part in duplicates["images"]]),
        f"label conflicts: {len(conflicts):,} images stand under two classes",
        *_listed([" = ".join(part) for part in conflicts]),
        *_writer_lines(found["writers"]),
        "",
        *_split_lines(found["splits"]),
    ]


def _account(files: list[dict[str, str]], title: str) -> list[str]:
    return [
        f"{title}: {len(files):,} files",
        *_listed([f"{each['file']} ({each['reason']})" for each in files]),
    ]


def _listed(texts: list[str]) -> list[str]:
    lines = [f"  {text}" for text in texts[:MAX_LISTED]]
    if (more := len(texts) - MAX_LISTED) > 0:
        lines.append(f"  ... and {more:,} more (--json lists all)")
    return lines


def _writer_lines(writers: dict[str, Any] | None) -> list[str]:
    if writers is None:
        return ["writers: unknown"]
    sharing, doubtful = (
        "; ".join(" ".join(map(str, each)) for each in writers[name]) or "none"
        for name in ("sharing_an_image", "in_doubt")
    )
    return [
        f"writers: {writers['count']}, {writers['samples_of_each_class']} samples of each class",
        f"  sharing an image: {sharing}",
        f"  not told apart for certain: {doubtful} (in {', '.join(writers['uncertain_classes'])})",
    ]


def _split_lines(splits: list[dict[str, Any]]) -> list[str]:
    """A line for each split and fold; an honest one has no image on two sides."""
    sizes, rows, unit = ("fold", "train", "val", "test"), [], "images"
    for each in splits:
        shared = [f"{each['overlap'][pair]:,}" for pair in PAIRS]
        if writers := each["shared_writers"]:
            unit = "images, writers"
            shared = [f"{n}, {writers[pair]}" for n, pair in zip(shared, PAIRS, strict=True)]
        rows.append((each["name"], *(f"{each[key]:,}" for key in sizes), *shared))
    header = ("split", *sizes, *(pair.replace("_", "/") for pair in PAIRS))
    table = text_table(header, rows, left=(0,))
    return [f"sizes of the sides; {unit} that stand on two of them", *table.splitlines()]
