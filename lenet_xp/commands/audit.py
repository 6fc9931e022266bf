"""Look for what makes a figure dishonest: duplicates, label conflicts, leaks between sides."""

import argparse
import json
from typing import Any

from lenet_xp.commands.terminal import add_data_option, add_samples_option, parser
from lenet_xp.data.audit import audit as audited
from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import SPLITS
from lenet_xp.scores.tables import text_table
from lenet_xp.shown import shown

LISTED = 5  # of the images or classes that a line names
EXAMPLES = """\
  lenet-xp audit --data amhcd_64.zip
      duplicates, label conflicts, writers, and what each split's sides share
  lenet-xp audit --data amhcd_64.zip --split writer --json
      one split, everything that was found, for a program to read"""


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser(
        "audit", "Report duplicates, label conflicts and leaks between a split's sides.", EXAMPLES
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
        print("\n".join(map(shown, _lines(found))))


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
