"""The 33 letters as pen strokes, from strokes.csv; not_tifinagh.csv has what is none of them.

A file has a row for each stroke. Its points are `x y` in fractions of the letter's box, x to the
right, y down. A coordinate is a number, or a span `low:high` where hands differ: each writing of
the letter draws it from there. A letter that people build in several ways has these allographs one
after another, each with its share on its first stroke. Spans and allographs were found by looking
at AMHCD.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np


@dataclass(frozen=True)
class Stroke:
    """One stroke of the pen.

    kind: "line" through `points`, "curve" through them, which turns softly at each, or "ring" from
    near its top, whose `points` are its centre and its radii. A dot is a tiny ring.
    points: (P, 2, 2) float64, for x and y of each the lowest and the highest value.
    """

    kind: str
    points: np.ndarray


@dataclass(frozen=True)
class Allograph:
    """One way to build a letter: its strokes, and its share relative to the other ways."""

    strokes: list[Stroke]
    share: float


@dataclass(frozen=True)
class Shape:
    """A letter: its allographs, and the part of the frame that it fills.

    top: of the letter, as a fraction of the frame's height. stretched: the box is stretched to the
    frame in both directions, as in AMHCD; else it keeps its aspect and is centred.
    """

    allographs: list[Allograph]
    top: float = 0.0
    stretched: bool = True


def _span(coordinate: str) -> tuple[float, float]:
    low, _, high = coordinate.partition(":")
    return float(low), float(high or low)


def read_shapes(file: str) -> dict[str, Shape]:
    """The shapes of a file of this room, by name."""
    table = files(__package__).joinpath(file).read_text(encoding="utf-8")
    shapes: dict[str, Shape] = {}
    for row in csv.DictReader(table.splitlines()):
        name, share = row["letter"], row["share"]
        top = 0.5 if name == "ya" else 0.0
        shape = shapes.setdefault(name, Shape([], top, stretched=name != "yan"))
        if share:
            shape.allographs.append(Allograph([], float(share)))
        points = [[_span(value) for value in point.split()] for point in row["points"].split(";")]
        shape.allographs[-1].strokes.append(Stroke(row["stroke"], np.array(points)))
    return shapes


SHAPES: Mapping[str, Shape] = read_shapes("strokes.csv")
