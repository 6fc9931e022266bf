"""Compare finished runs in one table, and test whether they differ by chance."""

import csv
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from lenet_xp.commands.terminal import parser, path, print_json, run
from lenet_xp.errors import InputError
from lenet_xp.scores.tables import FIRST, LAST, PREDICTIONS
from lenet_xp.system.text import printable, reason_of, text_table
from lenet_xp.training.checkpoints import resume_command

EXAMPLES = """\
  python -m studies.compare runs/classic-synthetic runs/best-synthetic
      both runs in one table, and whether the second differs from the first by chance
A run is a folder that `lenet-xp train` or `lenet-xp evaluate --out` has written."""
LEVEL = 0.05  # p value: below it, a difference is called hardly chance
RECORDS = {"metrics.json": "test_", "scores.json": ""}  # the prefix of each one's scores
COLUMNS = (  # title, name in the record, format
    *(("data", "dataset", "s"), ("split", "split", "s"), ("parameters", "parameters", ",d")),
    *(("recipe", "recipe", "s"), ("epochs", "epochs", "d"), ("images", "images", ",d")),
    *(("accuracy", "accuracy", ".2%"), ("from", "low", ".2%"), ("to", "high", ".2%")),
    *(("macro F1", "macro_f1", ".2%"), ("loss", "loss_scaled", ".4f")),
    *(("ECE", "ece_scaled", ".2%"), ("seconds", "train_seconds", ",.0f")),
    ("device", "device", "s"),
)

Readings = dict[tuple[str, str], bool]  # whether an image, by file and true class, was read right


class Run(NamedTuple):
    """A finished run: values and texts of its row, and how it read each image, if known."""

    values: dict[str, Any]
    texts: list[str]
    readings: Readings | None


def finished_run(folder: Path) -> Run:
    """Read a run's folder. Raises InputError where it is none, unfinished or damaged."""
    file = next((each for each in RECORDS if (folder / each).is_file()), "")
    if not file:
        problem = f"is no run; give a folder that holds {' or '.join(RECORDS)}"
        if (folder / "checkpoints").is_dir():
            problem = f"is not finished; go on with: {resume_command(folder)}"
        raise InputError(f"{folder}: {problem}")
    try:
        values = _values(json.loads((folder / file).read_bytes()), RECORDS[file])
        given = [(values[name], form) for _, name, form in COLUMNS]
        texts = ["-" if v is None else printable(format(v, form)) for v, form in given]
        hits = round(values["accuracy"] * (values["images"] or 0))
    except Exception as error:  # a damaged record has a dozen ways to go wrong
        raise InputError(f"{folder / file}: is no record of a run ({reason_of(error)})") from error
    readings = read_predictions(folder) if (folder / PREDICTIONS).is_file() else None
    if readings is not None and (len(readings), sum(readings.values())) != (values["images"], hits):
        raise InputError(f"{folder / PREDICTIONS}: does not fit {file} beside it; score again")
    return Run({"run": str(folder)} | values, [printable(str(folder)), *texts], readings)


def _values(record: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return the value of each column, None where an older version wrote none."""
    values = {name: record.get(prefix + name, record.get(name)) for _, name, _ in COLUMNS}
    fold, part, split = record.get("fold"), record.get("part", "test"), values["split"]
    words = [part, *[f"of {split}"] * bool(split), *[f"fold {fold}"] * (fold is not None)]
    low, high = record.get(f"{prefix}accuracy_interval") or (None, None)
    values |= {"split": " ".join(words), "images": record.get("images", record.get("n_test"))}
    return values | {"low": low, "high": high}


def read_predictions(folder: Path) -> Readings:
    """Read what `write_predictions` wrote. Raises InputError for a damaged file."""
    path, right = folder / PREDICTIONS, Readings()
    try:
        with path.open(encoding="utf-8", newline="") as text:
            lines = csv.reader(text, strict=True)
            header = next(lines, [])
            if (*header[:3], *header[-1:]) != FIRST + LAST:
                raise ValueError("it begins otherwise")
            for line in lines:
                if len(line) != len(header) or (line[0], line[1]) in right:
                    raise ValueError(f"line {lines.line_num} is cut short or there twice")
                right[line[0], line[1]] = line[1] == line[2]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({reason_of(error)}); score again") from error
    return right


def mcnemar(this: Readings, that: Readings) -> tuple[int, int, float]:
    """Return how many images only this, and only that network reads right, and the two-sided p.

    The exact test: were both equally good, such an image would be as likely one as the other. It
    takes images for independent. Source: McNemar 1947, Psychometrika 12, 153-157.
    """
    from scipy.stats import binomtest

    first, second = (sum(a[i] and not b[i] for i in a) for a, b in ((this, that), (that, this)))
    p = float(binomtest(first, first + second).pvalue) if first or second else 1.0
    return first, second, p


def difference(this: Run, first: Run) -> dict[str, Any]:
    """Return McNemar's test of a run against the first, or why there is none."""
    found = {"run": this.values["run"], "against": first.values["run"]}
    if this.readings is None or first.readings is None:
        without = first if first.readings is None else this
        return found | {"not_compared": f"{without.values['run']} has no {PREDICTIONS}"}
    other_data = this.values["dataset"] != first.values["dataset"]
    if other_data or this.readings.keys() != first.readings.keys():
        return found | {"not_compared": "their test images are not the same"}
    only_run, only_against, p = mcnemar(this.readings, first.readings)
    return found | {"only_run": only_run, "only_against": only_against, "p": p}


def compare(arguments: list[str] | None = None) -> None:
    """Run the command; see --help."""
    p = parser("python -m studies.compare", "Compare finished runs in one table.", EXAMPLES)
    p.add_argument("runs", nargs="+", type=path, metavar="RUN", help="a finished run's folder")
    p.add_argument("--json", action="store_true", help="print the table and the tests as JSON")
    options = p.parse_args(arguments)
    runs = [finished_run(each) for each in options.runs]
    tests = [difference(each, runs[0]) for each in runs[1:]]
    if options.json:
        print_json({"runs": [each.values for each in runs], "tests": tests})
        return
    best, titles = max(each.values["accuracy"] for each in runs), [title for title, *_ in COLUMNS]
    for each in runs:
        each.texts[1 + titles.index("accuracy")] += " *"[each.values["accuracy"] == best]
    rows = [each.texts for each in runs]
    print(text_table(["run", *titles], rows, left=(0, 1, 2, 4, 14)), end="")
    print("* the best accuracy; from, to: its 95% interval; loss, ECE: at the run's temperature")
    count = sum("p" in test for test in tests)
    for test in tests:
        print(printable(f"{test['run']} against {test['against']}: {_sentence(test, count)}"))
    if count:
        print(f"p: McNemar's exact test{f', p times {count} (Bonferroni)' * (count > 1)}")


def _sentence(test: dict[str, Any], count: int) -> str:
    if "p" not in test:
        return f"not tested, for {test['not_compared']}"
    p = min(1.0, test["p"] * count)
    chance = "is hardly chance" if p < LEVEL else "may be chance"
    shown = f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"
    return (
        f"{test['only_run']:,} images right by the former alone, {test['only_against']:,} by the "
        f"latter alone; the difference {chance}, {shown}"
    )


if __name__ == "__main__":
    sys.exit(run(compare))
