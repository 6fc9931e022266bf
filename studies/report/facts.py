"""Texts of the report that follow from several values, or from a choice between sentences."""

from collections.abc import Callable
from contextlib import suppress

import numpy as np

from lenet_xp.letters.alphabet import letters
from lenet_xp.model import LeNet5
from lenet_xp.ops import get_ops
from lenet_xp.scores.intervals import bootstrap_interval
from lenet_xp.scores.metrics import GroupScore
from studies.report.formats import count, interval, percent, points
from studies.report.records import RECORDS, Missing, Records

PEERS = ("numpy", "torch", "onnxruntime")
SEED_SPLIT = ("classic-amhcd", "best-amhcd", "seeds-amhcd", "seeds-distilled")


def pooled_writers(records: Records, series: str = "writers-distilled") -> list[GroupScore]:
    """Return each writer's score by the network that never saw the writer, the worst first."""
    scores = [
        GroupScore(int(row["writer"]), int(row["images"]), int(row["images"]) - int(row["errors"]))
        for fold in records.rows(series, "per_writer.csv")
        for row in fold
    ]
    return sorted(scores, key=lambda each: (each.accuracy, each.group))


def _pooled_accuracy(records: Records) -> str:
    scores = pooled_writers(records)
    return percent(sum(each.hits for each in scores) / sum(each.images for each in scores))


def pooled_interval(records: Records, series: str = "writers-distilled") -> tuple[float, float]:
    """Return the interval of the accuracy over all writers; the bootstrap draws whole writers."""
    scores = pooled_writers(records, series)
    correct = np.concatenate([np.arange(each.images) < each.hits for each in scores])
    groups = np.repeat([each.group for each in scores], [each.images for each in scores])
    return bootstrap_interval(correct, groups)


def _median_writer(records: Records) -> str:
    return percent(float(np.median([each.accuracy for each in pooled_writers(records)])))


def _split_gap(records: Records) -> str:
    seen, unseen = (
        records.value(name, "test_accuracy")["mean"]
        for name in ("seeds-distilled", "writers-distilled")
    )
    return points(unseen - seen)


def _train_test_twins(records: Records) -> str:
    splits = records.value("audit", "splits")
    return count(next(s for s in splits if s["name"] == "seed")["overlap"]["train_test"])


def _older_runs(records: Records) -> str:
    """The runs of the seed split that were made before identical images were left out."""
    older, dropped = [], set()
    for name in SEED_SPLIT:
        try:
            runs = records.runs(name)
        except Missing:
            continue
        if all("overlap" in run for run in runs):
            dropped |= {run["overlap"]["dropped"] for run in runs}
        else:
            older.append(f"`{name}`")
    sentences = []
    if dropped:
        numbers = " or ".join(count(each) for each in sorted(dropped))
        sentences.append(
            f"Under the seed split {numbers} images were left out of training on that account."
        )
    if older:
        sentences.append(
            f"The records of {' and '.join(older)} are older than this rule: these runs still "
            "trained on the images of the seed split that the table above counts as shared."
        )
    return " ".join(sentences) or "No run under the seed split is on record yet."


def _uncertain_letters(records: Records) -> str:
    names = records.value("audit", "writers/uncertain_classes")
    return ", ".join(f"`{name}`" for name in names)


def _best_errors(records: Records) -> str:
    images = records.value("best-amhcd", "n_test")
    return count(images - round(images * records.value("best-amhcd", "test_accuracy")))


def _machine(records: Records) -> str:
    cpu = records.load("cpu")
    kernels = sorted({blas["architecture"] for blas in cpu["blas"]})
    known = cpu["versions"]
    versions = ", ".join(f"{name} {known[name]}" for name in PEERS if name in known)
    return (
        f"Measured with {cpu['threads']} threads on one machine ({cpu['cpu']}; OpenBLAS kernels "
        f"for {', '.join(kernels)}), in float32, with {versions}, at commit "
        f"`{cpu['git_commit'][:12]}`."
    )


def _whole_command(records: Records) -> str:
    sentences = [
        f"The whole command `{each['command']}` took {each['seconds']:.0f} s "
        f"({each['cpu_seconds']:.0f} s of CPU time) and {each['peak_megabytes']:.0f} MB."
        for each in records.value("cpu", "commands")
    ]
    return " ".join(sentences) or "No whole command was measured."


def _gpu(records: Records) -> str:
    """How many of the recorded runs used CuPy."""
    backends = []
    for name in RECORDS:
        with suppress(Missing):
            backends += [run["backend"] for run in records.runs(name)]
    on_gpu = backends.count("cupy")
    if on_gpu:
        return f"{on_gpu} of the {len(backends)} runs on record ran on CuPy; the others on NumPy."
    return (
        f"Not yet run on a GPU: all {len(backends)} runs on record ran on NumPy. `pytest --backend "
        "cupy` on a machine with a GPU is the check that is missing; without one the tests run the "
        "portable reference of the array operations on a strict stand-in for a device."
    )


def _mnist_epochs(records: Records) -> str:
    """The epochs on MNIST, compared in steps with the recipe's epochs on AMHCD."""
    runs, amhcd = records.runs("mnist-distilled"), records.runs("seeds-distilled")[0]
    seen, own = (run["epochs"] * run["n_train"] for run in (runs[0], amhcd))
    return (
        f"{runs[0]['epochs']} epochs of {count(runs[0]['n_train'])} images are "
        f"{seen / own:.2f} times the steps of {amhcd['epochs']} epochs of AMHCD"
    )


FACTS: dict[str, Callable[[Records], str]] = {
    "parameters": lambda _: count(LeNet5(33, ops=get_ops("numpy")).values.shape[0]),
    "alphabet": lambda _: " ".join(letter.glyph for letter in letters()),
    "classes": lambda records: count(len(records.value("audit", "classes"))),
    "images-of-a-letter": lambda records: " or ".join(
        count(each) for each in sorted(set(records.value("audit", "classes").values()))
    ),
    "label-conflicts": lambda records: count(len(records.value("audit", "label_conflicts"))),
    "train-test-twins": _train_test_twins,
    "uncertain-letters": _uncertain_letters,
    "older-runs": _older_runs,
    "split-gap": _split_gap,
    "pooled-accuracy": _pooled_accuracy,
    "pooled-images": lambda records: count(sum(each.images for each in pooled_writers(records))),
    "pooled-interval": lambda records: interval(pooled_interval(records)),
    "pooled-writers": lambda records: count(len(pooled_writers(records))),
    "worst-writer": lambda records: percent(pooled_writers(records)[0].accuracy),
    "median-writer": _median_writer,
    "perfect-writers": lambda records: count(
        sum(each.hits == each.images for each in pooled_writers(records))
    ),
    "writers-command": lambda records: f"`{records.command('writers-distilled')}`",
    "best-errors": _best_errors,
    "machine": _machine,
    "mnist-epochs": _mnist_epochs,
    "search-runs": lambda records: count(len(records.value("search", "rows"))),
    "views": lambda records: count(records.value("averaged", "views")),
    "whole-command": _whole_command,
    "gpu": _gpu,
}
