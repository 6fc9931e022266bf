"""A table of labels: text whose rows name images in the table's folder, and the class of each."""

import csv
import io
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from lenet_xp.data.account import LeftOut
from lenet_xp.data.archive import LEADS_OUT
from lenet_xp.data.class_folders import Tree, tree_of
from lenet_xp.data.folder import Folder
from lenet_xp.errors import InputError
from lenet_xp.system.text import reason_of

MAX_TABLE = 32 * 2**20  # bytes: for as many rows as images are read
TABLES = (".csv", ".tsv", ".txt")
# Names of columns in English and French, as `folded` leaves them.
FILES = "file filename filepath path image imagename imagepath photo fichier nomdufichier chemin"
LABELS = "label labels class classname category letter character target etiquette classe lettre"
_EXPECTED = "labels of at least 2 classes are expected, and paths from the table's folder"


def folded(name: str) -> str:
    """The letters and digits of a column's name, without case and accents."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", name).casefold()))


class Table(Folder):
    """A table and its folder, as a source of images and their classes."""

    def __init__(self, path: Path, progress: bool, columns: str | None):
        super().__init__(path.parent, progress)
        self._table, self._columns = path, columns

    def tree(self) -> Tree:
        """The images that rows name; one with several labels is left out."""
        labels: dict[str, list[str]] = defaultdict(list)
        left_out: list[LeftOut] = []
        real = os.path.join(os.path.realpath(self.path), "")
        for line, given, label in _rows(self._table, self._columns):
            path = "/".join(part for part in given.split("/") if part not in ("", "."))
            inside, known = self.path / path, labels[path]
            why = (
                (LEADS_OUT.search(given) and "leads out of the table's folder")
                or (not os.path.isfile(inside) and "is no file in the table's folder")
                or (not os.path.realpath(inside).startswith(real) and "is a link that leads out")
                or (not label and "has no label")
                or (label in known and "is named once more, with the same label")
            )
            if why:
                left_out.append((path or self._table.name, f"line {line}: {why}"))
            else:
                known.append(label)
        for path, several in labels.items():
            if len(several) > 1:
                left_out.append((path, f"has several labels: {', '.join(several[:3])}"))
        for path, folder, reason in self._entries:
            if not folder and path not in labels and path != self._table.name:
                left_out.append((path, reason or f"stands in no row of {self._table.name}"))
        chosen = [(each[0], path) for path, each in labels.items() if len(each) == 1]
        return tree_of(str(self._table), chosen, left_out, expected=_EXPECTED)


def _rows(path: Path, columns: str | None) -> Iterator[tuple[int, str, str]]:
    """The line, file and label of each row. Raises InputError for what is no table of labels."""
    try:
        with path.open("rb") as source:
            data = source.read(MAX_TABLE + 1)
        if len(data) > MAX_TABLE:
            raise csv.Error(f"it is over {MAX_TABLE >> 20} MiB")
        text = io.StringIO(data.decode("utf-8-sig"), newline="")
        mark = max("\t;,", key=text.readline().count)  # of the header
        text.seek(0)
        reader = csv.reader(text, delimiter=mark, strict=True)
        places = _places(path, next(reader, []), columns)
        for row in reader:
            file, label = (row[each].strip() if each < len(row) else "" for each in places)
            if file or label:
                yield reader.line_num, file.replace("\\", "/"), label
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        problem = f"is no table in UTF-8 that can be read ({reason_of(error)}); save it as such"
        raise InputError(f"{path}: {problem}") from error


def _places(path: Path, header: list[str], columns: str | None) -> list[int]:
    """The columns of files and of labels, by the names given or by those known."""
    names = [folded(cell) for cell in header]
    known = [FILES.split(), LABELS.split()]
    if columns:
        known = [[folded(name)] for name in columns.split(",")]
    found = [[i for i, name in enumerate(names) if name in each] for each in known]
    if [len(each) for each in found] != [1, 1] or found[0] == found[1]:
        there = ", ".join(header)[:100]
        problem = f"its first line ({there}) does not tell which columns hold files and labels"
        raise InputError(f"{path}: {problem}; name the two with --columns FILE,LABEL")
    return [each[0] for each in found]
