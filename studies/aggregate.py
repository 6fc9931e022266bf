"""Summarise the runs of one experiment, over seeds or folds: mean and spread of each score."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.commands.terminal import parser, run
from lenet_xp.errors import InputError
from lenet_xp.system.files import write_json

EXAMPLES = """\
  python -m studies.aggregate runs/seed-0/metrics.json runs/seed-1/metrics.json
      mean and spread of each score, as JSON
  python -m studies.aggregate runs/fold-*/metrics.json --out summary.json"""

RUN_KEYS = ("seed", "fold")  # numbers that name a run and are no scores
COMMON_KEYS = ("recipe", "dataset")  # the same in all runs of an experiment
MAX_NUMBER = 1e100  # larger numbers are left out: the sum of their squares may overflow


@dataclass(frozen=True)
class Spread:
    """A score over n runs. deviation: of the sample (n - 1); None for a single run."""

    mean: float
    deviation: float | None
    min: float
    max: float
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of the values of the runs. Raises ValueError for no values."""
    if not len(values):
        raise ValueError("no values to summarise")
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(
        float(np.mean(values)), deviation, float(min(values)), float(max(values)), len(values)
    )


def aggregate(files: Sequence[str | os.PathLike[str]]) -> dict[str, Any]:
    """Return the spread of every number in the runs' metrics.json, and the list of sources.

    The result is {"sources": ["run/metrics.json", ...], "metrics": {name: {mean, deviation, min,
    max, n}}}, ready for `write_json`. n: how many runs have the number. Lists, texts and nested
    entries are left out. Raises InputError for a file that is no record of a run, for a file given
    twice and for runs of different recipes or data.
    """
    paths = [Path(file) for file in files]
    if not paths:
        raise InputError("no runs to aggregate; give the metrics.json of each")
    if len({path.resolve() for path in paths}) < len(paths):
        raise InputError("the same run is given twice; give each metrics.json once")
    records = [_record(path) for path in paths]
    for key in COMMON_KEYS:
        values = {repr(record.get(key))[:60] for record in records}
        if len(values) > 1:
            raise InputError(f"runs differ in {key} ({', '.join(sorted(values))}); keep to one")
    names = dict.fromkeys(name for record in records for name in record)
    metrics = {}
    for name in names:
        numbers = [record[name] for record in records if _is_number(record.get(name))]
        if numbers and name not in RUN_KEYS:
            metrics[name] = vars(spread(numbers))
    # The last two parts of a path name the run without the folders of this machine.
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
    """Whether the value is a number that a mean can be taken of; JSON has integers of any size."""
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return numeric and abs(value) < MAX_NUMBER


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser("python -m studies.aggregate", __doc__, EXAMPLES)
    p.add_argument("runs", nargs="+", metavar="METRICS", help="the metrics.json of each run")
    p.add_argument("--out", type=Path, metavar="FILE", help="write the summary there as JSON")
    options = p.parse_args(arguments)
    summary = aggregate(options.runs)
    if options.out:
        write_json(options.out, summary)
    print(json.dumps(summary, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    sys.exit(run(main))
