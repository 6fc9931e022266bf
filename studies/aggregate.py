"""Several runs of one experiment, over seeds or folds, as one: mean and spread of each score."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.errors import InputError

TELL_APART = ("seed", "fold")  # what names a run and is no score of it
LARGEST = 1e100  # whose squares have a sum
IN_COMMON = ("recipe", "dataset")


@dataclass(frozen=True)
class Spread:
    """A score over n runs; `deviation` is the sample's (n - 1), None for a single run."""

    mean: float
    deviation: float | None
    min: float
    max: float
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of one value a run. Raises ValueError for none."""
    if not len(values):
        raise ValueError("no values to summarise")
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(
        float(np.mean(values)), deviation, float(min(values)), float(max(values)), len(values)
    )


def aggregate(files: Sequence[str | os.PathLike[str]]) -> dict[str, Any]:
    """Return the spread of every number in the runs' metrics.json, and the list of sources.

    {"sources": ["run/metrics.json", ...], "metrics": {name: {mean, deviation, min, max, n}}}, ready
    for `write_json`. n counts the runs that have the number; lists, texts and nested entries are
    left out. Raises InputError for a file that is no record of a run, for one given twice and for
    runs of different recipes or data.
    """
    paths = [Path(file) for file in files]
    if not paths:
        raise InputError("no runs to aggregate; give the metrics.json of each")
    if len({path.resolve() for path in paths}) < len(paths):
        raise InputError("the same run is given twice; give each metrics.json once")
    records = [_record(path) for path in paths]
    for key in IN_COMMON:
        values = {repr(record.get(key))[:60] for record in records}
        if len(values) > 1:
            raise InputError(f"runs differ in {key} ({', '.join(sorted(values))}); keep to one")
    names = dict.fromkeys(name for record in records for name in record)
    metrics = {}
    for name in names:
        numbers = [record[name] for record in records if _is_number(record.get(name))]
        if numbers and name not in TELL_APART:
            metrics[name] = vars(spread(numbers))
    # Two parts of the path tell the runs apart and keep a machine's folders out of the record.
    return {"sources": ["/".join(path.parts[-2:]) for path in paths], "metrics": metrics}


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); give the metrics.json of a run"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON; give the metrics.json of a run") from error
    if not isinstance(record, dict) or "test_accuracy" not in record:
        raise InputError(f"{path}: is no record of a run; give the metrics.json of a run")
    return record


def _is_number(value: Any) -> bool:
    """Whether it is one that has a mean: JSON's whole numbers may be of any length."""
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return numeric and abs(value) < LARGEST
