"""The writers of AMHCD's images: 60 people, each with 13 samples of each letter.

The files do not name them. They were inferred from the files' numbers and checked against the ink:
docs/writers.md tells how, and amhcd_writers.csv has the result for each letter.
"""

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from lenet_xp.data.dataset import Dataset
from lenet_xp.errors import InputError

WRITERS = 60  # people
SAMPLES = 13  # images: of each letter, from each writer
IMAGES = WRITERS * SAMPLES  # images: of each letter

_NAME = re.compile(r"([^/]+)/\1_([1-9]\d{0,2})\.\w+", re.ASCII)


@dataclass(frozen=True)
class ClassWriters:
    """The writers of one letter's files."""

    writers: np.ndarray  # (780,) int64 from 0 to 59, of the files 1 to 780
    certain: bool  # whether no two of them may be exchanged
    doubtful: tuple[int, ...]  # those who may be, in this letter


@cache
def writer_table() -> dict[str, ClassWriters]:
    """The assignment of each letter by its class name, from amhcd_writers.csv."""
    text, table = files(__package__).joinpath("amhcd_writers.csv").read_text("utf-8"), {}
    for row in csv.DictReader(text.splitlines()):
        sizes = np.full(WRITERS, SAMPLES)
        for block, size in (each.split(":") for each in row["sizes"].split()):
            sizes[int(block)] = int(size)
        writers = np.repeat(_numbers(row["order"]), sizes)
        if row["numbering"] == "text":  # file n is the n-th of the numbers sorted as text: 1, 10
            writers = writers[np.array(sorted(range(1, IMAGES + 1), key=str)) - 1]
        writers.flags.writeable = False
        certain, doubtful = row["certainty"] == "certain", tuple(_numbers(row["doubtful"]))
        table[row["class"]] = ClassWriters(writers, certain, doubtful)
    return table


def _numbers(text: str) -> list[int]:
    """The numbers of a list of spans: "0-2 7" is 0, 1, 2, 7."""
    spans = [[int(end) for end in each.split("-")] for each in text.split()]
    return [number for span in spans for number in range(span[0], span[-1] + 1)]


def writers_of(dataset: Dataset) -> np.ndarray:
    """The writer of each image of AMHCD: (N,) int64 from 0 to 59.

    Any other data set raises InputError. AMHCD is recognised by its 33 classes, each with the files
    1 to 780; files that were skipped as unreadable count.
    """
    table = writer_table()
    names = [*dataset.files, *(file for file, _ in dataset.skipped)]
    found = [(each[1], int(each[2])) for each in map(_NAME.fullmatch, names) if each]
    expected = {(name, number) for name in table for number in range(1, IMAGES + 1)}
    if len(names) != len(expected) or set(found) != expected or not dataset.files:
        known = f"AMHCD as published, with {len(table)} classes of {IMAGES} numbered files,"
        problem = f"nobody knows who wrote its images; only {known} can be split by writers"
        raise InputError(f"{dataset.name}: {problem}")
    return np.array([table[name].writers[number - 1] for name, number in found[: len(dataset)]])


def known_writers(dataset: Dataset) -> np.ndarray | None:
    """As `writers_of`, but None where the writers are unknown."""
    try:
        return writers_of(dataset)
    except InputError:
        return None


def doubtful_writers() -> list[tuple[int, ...]]:
    """Groups of writers who may be exchanged for one another in some letter."""
    return sorted({each.doubtful for each in writer_table().values() if each.doubtful})
