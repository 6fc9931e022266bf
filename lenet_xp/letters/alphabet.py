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
    table = files(__package__).joinpath("tifinagh.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(table.splitlines())
    return tuple(Letter(r["class"], r["glyph"], r["latin"]) for r in rows)


def letter(name: str) -> Letter:
    """The letter of a class name; a name outside the alphabet stands for itself."""
    return next((each for each in letters() if each.name == name), Letter(name, name, name))
