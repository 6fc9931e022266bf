"""A network's scores as tables: CSV, JSON, and text whose columns line up."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.letters.alphabet import letter
from lenet_xp.scores.calibration import BINS
from lenet_xp.scores.intervals import wilson_interval
from lenet_xp.scores.metrics import GroupScore
from lenet_xp.scores.rejection import RejectionCurve
from lenet_xp.scores.summary import Scores
from lenet_xp.system.files import make_folder, write_csv, write_json, write_text
from lenet_xp.system.text import text_table

LISTED_COVERAGES = 200  # rows of rejection.csv at most: a point for every image is too many


def write_tables(out_dir: str | os.PathLike[str], scores: Scores) -> None:
    """Write every table of a tested network into `out_dir`, which is created if need be.

    Raises InputError when a file cannot be written.
    """
    folder = make_folder(out_dir)
    write_per_class(folder, scores)
    write_confused_pairs(folder, scores)
    write_confusion(folder, scores)
    write_calibration(folder, scores)
    write_rejection(folder, scores.rejection)
    if scores.per_group is not None:
        write_per_writer(folder, scores.per_group)


def write_per_class(folder: Path, scores: Scores) -> None:
    """Write per_class.csv and per_class.txt: precision, recall, F1 and support of each class.

    Raises InputError.
    """
    header = ("class", "latin", "precision", "recall", "f1", "support", "glyph")
    rows = [
        (
            each.name,
            letter(each.name).latin,
            f"{each.precision:.4f}",
            f"{each.recall:.4f}",
            f"{each.f1:.4f}",
            str(each.support),
            letter(each.name).glyph,
        )
        for each in scores.per_class
    ]
    write_csv(folder / "per_class.csv", header, rows)
    write_text(folder / "per_class.txt", text_table(header, rows, left=(0, 1, 6)))


def write_confused_pairs(folder: Path, scores: Scores) -> None:
    """Write confused_pairs.csv and confused_pairs.txt: the most frequent errors, at most 50.

    Raises InputError.
    """
    header = ("true", "predicted", "count", "share", "true_glyph", "predicted_glyph")
    rows = [
        (
            pair.true,
            pair.predicted,
            str(pair.count),
            f"{pair.share:.4f}",
            letter(pair.true).glyph,
            letter(pair.predicted).glyph,
        )
        for pair in scores.pairs
    ]
    write_csv(folder / "confused_pairs.csv", header, rows)
    lines = [(*row[:4], f"{row[4]} → {row[5]}") for row in rows]
    table = text_table((*header[:4], "glyphs"), lines, left=(0, 1, 4))
    write_text(folder / "confused_pairs.txt", table)


def write_confusion(folder: Path, scores: Scores) -> None:
    """Write confusion.csv: a row for each true class, a column for each predicted one.

    Raises InputError.
    """
    names, counts = scores.class_names, scores.confusion.tolist()
    rows = [(name, *row) for name, row in zip(names, counts, strict=True)]
    write_csv(folder / "confusion.csv", ("true", *names), rows)


def write_calibration(folder: Path, scores: Scores) -> None:
    """Write calibration.json: errors and bins before and after the temperature.

    Raises InputError.
    """
    definition = f"{BINS} bins of equal width on the top probability (Guo et al. 2017)"
    about = {"definition": definition, "images": len(scores.labels)}
    about["temperature"] = scores.temperature
    sides = {"before": scores.calibration, "after": scores.calibration_scaled}
    write_json(
        folder / "calibration.json",
        about | {name: side.errors() | {"bins": vars(side.bins)} for name, side in sides.items()},
    )


def write_rejection(folder: Path, curve: RejectionCurve) -> None:
    """Write rejection.csv: thresholds, what share of the images they answer, how many rightly.

    At most 200 rows, evenly over the coverage, the last of them all images. Raises InputError.
    """
    wanted = np.arange(1, LISTED_COVERAGES + 1) / LISTED_COVERAGES
    # The first point that answers as many, and the end whatever a sum was rounded to.
    places: Any = (
        np.unique(np.searchsorted(curve.coverage[:-1], wanted)) if len(curve.coverage) else []
    )
    columns = (curve.thresholds[places], curve.coverage[places], curve.accuracy[places])
    # The threshold in full: most are so near to 1 that rounded ones would answer other images.
    rows = [
        (str(threshold), f"{coverage:.6f}", f"{accuracy:.6f}")
        for threshold, coverage, accuracy in zip(*map(np.ndarray.tolist, columns), strict=True)
    ]
    write_csv(folder / "rejection.csv", ("threshold", "coverage", "accuracy"), rows)


def write_per_writer(folder: Path, scores: Sequence[GroupScore]) -> None:
    """Write per_writer.csv and per_writer.txt: accuracy of each writer in the order given.

    The ends are those of the 95 % interval. Raises InputError.
    """
    header = ("writer", "images", "errors", "accuracy", "low", "high")
    rows = []
    for each in scores:
        ends = wilson_interval(each.hits, each.images)
        shares = (f"{share:.4f}" for share in (each.accuracy, *ends))
        rows.append((str(each.group), str(each.images), str(each.images - each.hits), *shares))
    write_csv(folder / "per_writer.csv", header, rows)
    write_text(folder / "per_writer.txt", text_table(header, rows, left=()))
