"""The outcome of `gpu_check` as a table, beside what one H100 or H200 should reach."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from studies.speed.gpu_amhcd import SEED_ACCURACY
from studies.speed.gpu_sanitizer import TOOLS

EPOCH_MS = 15.0, 6.0  # of AMHCD without distortion: at least, and aimed at
STEPS = 20_592 / 64  # of such an epoch
STEP_US = 1e3 * EPOCH_MS[0] / STEPS, 1e3 * EPOCH_MS[1] / STEPS
GRADIENTS, PARITY = 1e-4, 1e-3  # distances: of a gradient, of the parameters' change in training
CLASSIC_EPOCH = "classic, an epoch: CuPy from NumPy"

Outcome = dict[str, dict[str, Any]]
Value = Callable[[Outcome], Any]  # KeyError where what it needs was not measured


class Floor(NamedTuple):
    """What is measured, what it is at least, and the aim; more is better if the aim is higher."""

    title: str
    least: float
    aim: float
    value: Value


def _at(*path: str | int) -> Value:
    def value(found: Any) -> Any:
        for key in path:
            found = found[key]
        return found

    return value


def _step(name: str, what: str) -> Value:
    return _at("speed", "training", 0, "contenders", name, what)


def _peer(name: str) -> Value:
    return _step(name, "lenet_xp_is_faster_by")


def _epoch(outcome: Outcome) -> float:
    return 1e3 * float(np.median(outcome["amhcd"]["classic"]["again"]["epoch_seconds"]))


def _race(outcome: Outcome) -> float:
    run = outcome["amhcd"]["race"]["again"]
    return float(run["train_seconds"] if run["test_accuracy"] >= SEED_ACCURACY else math.inf)


def _host(outcome: Outcome) -> float:
    """With as many steps in a launch as there are, by graphs."""
    times = [time for name, time in outcome["host_side"].items() if name.endswith("a launch")]
    return float(min(times))


def _gradients(outcome: Outcome) -> float:
    """The farthest of CuPy's in float32; a distance and the parameter's name stand there."""
    found = outcome["gradients"].items()
    return max(float(gap.split()[0]) for run, gap in found if run.endswith("cupy float32"))


def _steps(outcome: Outcome) -> float:
    """The farthest of CuPy's runs of some steps from NumPy's."""
    runs = outcome["parity"].items()
    return max(float(gap) for run, gap in runs if run.endswith("steps: CuPy from NumPy"))


def _best_epoch(outcome: Outcome) -> float:
    """CuPy's distance from float64 in units of NumPy's own."""
    found = outcome["parity"]
    ours, theirs = (found[f"best, an epoch: {who} from float64"] for who in ("CuPy", "NumPy"))
    return float(ours) / float(theirs)


def _differing(outcome: Outcome) -> int:
    """Pairs of runs that should have equal bits and do not."""
    found = {**outcome["determinism"], **outcome.get("augmentation", {})}
    return [found[run] for run in found if run.endswith("agree to the bit")].count(False)


FLOORS = (
    Floor("gradients: distance from float64", GRADIENTS, GRADIENTS, _gradients),
    Floor("a step of 64 images, us", *STEP_US, _step("lenet_xp", "microseconds")),
    Floor("its kernels, each in a graph, us", *STEP_US, _at("graphs_of_one_kernel", "sum")),
    Floor("the host's part of a step, us", *STEP_US, _host),
    Floor("drawing 64 maps on the host, us", *STEP_US, _at("host_side", "drawing 64 maps")),
    Floor("times as fast as PyTorch, eager", 8, 30, _peer("PyTorch eager")),
    Floor("times as fast as PyTorch's CUDA graph", 1.5, 5, _peer("PyTorch CUDA graph")),
    Floor("an epoch of AMHCD without distortion, ms", *EPOCH_MS, _epoch),
    Floor("60 epochs of best on AMHCD, s", 5, 1, _at("amhcd", "best", "again", "train_seconds")),
    Floor(f"training until {SEED_ACCURACY:.2%} of AMHCD are read, s", 0.3, 0.08, _race),
    Floor("20 steps: distance from NumPy", PARITY, PARITY, _steps),
    Floor("an epoch of classic: the same", PARITY, PARITY, _at("parity", CLASSIC_EPOCH)),
    # Chaotic: float32 ends 0.3 of the way from float64 in NumPy, too
    Floor("an epoch of best: error over NumPy's own", 2, 1, _best_epoch),
    Floor("runs without equal bits", 0, 0, _differing),
    *(Floor(f"findings of {tool}", 0, 0, _at(tool, "findings")) for tool in TOOLS),
)


def floor_table(outcome: Outcome) -> Iterator[str]:
    """Yield the lines: measured, at least, aim, and which of them is reached."""
    device = outcome.get("device", {}).get("name", "no GPU")
    yield f"{'on ' + device:46} {'measured':>10} {'at least':>9} {'aim':>9}"
    for title, least, aim, value in FLOORS:
        try:
            measured = float(value(outcome))
        except (KeyError, IndexError, ValueError):
            yield f"{title:46} {'-':>10} {least:9.4g} {aim:9.4g}  not measured"
            continue
        sign = 1 if aim > least else -1
        verdict = "missed"
        if sign * measured >= sign * least:
            verdict = "aim reached" if sign * measured >= sign * aim else "reached"
        yield f"{title:46} {measured:10.4g} {least:9.4g} {aim:9.4g}  {verdict}"
