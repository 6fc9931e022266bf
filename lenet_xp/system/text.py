"""Text from untrusted sources, made safe for a terminal and for files; and tables of text."""

import difflib
import os
import re
import shlex
from collections.abc import Sequence
from typing import Any

MAX_CLASSES = 1_000  # classes: of a data set or a model
MAX_NAME = 255  # characters: of a class name, as of a folder
_CONTROL_SIGNS = "\x00-\x1f\x7f-\x9f\u2028\u2029"  # a terminal obeys them, or ends a line there
_CONTROL = re.compile(f"[{_CONTROL_SIGNS}]")
_UNFIT = re.compile(f"[{_CONTROL_SIGNS}\ud800-\udfff]")  # surrogates cannot be written as UTF-8


def printable(text: str) -> str:
    """Return `text` for a terminal, with its control characters as escapes."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def reason_of(error: BaseException, limit: int = 120) -> str:
    """Return an error's text in one line of at most `limit` signs; its type where it has none."""
    return " ".join(str(error).split())[:limit] or type(error).__name__


def in_shell(word: object) -> str:
    """Return a path or another word as one word of a command to copy; it is no option."""
    text = os.fspath(word) if isinstance(word, os.PathLike) else str(word)
    text = f".{os.sep}{text}" if text.startswith("-") else text
    if os.name == "nt":  # where no name holds a quotation mark
        return f'"{text}"' if re.search(r"[\s&()^%]", text) else text
    return shlex.quote(text)


def nearest(word: str, known: Sequence[str]) -> str:
    """Return "did you mean ...?" with the known word most like this one, or all that are known."""
    close = difflib.get_close_matches(word.lower(), known, 1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"


def known_values(
    what: str, values: Any, known: Sequence[str], former: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the values of a table whose names are known; those of `former` names must be 0.

    TypeError for what is no table, ValueError for other names.
    """
    if not isinstance(values, dict):
        raise TypeError(f"{what} is a table of names and values, not {values!r:.40}")
    for name, value in values.items():
        if name not in known and not (name in former and value == 0):
            raise ValueError(f"{what} has no {name[:40]!r}; {nearest(name, known)}")
    return {name: value for name, value in values.items() if name in known}


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    """Return `header` and `rows` as aligned lines; the columns in `left` are flush left.

    Put glyphs in the last column: a terminal may draw them wider than they are counted here.
    """
    columns = []
    for index, column in enumerate(zip(header, *rows, strict=True)):
        width = max(map(len, column))
        columns.append(
            [each.ljust(width) if index in left else each.rjust(width) for each in column]
        )
    return "".join("  ".join(cells).rstrip() + "\n" for cells in zip(*columns, strict=True))


def problem_with(class_names: Sequence[str]) -> str | None:
    """Return why these class names, for UTF-8 files and terminals, cannot be used, or None."""
    if len(class_names) > MAX_CLASSES:
        return f"holds {len(class_names):,} classes, at most {MAX_CLASSES:,} are read; give fewer"
    for name in class_names:
        if not 0 < len(name) <= MAX_NAME or _UNFIT.search(name):
            return f"the class name {name[:40]!r} is no printable text of 1 to {MAX_NAME} signs"
    return None
