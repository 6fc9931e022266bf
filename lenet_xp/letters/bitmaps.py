"""Bitmaps of 7 x 12 of the digits and of Tifinagh: codes of the outputs, as in LeCun et al. 1998.

Section II.B, Figure 3: what looks alike gets codes that are alike, so that a reader of text can
choose between them. The digits are drawn in that manner, not copied. Letters of Tifinagh may differ
by a dot: these are drawn with large marks, and any two differ by at least LEAST bits.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

ROWS, COLUMNS = 12, 7  # pixels
LEAST = 16  # bits


@cache
def bitmaps() -> dict[str, str]:
    """The code of each digit and letter: 84 of # and ., row by row.

    A line of names in bitmaps.txt is followed by ROWS lines with a row of each.
    """
    lines = Path(__file__).with_name("bitmaps.txt").read_text(encoding="ascii").split("\n")
    heads = [place for place, line in enumerate(lines) if line and set(line) - set("#. ")]
    drawn: dict[str, str] = {}
    for place in heads:
        rows = [line.split() for line in lines[place + 1 : place + 1 + ROWS]]
        for name, *bits in zip(lines[place].split(), *rows, strict=True):
            drawn[name] = "".join(bits)
    return drawn


def bitmaps_of(class_names: Sequence[str]) -> list[str] | None:
    """The codes of these classes; None unless each has one."""
    known = bitmaps()
    return (
        [known[n] for n in class_names]
        if class_names and set(class_names) <= known.keys()
        else None
    )
