"""The 33 letters as strokes: of hands, of print, and what is none of them, each from its table.

A row is an allograph, one way to build a letter, with its share among the ways and its strokes. The
points of a stroke are `x y` in fractions of the letter's box, x to the right, y down. A coordinate
is a number, or a span `low:high` where hands or designs differ: each drawing draws from there.
Those of hands were found by looking at AMHCD, those of print at free type designs. The middles of a
stroke's spans lie apart.
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
    near its top, whose `points` are its centre and its radii. A hand's dot is a tiny ring; print
    has filled rings, "dot".
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


def _shapes(file: str) -> dict[str, Shape]:
    table = files(__package__).joinpath(file).read_text(encoding="utf-8")
    shapes: dict[str, Shape] = {}
    for row in csv.DictReader(table.splitlines()):
        name = row["letter"]
        top = 0.5 if name == "ya" else 0.0
        shape = shapes.setdefault(name, Shape([], top, stretched=name != "yan"))
        strokes = []
        for words in row["strokes"].split("|"):
            kind, _, points = words.strip().partition(" ")
            spans = [[(2 * xy.split(":"))[:2] for xy in each.split()] for each in points.split(";")]
            strokes.append(Stroke(kind, np.array(spans, float)))
        shape.allographs.append(Allograph(strokes, float(row["share"])))
    return shapes


SHAPES: Mapping[str, Shape] = _shapes("strokes.csv")
OTHERS: Mapping[str, Shape] = _shapes("not_tifinagh.csv")
PRINTED: Mapping[str, Shape] = _shapes("print.csv")
