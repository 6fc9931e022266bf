"""The 33 letters of AMHCD: folder name, glyph, code points, Latin letter."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Letter:
    """One letter: its AMHCD class name, its glyph (one or two code points) and its Latin form."""

    name: str
    glyph: str
    latin: str


@cache
def letters() -> tuple[Letter, ...]:
    """All 33 letters in class order, which is the sorted order of the class names."""
    with files(__package__).joinpath("tifinagh.csv").open(encoding="utf-8", newline="") as table:
        return tuple(Letter(r["class"], r["glyph"], r["latin"]) for r in csv.DictReader(table))


def letter(name: str) -> Letter:
    """The letter of a class name; a name outside the alphabet stands for itself."""
    known = {each.name: each for each in letters()}
    return known.get(name, Letter(name, name, name))
