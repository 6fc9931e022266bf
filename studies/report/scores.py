"""The tables of the experiments' scores."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from lenet_xp.letters.alphabet import letter
from lenet_xp.scores.intervals import wilson_interval
from studies.report.formats import count, interval, percent, spread
from studies.report.records import RECORDS, Missing, Records
from studies.report.tables import grid, table

LISTED = 10  # pairs of confused letters


@dataclass(frozen=True)
class Target:
    """The goal of a record's value: a lower bound, or an upper one with `at_most`.

    lowest: of a series' lowest value instead of its mean.
    """

    aim: str
    record: str
    field: str
    goal: float
    at_most: bool = False
    lowest: bool = False


TARGETS = (
    Target("AMHCD, seed split, mean of 5 seeds", "seeds-distilled", "test_accuracy", 0.9965),
    Target(
        "AMHCD, writers never seen, mean of 5 folds", "writers-distilled", "test_accuracy", 0.993
    ),
    Target(
        "AMHCD, writers never seen, the worst writer",
        "writers-distilled",
        "test_worst_writer_accuracy",
        0.96,
        lowest=True,
    ),
    Target("AMHCD after generated letters alone", "transfer", "accuracy", 0.92),
    Target("MNIST, mean of 5 seeds", "mnist-distilled", "test_accuracy", 0.9955),
    Target(
        "Calibration error (ECE) on writers never seen, with temperature, mean of 5 folds",
        "writers-distilled",
        "test_ece_scaled",
        0.004,
        at_most=True,
    ),
)


@dataclass(frozen=True)
class Experiment:
    """A row of the accuracies: its data and its record. new_hands: its writers were never seen."""

    name: str
    record: str
    new_hands: bool = False
    field: str = "test_accuracy"
    images: str = "n_test"


EXPERIMENTS = (
    Experiment("AMHCD, seed split, `classic`", "classic-amhcd"),
    Experiment("AMHCD, seed split, `best`", "best-amhcd"),
    Experiment("AMHCD, seed split, `best`, 5 seeds", "seeds-amhcd"),
    Experiment("AMHCD, seed split, `distilled`, 5 seeds", "seeds-distilled"),
    Experiment("AMHCD, writers never seen, `best`, 5 folds", "writers-amhcd", True),
    Experiment("AMHCD, writers never seen, `distilled`, 5 folds", "writers-distilled", True),
    Experiment("AMHCD, all, after generated letters", "transfer", True, "accuracy", "images"),
    Experiment("Generated letters, `classic`", "classic-synthetic"),
    Experiment("Generated letters, `best`", "best-synthetic"),
    Experiment("MNIST, `best`", "best-mnist"),
    Experiment("MNIST, `best`, 5 seeds", "seeds-mnist"),
    Experiment("MNIST, `distilled`, 5 seeds", "mnist-distilled"),
)


def targets(records: Records) -> str:
    header = ("target", "goal", "measured", "runs", "reached", "record")
    sentences: dict[str, None] = {}  # an ordered set
    rows = []
    for each in TARGETS:
        goal = f"{'≤' if each.at_most else '≥'} {percent(each.goal)}"
        try:
            rows.append((each.aim, goal, *_measured(records, each), _link(records, each.record)))
        except Missing as missing:
            sentences[missing.sentence] = None
            rows.append((each.aim, goal, "not yet measured", "", "", f"`{each.record}`"))
    return "\n\n".join([grid(header, rows, "lrrrll"), *sentences])


def _measured(records: Records, target: Target) -> tuple[str, str, str]:
    found = records.value(target.record, target.field)
    value, runs, shown = found, 1, ""
    if isinstance(found, dict):
        value, runs = found["min" if target.lowest else "mean"], found["n"]
        shown = "" if target.lowest else spread(found)
    reached = value <= target.goal if target.at_most else value >= target.goal
    return shown or percent(value), count(runs), "yes" if reached else "no"


def accuracies(records: Records) -> str:
    header = ("data and split", "record", "seeds", "test images", "accuracy", "95 % interval")

    def row(each: Experiment) -> Sequence[str]:
        found = records.value(each.record, each.field)
        images = records.value(each.record, each.images)
        if isinstance(found, dict):
            shown, ends = spread(found), f"runs: {interval((found['min'], found['max']))}"
            images = images["mean"]
        else:
            shown, ends = percent(found), interval(interval_of(records, each))
        link = _link(records, each.record)
        return each.name, link, seeds(records, each.record), count(images), shown, ends

    return table(header, [partial(row, each) for each in EXPERIMENTS], "lllrrr")


def interval_of(records: Records, each: Experiment) -> tuple[float, float]:
    """Return the 95 % interval of a single run: over writers if they are new, else over images."""
    share, images = (records.value(each.record, field) for field in (each.field, each.images))
    if each.new_hands:
        with suppress(Missing):
            low, high = records.value(each.record, f"writer_{each.field}_interval")
            return low, high
    return wilson_interval(round(share * images), images)


def folds(records: Records) -> str:
    """Return a row for each fold. Raises Missing for a fold without a record."""
    names = ("fold", "test writers", "test images", "accuracy", "95 % interval", "worst writer")
    rows = []
    for field in ("test_writers", "test_accuracy", "temperature", "test_ece_scaled"):
        records.value("writers-distilled", field)  # older records lack some
    for run in records.runs("writers-distilled"):
        rows.append(
            (
                str(run["fold"]),
                count(run["test_writers"]),
                count(run["n_test"]),
                percent(run["test_accuracy"]),
                interval(run["test_writer_accuracy_interval"]),
                percent(run["test_worst_writer_accuracy"]),
                f"{run['temperature']:.2f}",
                percent(run["test_ece_scaled"]),
            )
        )
    return grid((*names, "temperature", "ECE with it"), rows, "rrrrrrrr")


def few_writers(records: Records) -> str:
    rows = records.value("few-writers", "rows")
    found = {(row["writers"], row["start"]): row for row in rows}
    lines = []
    for writers in sorted({row["writers"] for row in rows}):
        pair = [found.get((writers, start)) for start in ("nothing", "generated letters")]
        images = next(row["images"] for row in pair if row)
        shown = [percent(row["accuracy"]) if row else "–" for row in pair]
        lines.append((count(writers), count(images), *shown))
    header = ("writers learned from", "their images", "from nothing", "after generated letters")
    return grid(header, lines, "rrrr")


def averaged(records: Records) -> str:
    """Return the scores of one reading of an image and of several, for each fold and their mean."""
    rows = [
        (
            str(each["fold"]),
            percent(each["accuracy"]),
            percent(each["averaged"]["accuracy"]),
            percent(each["ece"]),
            percent(each["averaged"]["ece"]),
        )
        for each in records.value("averaged", "folds")
    ]
    pair = (spread(records.value("averaged", each)) for each in ("accuracy", "averaged_accuracy"))
    header = ("fold", "one reading", "their mean", "ECE of one", "ECE of the mean")
    return grid(header, [*rows, ("mean", *pair, "", "")], "rrrrr")


def calibration(records: Records) -> str:
    header = (
        "series",
        "temperature",
        "ECE as trained",
        "ECE with temperature",
        "risk–coverage area",
    )

    def row(name: str) -> Sequence[str]:
        value = partial(records.value, name)
        temperature, area = value("temperature"), value("test_risk_coverage_area")
        return (
            f"{RECORDS[name].title} ({_link(records, name)})",
            f"{temperature['mean']:.2f} ± {temperature['deviation']:.2f}",
            spread(value("test_ece")),
            spread(value("test_ece_scaled")),
            f"{area['mean']:.5f} ± {area['deviation']:.5f}",
        )

    names = [each for each in RECORDS if RECORDS[each].parts]
    return table(header, [partial(row, name) for name in names], "lrrrr")


def pairs(records: Records) -> str:
    header = ("experiment", "errors: true letter, read as, how often")
    experiments: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "best-amhcd": lambda: records.value("best-amhcd", "confused_pairs"),
        "transfer": lambda: records.rows("transfer", "confused_pairs.csv")[0],
    }

    def row(name: str) -> Sequence[str]:
        listed = [pair(e["true"], e["predicted"], int(e["count"])) for e in experiments[name]()]
        return f"{RECORDS[name].title} ({_link(records, name)})", ", ".join(listed[:LISTED])

    return table(header, [partial(row, name) for name in experiments], "ll")


def unseen_pairs(records: Records) -> str:
    counts: Counter[tuple[str, str]] = Counter()
    for run in records.runs("writers-distilled"):
        for each in run["confused_pairs"]:
            counts[each["true"], each["predicted"]] += each["count"]
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:LISTED]
    return ", ".join(pair(*names, number) for names, number in ranked) + "."


def pair(true: str, read: str, number: int) -> str:
    """Return one pair of letters with its count, without a space where a line may break."""
    return "\N{NO-BREAK SPACE}".join((letter(true).glyph, "→", letter(read).glyph, str(number)))


def seeds(records: Records, name: str) -> str:
    """Return the seeds of a record's runs, "0" or "0 to 4"; a dash for a record without runs."""
    try:
        found = sorted({run["seed"] for run in records.runs(name)})
    except Missing:
        return "–"
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _link(records: Records, name: str) -> str:
    record = RECORDS[name]
    return f"[{record.folder}]({records.link(records.folder / record.folder)})"
