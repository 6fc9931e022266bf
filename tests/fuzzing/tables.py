"""Tables of labels that lie, lead out or are damaged."""

from random import Random

from fuzzing import zips
from fuzzing.mutate import mutated

CELLS = (
    *("", "ya", "yan", "../../../escaped.png", "/etc/passwd", "C:\\x.png", "data", ".", "x" * 300),
    *("\x1b[2J", '"', "a\0b", "9" * 400, "1e999", "nan", "-1", "256", "ya\\1.png"),
)
HEADERS = ("file,label", "label;file", "fichier\tlettre", "path,class,path", "a,b", "")


def labels(rng: Random) -> tuple[dict[str, bytes], str]:
    """A folder of letters and a table of them, x.csv."""
    files = {name.decode(): data for name, data in zips.letters()}
    header = rng.choice(HEADERS)
    mark = next((each for each in "\t;" if each in header), ",")
    rows = [[name, name.partition("/")[0]] for name in files]
    if header.startswith("label"):
        rows = [row[::-1] for row in rows]
    return files | {"x.csv": _text(rng, header, rows, mark)}, f"labels {header!r}"


def _text(rng: Random, header: str, rows: list, mark: str) -> bytes:
    for _ in range(rng.choice((0, 1, 1, 3))):
        row = rng.choice(rows)
        row[rng.randrange(len(row))] = rng.choice(CELLS)
    lines = [*([header] if header else []), *(mark.join(map(str, row)) for row in rows)]
    data = rng.choice(("", "\ufeff")).encode() + rng.choice("\n\r").join(lines).encode()
    return mutated(rng, data)[0] if rng.random() < 0.3 else data
