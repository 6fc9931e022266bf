"""Bitmaps of 7 x 12 of the digits and of Tifinagh: codes of the outputs, as in LeCun et al. 1998.

Section II.B, Figure 3: what looks alike gets codes that are alike, so that a reader of text can
choose between them. The digits are drawn in that manner, not copied. Letters of Tifinagh may differ
by a dot: these are drawn with large marks, and any two differ by at least 16 bits.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files


@cache
def bitmaps() -> dict[str, str]:
    """The code of each digit and letter: 84 of # and ., row by row."""
    bands = files(__package__).joinpath("bitmaps.txt").read_text(encoding="ascii").split("\n\n")
    tables = [[line.split() for line in band.splitlines()] for band in bands]  # names, then rows
    return {name: "".join(rows) for table in tables for name, *rows in zip(*table, strict=True)}


def bitmaps_of(class_names: Sequence[str]) -> list[str] | None:
    """The codes of these classes; None unless each has one."""
    known = bitmaps()
    codes = [known[name] for name in class_names if name in known]
    return codes if codes and len(codes) == len(class_names) else None
