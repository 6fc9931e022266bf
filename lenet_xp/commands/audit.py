"""The audit of a data set: duplicates and leaks, which make scores too good, and wrong labels."""

import argparse
from collections import Counter
from contextlib import nullcontext
from itertools import compress
from typing import Any

import numpy as np

from lenet_xp.commands import terminal
from lenet_xp.commands.evaluate import drawing
from lenet_xp.commands.terminal import made_folder, model_file, parser, path, whole_number
from lenet_xp.data import splits
from lenet_xp.data.dataset import Dataset
from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import FOLDS, SPLITS, Split, find_overlap, image_groups, make_split
from lenet_xp.data.writers import SAMPLES, doubtful_writers, known_writers, writer_table
from lenet_xp.errors import InputError
from lenet_xp.model_file import SHIPPED, SavedModel, load_model
from lenet_xp.ops import get_ops
from lenet_xp.system.files import write_csv
from lenet_xp.system.streams import say
from lenet_xp.system.text import printable, text_table
from lenet_xp.training.doubts import MODEL, judged
from lenet_xp.training.record import check_writable

MAX_LISTED = 5  # findings of a kind that are printed
DOUBT = ("file", "label", "probability", "read", "read_probability", "judged_by")
DOUBTING = (
    "list the labels that a model disbelieves (without FILE: the package's); what it learned from "
    "is judged by networks that its recipe trains on other folds of the data"
)
PAIRS = ("train_test", "val_test", "train_val")  # of sides that must not share an image
EXAMPLES = """\
  lenet-xp audit --data amhcd_64.zip
      duplicates, label conflicts, writers, and what each split's sides share
  lenet-xp audit --data photos/ --model runs/best/model.npz --out doubts
      also the images whose label the model disbelieves: a table, and a sheet to look at
  lenet-xp audit --data amhcd_64.zip --split writer --json
      one split, everything that was found, for a program to read"""


def audit(arguments: list[str] | None = None) -> None:
    """Run the command; see --help. Unreadable images are a finding here, not an error."""
    about = "Report duplicates, label conflicts, leaks between a split's sides, doubtful labels."
    p = parser("lenet-xp audit", about, EXAMPLES)
    terminal.add_data_option(p, None, skip_bad=False)
    p.add_argument(
        "--split", choices=sorted(SPLITS), help="this one only (default: all that it can have)"
    )
    terminal.add_samples_option(p, 400, "400")
    p.add_argument("--json", action="store_true", help="print everything as JSON")
    p.add_argument(
        "--model", type=model_file, nargs="?", const=SHIPPED, metavar="FILE", help=DOUBTING
    )
    number, most = whole_number(1), whole_number(1, 500)
    p.add_argument("--epochs", type=number, metavar="N", help="of these (default: the recipe's)")
    p.add_argument("--out", type=path, metavar="FOLDER", help="for doubtful.csv and doubtful.png")
    p.add_argument("--most", type=most, metavar="N", default=50, help="images drawn (default: 50)")
    options = p.parse_args(arguments)
    if not options.model and (options.out or options.epochs):
        p.error("--out and --epochs go with --model")
    how = {name: getattr(options, name) for name in ("samples_per_class", "cache", "columns")}
    saved = load_model(options.model, get_ops()) if options.model else None
    fit = saved.preprocessing if saved else None
    with made_folder(options.out) if options.out else nullcontext():
        if options.out:
            check_writable(options.out)
        dataset = load_dataset(options.data, fit, skip_bad=True, **how)
        found = audited(dataset, options.split)
        if saved:
            found["doubtful"] = _doubtful(dataset, saved, options)
    if options.json:
        terminal.print_json(found)
    else:
        print("\n".join(map(printable, _lines(found))))


def _doubtful(dataset: Dataset, saved: SavedModel, options: argparse.Namespace) -> dict[str, Any]:
    """What the model doubts of the images whose class it knows; written to --out, if given."""
    names = np.array(dataset.class_names, object)
    known = np.isin(names, saved.class_names)
    if not known.any():
        raise InputError(f"{dataset.name}: {saved.name} knows none of its classes")
    chosen = known[dataset.labels]
    labels = (np.cumsum(known) - 1)[dataset.labels[chosen]]
    files = tuple(compress(dataset.names, chosen))
    part = Dataset(dataset.name, dataset.images[chosen], labels, tuple(names[known]), files)
    scores, by = judged(part, saved, options.epochs, say)
    answers, rows = scores.class_names, []
    for i in scores.doubtful:
        label, read = scores.labels[i], scores.predictions[i]
        shares = scores.probabilities[i, [label, read]].tolist()
        rows.append((files[i], answers[label], shares[0], answers[read], shares[1], by[i]))
    if options.out:
        write_csv(options.out / "doubtful.csv", DOUBT, rows)
        with drawing():
            from lenet_xp import plots  # matplotlib is slow to import

            sheet = plots.misclassified(part.images, scores, options.most)
            plots.save(sheet, options.out / "doubtful.png")
    return {
        "judged": Counter(by.tolist()),
        "not_judged": Counter(names[label] for label in dataset.labels[~chosen]),
        "images": [dict(zip(DOUBT, row, strict=True)) for row in rows],
    }


def audited(dataset: Dataset, split: str | None = None) -> dict[str, Any]:
    """Everything that the command shows, in plain JSON values; InputError for an unfit `split`."""
    groups, labels, writers = image_groups(dataset.images), dataset.labels, known_writers(dataset)
    names = np.array(dataset.names, object)
    twins = splits.repeated(groups)
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
        "sharing_an_image": [list(each) for each in splits.members_of(groups, writers)],
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
        *(_doubt_lines(**found["doubtful"]) if "doubtful" in found else ()),
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


def _doubt_lines(judged: dict[str, int], not_judged: dict[str, int], images: Any) -> list[str]:
    total, own = sum(judged.values()), judged.get(MODEL, 0)
    words = "{file}: {label} ({probability:.2%}), read as {read} ({read_probability:.2%})"
    return [
        f"doubtful labels: {len(images):,} of {total:,} images are read as another class; "
        f"the model judged {own:,}, networks trained without them {total - own:,}",
        *_listed([words.format(**each) for each in images]),
        *(f"not judged, of the unknown class {name}: {n:,}" for name, n in not_judged.items()),
    ]


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
