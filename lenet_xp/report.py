"""What a network got right and wrong, written down as tables (CSV and text) and pictures."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lenet_xp import metrics
from lenet_xp.data.alphabet import letter
from lenet_xp.files import make_folder, write_csv, write_text

LISTED_PAIRS = 50


def write_analysis(
    out_dir: str | os.PathLike,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    images: np.ndarray,
) -> None:
    """Write every table and picture of a tested network into `out_dir`.

    labels: (N,) class indices. probabilities: (N, C) float, one row an image. class_names: C
    names. images: (N, S, S) uint8, ink 255 on paper 0. `out_dir` is created if need be.
    Raises InputError when a file cannot be written.
    """
    folder = make_folder(out_dir)
    confusion = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), len(class_names))
    write_per_class(folder, confusion, class_names)
    write_confused_pairs(folder, confusion, class_names)
    write_confusion(folder, confusion, class_names)
    # Here, because matplotlib takes half a second to import and not every run draws.
    from lenet_xp import plots

    plots.confusion_matrix(confusion, class_names, folder / "confusion_matrix.png")
    plots.per_class_scores(confusion, class_names, folder / "per_class.png")
    plots.confused_pairs(confusion, class_names, folder / "confused_pairs.png")
    plots.misclassified(images, labels, probabilities, class_names, folder / "misclassified.png")


def write_per_class(folder: Path, confusion: np.ndarray, class_names: Sequence[str]) -> None:
    """Write per_class.csv and per_class.txt: precision, recall, F1 and support of each class.

    confusion: (C, C) counts, rows true. Raises InputError.
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
        for each in metrics.per_class(confusion, class_names)
    ]
    write_csv(folder / "per_class.csv", header, rows)
    write_text(folder / "per_class.txt", text_table(header, rows, left=(0, 1, 6)))


def write_confused_pairs(folder: Path, confusion: np.ndarray, class_names: Sequence[str]) -> None:
    """Write confused_pairs.csv and confused_pairs.txt: the most frequent errors, at most 50.

    confusion: (C, C) counts, rows true. Raises InputError.
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
        for pair in metrics.confused_pairs(confusion, class_names, LISTED_PAIRS)
    ]
    write_csv(folder / "confused_pairs.csv", header, rows)
    lines = [(*row[:4], f"{row[4]} → {row[5]}") for row in rows]
    table = text_table((*header[:4], "glyphs"), lines, left=(0, 1, 4))
    write_text(folder / "confused_pairs.txt", table)


def write_confusion(folder: Path, confusion: np.ndarray, class_names: Sequence[str]) -> None:
    """Write confusion.csv: a row for each true class, a column for each predicted one.

    confusion: (C, C) counts, rows true. Raises InputError.
    """
    rows = [(name, *counts) for name, counts in zip(class_names, confusion.tolist(), strict=True)]
    write_csv(folder / "confusion.csv", ("true", *class_names), rows)


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    """Return `rows` under `header` as aligned lines; columns in `left` are flush left.

    Put glyphs in the last column: a terminal may draw them wider than it counts them, and
    nothing behind them is left to be pushed out of line.
    """
    lines = [header, *rows]
    widths = [max(_columns(line[i]) for line in lines) for i in range(len(header))]
    padded = []
    for line in lines:
        cells = []
        for index, (text, width) in enumerate(zip(line, widths, strict=True)):
            space = " " * (width - _columns(text))
            cells.append(text + space if index in left else space + text)
        padded.append("  ".join(cells).rstrip())
    return "\n".join(padded) + "\n"


def _columns(text: str) -> int:
    """How many columns of a terminal `text` takes: accents take none, Chinese signs take two."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        for sign in text
    )
