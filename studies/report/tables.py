"""A table in Markdown, some of whose rows may not be measured yet."""

from collections.abc import Callable, Iterable, Sequence

from studies.report.records import Missing

Row = Sequence[str]


def table(header: Row, rows: Iterable[Callable[[], Row]], sides: str) -> str:
    """The rows that can be made under `header`, and below them what is said of the others.

    Each row is a call that returns its cells or raises Missing. sides: "l" or "r" for each column.
    """
    lines: list[Sequence[str]] = []
    said: dict[str, None] = {}
    for row in rows:
        try:
            lines.append(row())
        except Missing as missing:
            said[missing.sentence] = None
    parts = [grid(header, lines, sides)] if lines else []
    return "\n\n".join([*parts, *said])


def grid(header: Row, rows: Iterable[Row], sides: str) -> str:
    """The rows under `header`, as Markdown. Raises ValueError for rows of another length."""
    rules = ["---:" if side == "r" else ":---" for side in sides]
    lines = [header, rules, *rows]
    if any(len(line) != len(header) for line in lines):
        raise ValueError(f"a row has not the {len(header)} cells of the header")
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
