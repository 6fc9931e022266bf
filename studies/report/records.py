"""The records that the report is made of: where each lies, what makes it, what is not there."""

import csv
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lenet_xp.errors import InputError
from studies.aggregate import aggregate

MAKE = "python -m studies.make_results --amhcd amhcd_64.zip --mnist mnist.npz --only"
RUN = "metrics.json"


@dataclass(frozen=True)
class Record:
    """One record: its folder under results/, its file, and which results make it.

    title: what it measures, as the subject of a sentence. parts: the folders of the runs that a
    series consists of. make: arguments of `make_results.py --only`, or a whole command.
    """

    title: str
    file: str
    make: str
    parts: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        return str(Path(self.file).parent)

    @property
    def command(self) -> str:
        return self.make if self.make.startswith("python ") else f"{MAKE} {self.make}"

    @property
    def runs(self) -> tuple[str, ...]:
        """The folders of its runs, under results/."""
        return tuple(f"{self.folder}/{part}" for part in self.parts) or (self.folder,)


def _run(title: str, name: str) -> Record:
    return Record(title, f"{name}/{RUN}", name)


def _series(title: str, name: str, part: str) -> Record:
    return Record(title, f"{name}/summary.json", name, tuple(f"{part}-{k}" for k in range(5)))


# What learns from generated letters alone comes of the same call as what it learned from.
TRANSFER = "best-synthetic synthetic-to-amhcd"
RECORDS = {
    "classic-amhcd": _run("AMHCD with the recipe `classic`, the seed split", "classic-amhcd"),
    "best-amhcd": _run("AMHCD with the recipe `best`, the seed split", "best-amhcd"),
    "seeds-amhcd": _series("AMHCD, the seed split, 5 seeds", "seeds-amhcd", "seed"),
    "writers-amhcd": _series("AMHCD, writers never seen, 5 folds", "writers-amhcd", "fold"),
    "transfer": Record(
        "AMHCD read after generated letters alone", "synthetic-to-amhcd/scores.json", TRANSFER
    ),
    "halves": Record(
        "The transfer by halves of the writers", "synthetic-to-amhcd/writer_halves.json", TRANSFER
    ),
    "few-writers": Record(
        "The learning curve over writers",
        "few-writers/few_writers.json",
        "best-synthetic few-writers",
    ),
    "averaged": Record(
        "Several readings of an image", "averaged-writers/averaged.json", "averaged-writers"
    ),
    "search": Record(
        "The search for a recipe",
        "search/search.json",
        "python -m studies.search --data amhcd_64.zip --out results/search",
    ),
    "classic-synthetic": _run("Generated letters with `classic`", "classic-synthetic"),
    "best-synthetic": _run("Generated letters with `best`", "best-synthetic"),
    "best-mnist": _run("MNIST with `best`", "best-mnist"),
    "seeds-mnist": _series("MNIST, 5 seeds", "seeds-mnist", "seed"),
    "letters": Record(
        "How generated letters compare with real ones",
        "generated-letters/statistics.json",
        "generated-letters",
    ),
    "audit": Record("The audit of AMHCD", "audit/amhcd.json", "audit"),
    "cpu": Record(
        "Speed on a CPU",
        "benchmarks/cpu.json",
        "python -m studies.speed --command-data amhcd_64.zip --out results/benchmarks",
    ),
}


class Missing(Exception):
    """What a part of the report needs is not on record; the text says so in one sentence."""

    @property
    def sentence(self) -> str:
        """As it stands in the report."""
        return f"*{self}*"


class Records:
    """The records of one folder, read when they are asked for.

    base: the folder that links are to start from. `asked` holds the names of the records whose
    content was asked for, there or not. Every way to a value raises Missing where the record, or
    the value in it, is not there; KeyError for a name that is no record's; InputError for a file
    that cannot be used.
    """

    def __init__(self, folder: str | os.PathLike[str], base: str | os.PathLike[str] | None = None):
        self.folder = Path(folder)
        self.base = self.folder if base is None else Path(base)
        self.asked: set[str] = set()
        self._loaded: dict[str, Any] = {}

    def load(self, name: str) -> dict[str, Any]:
        """The content of a record; of a series the spread of each score, as `aggregate` has it."""
        record = RECORDS[name]
        self.asked.add(name)
        if name not in self._loaded:
            if record.parts:
                files = [self._there(name, f"{run}/{RUN}") for run in record.runs]
                self._loaded[name] = _checked(self.folder / record.file, aggregate(files))
            else:
                self._loaded[name] = _json(self._there(name, record.file))
        loaded: dict[str, Any] = self._loaded[name]
        return loaded

    def value(self, name: str, field: str) -> Any:
        """A field of a record, "config/seed" for one within another; of a series its spread."""
        record = RECORDS[name]
        found: Any = self.load(name)
        for key in field.split("/"):
            found = found.get(key) if isinstance(found, dict) else None
        if found is None or (record.parts and found["n"] < len(record.parts)):
            raise Missing(
                f"{record.title}: the record has no `{field}` yet, for it is older than the "
                f"program; make it again with `{record.command}`."
            )
        return found

    def runs(self, name: str) -> list[dict[str, Any]]:
        """The metrics.json of each run of a record."""
        return self.json(name, RUN)

    def json(self, name: str, file: str) -> list[dict[str, Any]]:
        """A JSON file that stands beside each of a record's runs."""
        return [_json(self._there(name, f"{run}/{file}")) for run in RECORDS[name].runs]

    def rows(self, name: str, file: str) -> list[list[dict[str, str]]]:
        """The rows of a CSV file that stands beside each of a record's runs."""
        tables = []
        for run in RECORDS[name].runs:
            with self._there(name, f"{run}/{file}").open(encoding="utf-8", newline="") as table:
                tables.append(list(csv.DictReader(table)))
        return tables

    def command(self, name: str) -> str:
        """The command of a record's first run."""
        file = f"{RECORDS[name].runs[0]}/command.txt"
        return self._there(name, file).read_text(encoding="utf-8").strip()

    def origin(self, name: str) -> tuple[str | None, str]:
        """The commit and the command of a record's first run; counts as no asking."""
        record = RECORDS[name]
        if record.parts or record.file.endswith(RUN):
            return self.runs(name)[0]["git_commit"], self.command(name)
        found = _json(self._there(name, record.file))
        return found.get("git_commit"), record.command

    def picture(self, file: str) -> str:
        """The link to a picture beside a record, by its path under results/."""
        folder = str(Path(file).parent)
        names = [name for name, each in RECORDS.items() if each.folder == folder]
        if not names:
            raise KeyError(f"{file}: no record lies in this folder")
        return self.link(self._there(names[0], file))

    def link(self, path: Path) -> str:
        """A path as a link from the folder `base`."""
        return Path(os.path.relpath(path, self.base)).as_posix()

    def _there(self, name: str, file: str) -> Path:
        path = self.folder / file
        if not path.is_file():
            record = RECORDS[name]
            raise Missing(f"{record.title}: not yet measured; make it with `{record.command}`.")
        return path


def _checked(summary: Path, found: dict[str, Any]) -> dict[str, Any]:
    """The spreads of a series; InputError where the summary beside the runs says otherwise."""
    metrics: dict[str, Any] = found["metrics"]
    if summary.is_file():
        said = _json(summary)["metrics"]
        # Another NumPy may round the last digit otherwise.
        same = said.keys() == metrics.keys() and all(
            said[name]["n"] == each["n"] and math.isclose(said[name]["mean"], each["mean"])
            for name, each in metrics.items()
        )
        if not same:
            raise InputError(
                f"{summary}: is not what its runs give; write it again with studies/make_results.py"
            )
    return metrics


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: is no JSON; make the record again") from error
