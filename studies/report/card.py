"""The card of the model that comes with the package, made from the model's record."""

import csv
import hashlib
import json
import statistics
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from lenet_xp.data.sources import CITATION, PAGE
from lenet_xp.data.splits import VALIDATION_WRITERS
from lenet_xp.data.writers import WRITERS
from lenet_xp.letters.alphabet import letter, letters
from lenet_xp.training.recipes import Recipe
from studies.report.formats import FORMATS, count, interval, percent, points
from studies.report.records import Missing, Records
from studies.report.scores import pair
from studies.report.tables import grid
from studies.report.template import fill

HEAD = "<!-- Made by studies.make_model from the model's record: change that, or the text. -->"
FOLDS = "writers-distilled"
LISTED = 6  # letters: those of lowest F1
_FORMATS: dict[str, Callable[[Any], str]] = FORMATS | {
    "interval": interval,
    "decimals": "{:.2f}".format,
}


def model_record(model: Path, run: Path, command: str) -> dict[str, Any]:
    """Return the record of a model file, which the finished run in the folder `run` made.

    command: of that run. The record holds the file's name, size and SHA-256, the data with their
    terms, the command, the run's metrics, and its scores by writer and by letter.
    """
    content = model.read_bytes()
    return {
        "model": {
            "file": model.name,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        },
        "data": {
            "name": "AMHCD",
            "source": CITATION,
            "page": PAGE,
            "terms": "available for researches and academic uses",
        },
        "command": command,
        "metrics": json.loads((run / "metrics.json").read_text(encoding="utf-8")),
        "writers": _rows(run / "per_writer.csv"),
        "letters": _rows(run / "per_class.csv"),
    }


def _rows(table: Path) -> list[dict[str, Any]]:
    """The rows of a CSV file, with numbers as numbers."""
    with table.open(encoding="utf-8", newline="") as lines:
        return [{key: _number(text) for key, text in row.items()} for row in csv.DictReader(lines)]


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def render_card(record: dict[str, Any], records: Records) -> str:
    """Return the card in Markdown. record: of the model. records: `results/`, for its folds."""
    text = files(__package__).joinpath("model_card.md").read_text(encoding="utf-8")
    return f"{HEAD}\n\n{fill(text, partial(_value, record, records))}\n"


def _value(record: dict[str, Any], records: Records, place: str) -> str:
    """The text at "fact.x", "table.x", "folds.field:format" or "field.of.record:format"."""
    kind, _, rest = place.partition(".")
    if kind == "fact":
        return FACTS[rest](record, records)
    if kind == "table":
        return TABLES[rest](record)
    path, _, form = place.rpartition(":")
    if kind == "folds":
        return _FORMATS[form](_folds(record, records, path.removeprefix("folds.")))
    section, _, field = path.partition(".")
    return _FORMATS[form](record[section][field] if field else record[section])


def _folds(record: dict[str, Any], records: Records, field: str) -> Any:
    """A score's spread over the folds; Missing where another recipe made them."""
    found = records.value(FOLDS, field)
    runs = [record["metrics"], *records.runs(FOLDS)]
    recipes = [Recipe.from_dict(run["config"]["recipe"]) for run in runs]  # old ones lack options
    if any(each != recipes[0] for each in recipes):
        raise Missing(f"The folds in results/{FOLDS} are of another recipe and say nothing of it.")
    return found


def _gap(record: dict[str, Any], records: Records) -> str:
    mean = _folds(record, records, "test_accuracy")["mean"]
    return points(record["metrics"]["test_accuracy"] - mean)


def _writer_range(record: dict[str, Any], records: Records) -> str:
    found = sorted(row["accuracy"] for row in record["writers"])
    return ", ".join(percent(each) for each in (found[0], statistics.median(found), found[-1]))


def _refused(record: dict[str, Any], kind: str) -> str:
    return percent(record["metrics"]["none_of_these"][f"{kind}_refused"])


def _versions(record: dict[str, Any], records: Records) -> str:
    known = record["metrics"]["versions"]
    names = (name for name in known if name.startswith(("python", "numpy", "opencv")))
    return ", ".join(f"{name} {known[name]}" for name in names)


FACTS: dict[str, Callable[[dict[str, Any], Records], str]] = {
    "classes": lambda record, records: count(len(letters())),
    "record": lambda record, records: Path(record["model"]["file"]).with_suffix(".json").name,
    "train-writers": lambda record, records: count(
        WRITERS - VALIDATION_WRITERS - record["metrics"]["test_writers"]
    ),
    "val-writers": lambda record, records: count(VALIDATION_WRITERS),
    "refused-from": lambda record, records: percent(1 - record["metrics"]["threshold"]),
    "others-refused": lambda record, records: _refused(record, "others"),
    "letters-refused": lambda record, records: _refused(record, "letters"),
    "versions": _versions,
    "commit": lambda record, records: f"`{record['metrics']['git_commit'][:12]}`",
    "gap": _gap,
    "writer-range": _writer_range,
    "pairs": lambda record, records: (
        ", ".join(
            pair(each["true"], each["predicted"], each["count"])
            for each in record["metrics"]["confused_pairs"]
        )
        + "."
    ),
}


def _writers(record: dict[str, Any]) -> str:
    rows = [
        (
            str(row["writer"]),
            count(row["images"]),
            count(row["errors"]),
            percent(row["accuracy"]),
            interval((row["low"], row["high"])),
        )
        for row in record["writers"]
    ]
    return grid(("writer", "letters", "errors", "accuracy", "95 % interval"), rows, "rrrrr")


def _letters(record: dict[str, Any]) -> str:
    """The letters of lowest F1."""
    worst = sorted(record["letters"], key=lambda row: (row["f1"], row["class"]))[:LISTED]
    rows = [
        (
            f"{letter(row['class']).glyph} {row['class']}",
            *(percent(row[key]) for key in ("precision", "recall", "f1")),
        )
        for row in worst
    ]
    return grid(("read worst", "precision", "recall", "F1"), rows, "lrrr")


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {"writers": _writers, "letters": _letters}
