"""Tables in Markdown, whose rows may be missing."""

from collections.abc import Callable, Iterable, Sequence

from studies.report.records import Missing

Row = Sequence[str]


def table(header: Row, rows: Iterable[Callable[[], Row]], sides: str) -> str:
    """Return the rows under `header`, and below the table a sentence for each missing row.

    rows: calls that return the cells or raise Missing. sides: "l" or "r" for each column.
    """
    lines: list[Sequence[str]] = []
    sentences: dict[str, None] = {}  # an ordered set
    for row in rows:
        try:
            lines.append(row())
        except Missing as missing:
            sentences[missing.sentence] = None
    parts = [grid(header, lines, sides)] if lines else []
    return "\n\n".join([*parts, *sentences])


def grid(header: Row, rows: Iterable[Row], sides: str) -> str:
    """Return a Markdown table. Raises ValueError for a row of another length than the header."""
    rules = ["---:" if side == "r" else ":---" for side in sides]
    lines = [header, rules, *rows]
    if any(len(line) != len(header) for line in lines):
        raise ValueError(f"a row has not the {len(header)} cells of the header")
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
