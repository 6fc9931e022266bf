"""Checks on a GPU: whether the kernels are right, and whether runs repeat.

Every part is a function of `Sizes` that returns plain values for a report. `run_parts` runs them so
that a part that fails or takes too long does not hide the others.
"""

import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lenet_xp.inference import worker_count
from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5
from lenet_xp.ops import Ops, get_ops
from lenet_xp.ops.cuda.cupy_ops import CupyOps
from lenet_xp.ops.numpy_ops import NumpyOps
from lenet_xp.system.workers import WorkerThreads
from lenet_xp.training.batches import epoch_batches, place_on_device
from lenet_xp.training.loop import fit
from lenet_xp.training.recipes import BEST, CLASSIC, Recipe
from lenet_xp.training.trainer import Trainer
from studies.speed.gpu_card import card
from studies.speed.ours import PREPROCESSING

RECIPES = {"classic": CLASSIC, "best": BEST.with_options(learning_rate=1e-3)}
MIN_SECONDS = 5.0  # no part is begun with less time left
NOT_OVER = "not over after"  # begins the error of a part that its time limit has ended


@dataclass(frozen=True)
class Sizes:
    """Sizes of the parts' work: `FULL` on a GPU, `SMALL` for a test of the study itself."""

    epoch: int = 20_592  # images, as in AMHCD's training part
    batches: tuple[int, ...] = (64, 1024)
    parity_batch: int = 64
    parity_steps: int = 20
    repeats: int = 200
    turns: int = 6
    seconds: float = 0.1  # of a timed turn
    amhcd: str | None = None  # the archive


FULL = Sizes()
SMALL = Sizes(
    epoch=6, batches=(1,), parity_batch=3, parity_steps=2, repeats=1, turns=1, seconds=0.0
)

Part = Callable[[Sizes], dict[str, Any]]


def so_far(values: dict[str, Any]) -> None:
    """Print what a part has found by now, which counts if it is ended before it is over."""
    print(json.dumps(values), flush=True)


def attempt(part: Part, sizes: Sizes) -> dict[str, Any]:
    """Return a part's values, or the reason why there are none under "error"."""
    try:
        return part(sizes)
    except Exception as error:
        last = traceback.format_exc().splitlines()[-12:]
        return {"error": f"{type(error).__name__}: {error}", "traceback": last}


def run_parts(
    limits: dict[str, float],
    run: Callable[[str, float], dict[str, Any]],
    seconds: float,
    log: Callable[[str], None],
    keep: Callable[[dict[str, dict[str, Any]]], None],
) -> dict[str, dict[str, Any]]:
    """Run the parts in the order of `limits` and return the outcome of each by its name.

    limits: time limit of each part in seconds. run: (name, limit) -> outcome, an error after the
    limit. seconds: time limit of all parts together; what it cuts short or leaves out is no error.
    log: is called with each line of the report. keep: is called with all outcomes so far after
    every part.
    """
    over = f"the {seconds:.0f} s for all parts were over"
    outcome: dict[str, dict[str, Any]] = {}
    begun = time.perf_counter()
    for name, limit in limits.items():
        started = time.perf_counter()
        left = seconds - (started - begun)
        found = outcome[name] = {} if left < MIN_SECONDS else run(name, min(limit, left))
        if left < MIN_SECONDS or (left < limit and found.get("error", "").startswith(NOT_OVER)):
            found.pop("error", None)
            found["left out"] = over
        found.setdefault("part_seconds", round(time.perf_counter() - started, 2))
        keep(outcome)
        log(f"{name}:")
        for key, value in outcome[name].items():
            for line in value if isinstance(value, list) else [f"{key}: {value}"]:
                log(f"    {line}")
    return outcome


def patterns(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 32, 32) uint8 that can be learned, patterns and noise; labels (count,)."""
    rng = np.random.default_rng(7)
    shapes = rng.integers(0, 180, (33, 32, 32))
    labels = rng.integers(0, 33, count)
    noise = rng.integers(0, 75, (count, 32, 32))
    return (shapes[labels] + noise).astype(np.uint8), labels


def device(sizes: Sizes) -> dict[str, Any]:
    """Return the card, its driver and the libraries."""
    return card(get_ops("cupy"))


def _distance(actual: np.ndarray, desired: np.ndarray) -> float:
    """The distance of two vectors, relative to the length of the second."""
    gap = np.linalg.norm(actual.astype(float) - desired.astype(float))
    return float(gap / np.linalg.norm(desired.astype(float)))


def _gradients(ops: Ops, recipe: Recipe, count: int) -> dict[str, np.ndarray]:
    images, labels = patterns(count)
    model = LeNet5(activation=recipe.activation, squash_pools=recipe.squash_pools, ops=ops)
    x = ops.image_batch(images, *PREPROCESSING.scale_and_shift())
    loss = SoftmaxCrossEntropy(ops)
    model.backward(loss(model.forward(x), ops.asarray(labels))[2])
    return {name: ops.to_host(p.gradient) for name, p in model.parameters().items()}


def _worst(given: dict[str, np.ndarray], exact: dict[str, np.ndarray]) -> str:
    """The largest distance of a parameter's gradient, and the parameter's name."""
    distance, name = max((_distance(given[p], exact[p]), p) for p in exact)
    return f"{distance:.2e} ({name})"


def gradients(sizes: Sizes) -> dict[str, Any]:
    """Compare every parameter's gradient on one batch with NumPy's in float64."""
    found = {}
    for name, recipe in RECIPES.items():
        exact = _gradients(NumpyOps("float64"), recipe, sizes.parity_batch)
        for make, kind in ((CupyOps, "cupy"), (NumpyOps, "numpy")):
            for dtype in ("float32", "float64"):
                given = _gradients(make(dtype), recipe, sizes.parity_batch)
                found[f"{name} {kind} {dtype}"] = _worst(given, exact)
    return found


def trained(
    ops: Ops, recipe: Recipe, images: np.ndarray, labels: np.ndarray, hold: bool = True
) -> np.ndarray:
    """Return the change of the parameters in one pass over the images, shuffled as `fit` does.

    hold: whether the images stay on the device, if it holds any, and are distorted there.
    """
    model = LeNet5(activation=recipe.activation, squash_pools=recipe.squash_pools, ops=ops)
    start = ops.to_host(model.values)
    steps = -(-len(labels) // recipe.batch_size)
    losses, hits = ops.zeros((len(labels),)), ops.zeros((len(labels),))
    held = place_on_device(ops, images, recipe.distortion) if hold else None
    rng, done = np.random.default_rng(3), 0
    with (
        WorkerThreads(worker_count(ops, None)) as workers,
        Trainer(model, recipe, PREPROCESSING, workers, steps, held) as trainer,
    ):
        for batch in epoch_batches(
            images, labels, recipe.batch_size, rng, recipe.distortion, on_device=held is not None
        ):
            trainer.steps_on([batch], losses, hits, done)
            done += len(batch.labels)
    moved: np.ndarray = ops.to_host(model.values) - start
    return moved


def _plain(recipe: Recipe, batch: int) -> Recipe:
    """One epoch of a recipe without distortion."""
    return Recipe(**vars(recipe) | {"batch_size": batch, "epochs": 1, "distortion": None})


def parity(sizes: Sizes) -> dict[str, Any]:
    """Compare the change of the parameters in some steps and in an epoch with NumPy in float32."""
    found: dict[str, str] = {}
    runs: dict[str, tuple[Any, ...]] = {}
    few = sizes.parity_steps * sizes.parity_batch
    for name, recipe in RECIPES.items():
        for title, count in ((f"{sizes.parity_steps} steps", few), ("an epoch", sizes.epoch)):
            own = _plain(recipe, min(sizes.parity_batch, count))
            runs[f"{name}, {title}"] = own, *patterns(count)
    # NumPy's workers are forked, which a process that has begun with CUDA must not do
    on_host = {
        title: [trained(NumpyOps(dtype), *run) for dtype in ("float32", "float64")]
        for title, run in runs.items()
    }
    for title, (expected, exact) in on_host.items():
        so_far(found)
        moved = trained(CupyOps(), *runs[title])
        found[f"{title}: CuPy from NumPy"] = f"{_distance(moved, expected):.2e}"
        found[f"{title}: CuPy from float64"] = f"{_distance(moved, exact):.2e}"
        found[f"{title}: NumPy from float64"] = f"{_distance(expected, exact):.2e}"
    return found


def augmentation(sizes: Sizes) -> dict[str, Any]:
    """Compare steps of `best` on images distorted on the device and on the host by OpenCV."""
    recipe = BEST.with_options(learning_rate=1e-3, batch_size=sizes.parity_batch, epochs=1)
    images, labels = patterns(sizes.parity_steps * sizes.parity_batch)
    on_device, again = (trained(CupyOps(), recipe, images, labels) for _ in range(2))
    on_host = trained(CupyOps(), recipe, images, labels, hold=False)
    gap = _distance(on_device, on_host)
    return {
        "distorted on the device, from distorted on the host": f"{gap:.2e}",
        "two runs agree to the bit": bool(np.array_equal(on_device, again)),
    }


class SingleLaunches(CupyOps):
    """Captures compute anew, so that no launch waits and none are joined."""

    capture = Ops.capture


def determinism(sizes: Sizes) -> dict[str, Any]:
    """Compare two runs to the bit, and runs with and without graphs and joined launches."""
    images, labels = patterns(sizes.parity_steps * sizes.parity_batch)
    others = {
        "two runs": CupyOps(),
        "with and without graphs": CupyOps(graph=False),
        "joined launches and single ones": SingleLaunches(),
    }
    found = {}
    for name, given in RECIPES.items():
        recipe = _plain(given, sizes.parity_batch)
        first = trained(CupyOps(), recipe, images, labels)
        for what, ops in others.items():
            same = np.array_equal(first, trained(ops, recipe, images, labels))
            found[f"{name}: {what} agree to the bit"] = bool(same)
    return found


def learning(sizes: Sizes) -> dict[str, Any]:
    """Run two epochs of `fit` as a user does: the time of each, and the accuracy."""
    found = {}
    train, val = patterns(sizes.epoch), patterns(max(sizes.epoch // 10, 3))
    for graph in (True, False):
        for name, recipe in RECIPES.items():
            own = _plain(recipe, min(64, sizes.epoch)).with_options(epochs=2)
            model = LeNet5(
                activation=own.activation, squash_pools=own.squash_pools, ops=CupyOps(graph=graph)
            )
            rows = fit(model, own, train, val, PREPROCESSING).history
            seconds = ", ".join(f"{row['seconds'] * 1e3:.1f}" for row in rows)
            title = f"{name}{'' if graph else ' without graphs'}"
            found[f"{title}: ms per epoch"] = seconds
            found[f"{title}: accuracy"] = f"{rows[-1]['val_accuracy']:.4f}"
    return found
