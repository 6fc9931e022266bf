"""Markdown with @{places} for values, filled block by block and strictly."""

import re
from collections.abc import Callable, Iterator
from string import Template

from studies.report.records import Missing

# Blank lines separate blocks; a caption, which begins in italics, belongs to the block before it.
BLOCKS = re.compile(r"\n\n(?!\*[^*\s])")


class Places(Template):
    """A text with places "@{name}"; dollar signs belong to formulas."""

    delimiter = "@"
    idpattern = r"[a-z]+"
    braceidpattern = r"[a-z][\w./:-]*"


def places(text: str) -> list[str]:
    """Return the names of the places in `text`. Raises ValueError for a stray "@"."""
    template = Places(text)
    if not template.is_valid():
        raise ValueError("a stray @, which must be doubled")
    return template.get_identifiers()


class _Values(dict[str, str]):
    """A mapping that calls a function for each value on demand."""

    def __init__(self, value: Callable[[str], str]):
        super().__init__()
        self._value = value

    def __missing__(self, name: str) -> str:
        return self._value(name)


def fill(text: str, value: Callable[[str], str]) -> str:
    """Return `text` with the value of each place's name in it.

    value: place -> text. If it raises Missing, the sentence of that error replaces the whole block.
    The same sentence appears once under each heading. Other errors of `value` are not caught.
    """
    values = _Values(value)
    filled = "\n\n".join(_filled(block, values) for block in BLOCKS.split(text.strip()))
    return "\n\n".join(_once(filled.split("\n\n")))


def _filled(block: str, values: _Values) -> str:
    try:
        return Places(block).substitute(values)
    except Missing as missing:
        return missing.sentence


def _once(blocks: list[str]) -> Iterator[str]:
    seen: set[str] = set()
    for block in blocks:
        if block.startswith("#"):
            seen.clear()
        if not block.startswith("*") or block not in seen:
            seen.add(block)
            yield block
