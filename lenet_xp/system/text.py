"""Text that may come from anywhere: made fit for a terminal, for files, and for columns."""

import re
import unicodedata
from collections.abc import Sequence

# A file's name may hold what a terminal takes for orders, or ends a line with.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
MAX_CLASSES = 1_000
LONGEST_NAME = 255  # of a class, as of a folder
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # controls, or no text


def printable(text: str) -> str:
    """Text for a terminal: control characters, which a hostile name may hold, as their escapes."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


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


def problem_with(class_names: Sequence[str]) -> str | None:
    """What speaks against the names of a data set's or a model's classes, or None.

    They go into files as UTF-8 and onto terminals as they are.
    """
    if len(class_names) > MAX_CLASSES:
        return f"holds {len(class_names):,} classes, at most {MAX_CLASSES:,} are read; give fewer"
    for name in class_names:
        if not 0 < len(name) <= LONGEST_NAME or _UNFIT.search(name):
            return f"the class name {name[:40]!r} is no printable text of 1 to {LONGEST_NAME} signs"
    return None
