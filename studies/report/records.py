"""The records of the report: the place of each, the command that makes it, and missing ones."""

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
    """One record under results/.

    title: its measurement, as the subject of a sentence. file: its path. make: the arguments of
    `studies.make_results --only`, or a whole command. parts: the folders of a series' runs.
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
        """The folders of its runs under results/."""
        return tuple(f"{self.folder}/{part}" for part in self.parts) or (self.folder,)


def _run(title: str, name: str) -> Record:
    return Record(title, f"{name}/{RUN}", name)


def _series(title: str, name: str, part: str) -> Record:
    return Record(title, f"{name}/summary.json", name, tuple(f"{part}-{k}" for k in range(5)))


# One call makes the model of generated letters and what uses it, for models are not kept.
TRANSFER = "best-synthetic synthetic-to-amhcd"
RECORDS = {
    "classic-amhcd": _run("AMHCD with the recipe `classic`, the seed split", "classic-amhcd"),
    "best-amhcd": _run("AMHCD with the recipe `best`, the seed split", "best-amhcd"),
    "seeds-amhcd": _series("AMHCD, the seed split, `best`, 5 seeds", "seeds-amhcd", "seed"),
    "writers-amhcd": _series("AMHCD, writers never seen, `best`, 5 folds", "writers-amhcd", "fold"),
    "seeds-distilled": _series(
        "AMHCD, the seed split, `distilled`, 5 seeds", "seeds-distilled", "seed"
    ),
    "writers-distilled": _series(
        "AMHCD, writers never seen, `distilled`, 5 folds", "writers-distilled", "fold"
    ),
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
    "ways": Record(
        "The choice of how to teach",
        "distillation/ways.json",
        "python -m studies.distillation --data amhcd_64.zip --out results/distillation "
        "--work taught",
    ),
    "classic-synthetic": _run("Generated letters with `classic`", "classic-synthetic"),
    "best-synthetic": _run("Generated letters with `best`", "best-synthetic"),
    "best-mnist": _run("MNIST with `best`", "best-mnist"),
    "seeds-mnist": _series("MNIST, `best`, 5 seeds", "seeds-mnist", "seed"),
    "mnist-distilled": _series("MNIST, `distilled`, 5 seeds", "mnist-distilled", "seed"),
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
    """A value that the report needs is not recorded; its message stands in the text."""

    @property
    def sentence(self) -> str:
        """As it stands in the report."""
        return f"*{self}*"


class Records:
    """The records of one folder, each read on demand.

    base: the folder that links start from. `asked` holds the names of the records whose content
    was asked for, whether it is there or not. Every method that returns a value raises Missing
    where the record or the value is missing, KeyError for a name that no record has, and
    InputError for a file that cannot be used.
    """

    def __init__(self, folder: str | os.PathLike[str], base: str | os.PathLike[str] | None = None):
        self.folder = Path(folder)
        self.base = self.folder if base is None else Path(base)
        self.asked: set[str] = set()
        self._loaded: dict[str, Any] = {}

    def load(self, name: str) -> dict[str, Any]:
        """Return the content of a record; for a series, the spreads that `aggregate` returns."""
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
        """Return a field of a record, "config/seed" for a nested one; for a series, its spread."""
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
        """Return the metrics.json of each run of a record."""
        return self.json(name, RUN)

    def json(self, name: str, file: str) -> list[dict[str, Any]]:
        """Return a JSON file of each of a record's runs."""
        return [_json(self._there(name, f"{run}/{file}")) for run in RECORDS[name].runs]

    def rows(self, name: str, file: str) -> list[list[dict[str, str]]]:
        """Return the rows of a CSV file of each of a record's runs."""
        tables = []
        for run in RECORDS[name].runs:
            with self._there(name, f"{run}/{file}").open(encoding="utf-8", newline="") as table:
                tables.append(list(csv.DictReader(table)))
        return tables

    def command(self, name: str) -> str:
        """Return the command of a record's first run."""
        file = f"{RECORDS[name].runs[0]}/command.txt"
        return self._there(name, file).read_text(encoding="utf-8").strip()

    def origin(self, name: str) -> tuple[str | None, str]:
        """Return commit and command of a record's first run, without an entry in `asked`."""
        record = RECORDS[name]
        if record.parts or record.file.endswith(RUN):
            return self.runs(name)[0]["git_commit"], self.command(name)
        found = _json(self._there(name, record.file))
        return found.get("git_commit"), record.command

    def picture(self, file: str) -> str:
        """Return the link to a picture beside a record. file: its path under results/."""
        folder = str(Path(file).parent)
        names = [name for name, each in RECORDS.items() if each.folder == folder]
        if not names:
            raise KeyError(f"{file}: no record lies in this folder")
        return self.link(self._there(names[0], file))

    def link(self, path: Path) -> str:
        """Return a path as a link from the folder `base`."""
        return Path(os.path.relpath(path, self.base)).as_posix()

    def _there(self, name: str, file: str) -> Path:
        path = self.folder / file
        if not path.is_file():
            record = RECORDS[name]
            raise Missing(f"{record.title}: not yet measured; make it with `{record.command}`.")
        return path


def _checked(summary: Path, found: dict[str, Any]) -> dict[str, Any]:
    """The spreads of a series; InputError where the summary beside the runs differs from them."""
    metrics: dict[str, Any] = found["metrics"]
    if summary.is_file():
        written = _json(summary)["metrics"]
        # Another NumPy may round the last digit differently.
        same = written.keys() == metrics.keys() and all(
            written[name]["n"] == each["n"] and math.isclose(written[name]["mean"], each["mean"])
            for name, each in metrics.items()
        )
        if not same:
            raise InputError(
                f"{summary}: is not what its runs give; write it again with studies.make_results"
            )
    return metrics


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: is no JSON; make the record again") from error
