"""How each image of a test was read: predictions.csv, and two networks' readings compared."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.scores.summary import Scores
from lenet_xp.system.files import write_csv
from lenet_xp.system.text import reason_of

PREDICTIONS = "predictions.csv"
FIRST, LAST = ("file", "true", "read"), ("writer",)  # columns; between them one for each class
Readings = dict[tuple[str, str], bool]  # whether an image, by file and true class, was read right


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


def read_predictions(folder: Path) -> Readings:
    """Read what `write_predictions` wrote. Raises InputError for a damaged file."""
    path, right = folder / PREDICTIONS, Readings()
    try:
        with path.open(encoding="utf-8", newline="") as text:
            lines = csv.reader(text, strict=True)
            header = next(lines, [])
            if (*header[:3], *header[-1:]) != FIRST + LAST:
                raise ValueError("it begins otherwise")
            for line in lines:
                if len(line) != len(header) or (line[0], line[1]) in right:
                    raise ValueError(f"line {lines.line_num} is cut short or there twice")
                right[line[0], line[1]] = line[1] == line[2]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({reason_of(error)}); score again") from error
    return right


def mcnemar(this: Readings, that: Readings) -> tuple[int, int, float]:
    """Return how many images only this, and only that network reads right, and the two-sided p.

    The exact test: were both equally good, such an image would be as likely one as the other. It
    takes images for independent. Source: McNemar 1947, Psychometrika 12, 153-157.
    """
    from scipy.stats import binomtest

    first, second = (sum(a[i] and not b[i] for i in a) for a, b in ((this, that), (that, this)))
    p = float(binomtest(first, first + second).pvalue) if first or second else 1.0
    return first, second, p
