"""A network's scores as tables: CSV, JSON, and text with aligned columns.

Every function creates its files in an existing folder and raises InputError if one cannot be
written.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.letters.alphabet import letter
from lenet_xp.scores.calibration import BINS, errors_of
from lenet_xp.scores.intervals import wilson_interval
from lenet_xp.scores.metrics import GroupScore
from lenet_xp.scores.rejection import RejectionCurve
from lenet_xp.scores.summary import Scores
from lenet_xp.system.files import FilePath, make_folder, write_csv, write_json, write_text
from lenet_xp.system.text import text_table

PREDICTIONS = "predictions.csv"
FIRST, LAST = ("file", "true", "read"), ("writer",)  # its columns; between them one for each class
MAX_THRESHOLDS = 200  # rows: of rejection.csv, because a point per image is too many


def write_tables(out_dir: FilePath, scores: Scores, files: Mapping[int, str]) -> None:
    """Write all tables into `out_dir`, new or old. files: place and name of each image."""
    folder = make_folder(out_dir)
    write_per_class(folder, scores)
    write_confused_pairs(folder, scores)
    names, counts = scores.class_names, scores.confusion.tolist()
    rows = [(name, *row) for name, row in zip(names, counts, strict=True)]
    write_csv(folder / "confusion.csv", ("true", *names), rows)
    write_calibration(folder, scores)
    write_rejection(folder, scores.rejection)
    write_predictions(folder, scores, files)
    if scores.per_group is not None:
        write_per_writer(folder, scores.per_group)


def write_per_class(folder: Path, scores: Scores) -> None:
    """Write per_class.csv and per_class.txt: precision, recall, F1 and support of each class."""
    header = ("class", "latin", "precision", "recall", "f1", "support", "glyph")
    rows = []
    for each in scores.per_class:
        shares = (f"{share:.4f}" for share in (each.precision, each.recall, each.f1))
        known = letter(each.name)
        rows.append((each.name, known.latin, *shares, str(each.support), known.glyph))
    write_csv(folder / "per_class.csv", header, rows)
    write_text(folder / "per_class.txt", text_table(header, rows, left=(0, 1, 6)))


def write_confused_pairs(folder: Path, scores: Scores) -> None:
    """Write confused_pairs.csv and confused_pairs.txt: the most frequent errors, at most 50."""
    header = ("true", "predicted", "count", "share", "true_glyph", "predicted_glyph")
    rows = []
    for pair in scores.pairs:
        glyphs = (letter(name).glyph for name in (pair.true, pair.predicted))
        rows.append((pair.true, pair.predicted, str(pair.count), f"{pair.share:.4f}", *glyphs))
    write_csv(folder / "confused_pairs.csv", header, rows)
    lines = [(*row[:4], f"{row[4]} → {row[5]}") for row in rows]
    table = text_table((*header[:4], "glyphs"), lines, left=(0, 1, 4))
    write_text(folder / "confused_pairs.txt", table)


def write_calibration(folder: Path, scores: Scores) -> None:
    """Write calibration.json: errors and bins before and after the temperature."""
    sides = {
        "before": (scores.calibration, scores.probabilities, scores.labels),
        "after": (scores.calibration_scaled, scores.scaled, scores.labels),
    }
    about = {
        "definition": f"{BINS} bins of equal width on the top probability (Guo et al. 2017)",
        "images": len(scores.labels),
        "temperature": scores.temperature,
    }
    tables = {name: errors_of(*side) | {"bins": vars(side[0])} for name, side in sides.items()}
    write_json(folder / "calibration.json", about | tables)


def write_rejection(folder: Path, curve: RejectionCurve) -> None:
    """Write rejection.csv: thresholds, the coverage of each, and the accuracy of what it answers.

    It has at most 200 rows, spread evenly over the coverage; the last row answers all images.
    """
    coverages = np.arange(1, MAX_THRESHOLDS + 1) / MAX_THRESHOLDS
    # The first point that answers as many; the last point even if rounding left it below 1.
    places = np.unique(np.searchsorted(curve.coverage[:-1], coverages))[: len(curve.coverage)]
    # Most thresholds are so near to 1 that rounded ones would answer other images.
    rows = [
        (str(float(curve.thresholds[i])), f"{curve.coverage[i]:.6f}", f"{curve.accuracy[i]:.6f}")
        for i in places
    ]
    write_csv(folder / "rejection.csv", ("threshold", "coverage", "accuracy"), rows)


def write_predictions(folder: Path, scores: Scores, files: Mapping[int, str]) -> None:
    """Write a row for each image, with its probabilities at the temperature, in the set's order.

    files: place in the data set and name of each image. The writer is empty where unknown.
    """
    names, places = scores.class_names, list(files)

    def rows() -> Iterator[list[Any]]:
        for i in np.argsort(places):
            true, read = names[scores.labels[i]], names[scores.predictions[i]]
            shares = (f"{each:.6g}" for each in scores.scaled[i])
            writer = "" if scores.groups is None else scores.groups[i]
            yield [files[places[i]], true, read, *shares, writer]

    write_csv(folder / PREDICTIONS, (*FIRST, *names, *LAST), rows())


def write_per_writer(folder: Path, scores: Sequence[GroupScore]) -> None:
    """Write per_writer.csv and per_writer.txt: accuracy of each writer, in the given order.

    low and high are the ends of the 95 % interval.
    """
    header = ("writer", "images", "errors", "accuracy", "low", "high")
    rows = []
    for each in scores:
        ends = wilson_interval(each.hits, each.images)
        shares = (f"{share:.4f}" for share in (each.accuracy, *ends))
        rows.append((str(each.group), str(each.images), str(each.images - each.hits), *shares))
    write_csv(folder / "per_writer.csv", header, rows)
    write_text(folder / "per_writer.txt", text_table(header, rows, left=()))
