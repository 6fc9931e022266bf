"""What a first session on a GPU wants to know: are the kernels right, and do runs repeat?

Every part is a function of `Sizes` that returns plain values for a report; `run_parts` runs them so
that one that fails does not hide the others.
"""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lenet_xp.benchmark.ours import PREPROCESSING
from lenet_xp.data.batches import Batch
from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5
from lenet_xp.ops import Ops
from lenet_xp.ops.cupy_ops import CupyOps
from lenet_xp.ops.numpy_ops import NumpyOps
from lenet_xp.parallel import Workers, worker_count
from lenet_xp.recipes import BEST, CLASSIC, Recipe
from lenet_xp.trainer import Trainer
from lenet_xp.training import fit

RECIPES = {"classic": CLASSIC, "best": BEST.with_options(learning_rate=1e-3)}


@dataclass(frozen=True)
class Sizes:
    """How much of everything: `FULL` on a GPU, `SMALL` where only the script itself is tested."""

    epoch: int = 20_592  # images, as in AMHCD's training part
    batches: tuple[int, ...] = (64, 256, 1024, 4096)
    parity_batch: int = 64
    parity_steps: int = 20
    repeats: int = 200
    seconds: float = 1.0  # of a timed turn


FULL = Sizes()
SMALL = Sizes(epoch=40, batches=(3, 5), parity_batch=4, parity_steps=2, repeats=2, seconds=0.0)

Part = Callable[[Sizes], dict[str, Any]]


def run_parts(
    parts: dict[str, Part], sizes: Sizes, seconds: float, log: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """The outcome of each part by its name: its values, or under "error" why there are none.

    seconds: after so many no further part is begun.
    """
    outcome: dict[str, dict[str, Any]] = {}
    begun = time.perf_counter()
    for name, part in parts.items():
        started = time.perf_counter()
        if started - begun > seconds:
            outcome[name] = {"error": f"left out: {seconds:g} seconds were over"}
        else:
            try:
                outcome[name] = part(sizes)
            except Exception as error:
                last = traceback.format_exc().splitlines()[-12:]
                outcome[name] = {"error": f"{type(error).__name__}: {error}", "traceback": last}
        outcome[name]["part_seconds"] = round(time.perf_counter() - started, 2)
        log(f"{name}:")
        for key, value in outcome[name].items():
            lines = value if key == "traceback" else [f"{key}: {value}"]
            for line in lines:
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
    """The card, its driver and the libraries."""
    cupy = CupyOps().xp
    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    free, total = runtime.memGetInfo()
    return {
        "name": properties["name"].decode(),
        "compute_capability": f"{properties.get('major')}.{properties.get('minor')}",
        "multiprocessors": properties.get("multiProcessorCount"),
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
        "nvrtc": cupy.cuda.nvrtc.getVersion(),
        "cupy": cupy.__version__,
        "numpy": np.__version__,
        "memory_free": free,
        "memory_total": total,
    }


def _distance(actual: np.ndarray, desired: np.ndarray) -> float:
    """Of two vectors, relative to the length of the second."""
    gap = np.linalg.norm(actual.astype(float) - desired.astype(float))
    return float(gap / np.linalg.norm(desired.astype(float)))


def _gradients(ops: Ops, recipe: Recipe, count: int) -> dict[str, np.ndarray]:
    images, labels = patterns(count)
    model = LeNet5(activation=recipe.activation, squash_pools=recipe.squash_pools, ops=ops)
    x = ops.image_batch(images, *PREPROCESSING.scale_and_shift())
    loss = SoftmaxCrossEntropy(ops, 0.05)
    model.backward(loss(model.forward(x), ops.asarray(labels))[2])
    return {name: ops.to_host(p.gradient) for name, p in model.parameters().items()}


def gradients(sizes: Sizes) -> dict[str, Any]:
    """Every parameter's gradient on one batch against NumPy's in float64."""
    found = {}
    for name, recipe in RECIPES.items():
        exact = _gradients(NumpyOps("float64"), recipe, sizes.parity_batch)
        for make, kind in ((CupyOps, "cupy"), (NumpyOps, "numpy")):
            for dtype in ("float32", "float64"):
                given = _gradients(make(dtype), recipe, sizes.parity_batch)
                worst = max((_distance(given[p], exact[p]), p) for p in exact)
                found[f"{name} {kind} {dtype}"] = f"{worst[0]:.2e} ({worst[1]})"
    return found


def trained(ops: Ops, recipe: Recipe, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The parameters after one pass over the images in their order, and by how much they moved."""
    model = LeNet5(activation=recipe.activation, squash_pools=recipe.squash_pools, ops=ops)
    start = ops.to_host(model.values)
    steps = -(-len(labels) // recipe.batch_size)
    losses, hits = ops.zeros((len(labels),)), ops.zeros((len(labels),))
    with (
        Workers(worker_count(ops, None)) as workers,
        Trainer(model, recipe, PREPROCESSING, workers, steps) as trainer,
    ):
        for begin in range(0, len(labels), recipe.batch_size):
            part = slice(begin, begin + recipe.batch_size)
            trainer.steps_on([Batch(images[part], labels[part])], losses, hits, begin)
    moved: np.ndarray = ops.to_host(model.values) - start
    return moved


def parity(sizes: Sizes) -> dict[str, Any]:
    """By how far the parameters moved in some steps and in an epoch, against NumPy in float32."""
    found = {}
    for name, recipe in RECIPES.items():
        for title, count, batch in (
            (f"{sizes.parity_steps} steps", sizes.parity_steps * sizes.parity_batch, "parity"),
            ("an epoch", sizes.epoch, "usual"),
        ):
            size = sizes.parity_batch if batch == "parity" else min(64, sizes.epoch)
            own = recipe.with_options(batch_size=size, epochs=1)
            images, labels = patterns(count)
            moved = trained(CupyOps(), own, images, labels)
            expected = trained(NumpyOps(), own, images, labels)
            exact = trained(NumpyOps("float64"), own, images, labels)
            found[f"{name}, {title}: CuPy from NumPy"] = f"{_distance(moved, expected):.2e}"
            found[f"{name}, {title}: CuPy from float64"] = f"{_distance(moved, exact):.2e}"
            found[f"{name}, {title}: NumPy from float64"] = f"{_distance(expected, exact):.2e}"
    return found


def determinism(sizes: Sizes) -> dict[str, Any]:
    """Whether two runs are the same to the bit, and the same with and without graphs."""
    count = sizes.parity_steps * sizes.parity_batch
    images, labels = patterns(count)
    recipe = RECIPES["best"].with_options(batch_size=sizes.parity_batch, epochs=1)
    first, second = (trained(CupyOps(), recipe, images, labels) for _ in range(2))
    plain = trained(CupyOps(graph=False), recipe, images, labels)
    return {
        "two runs agree to the bit": bool(np.array_equal(first, second)),
        "with and without graphs agree to the bit": bool(np.array_equal(first, plain)),
    }


def learning(sizes: Sizes) -> dict[str, Any]:
    """Two epochs of `fit` as a user runs it: seconds of each, and that it learns."""
    found = {}
    train, val = patterns(sizes.epoch), patterns(max(sizes.epoch // 10, 33))
    for graph in (True, False):
        for name, recipe in RECIPES.items():
            own = recipe.with_options(epochs=2, batch_size=min(64, sizes.epoch))
            own = Recipe(**vars(own) | {"distortion": None})
            model = LeNet5(
                activation=own.activation, squash_pools=own.squash_pools, ops=CupyOps(graph=graph)
            )
            rows = fit(model, own, train, val, PREPROCESSING).history
            seconds = ", ".join(f"{row['seconds'] * 1e3:.1f}" for row in rows)
            title = f"{name}{'' if graph else ' without graphs'}"
            found[f"{title}: ms per epoch"] = seconds
            found[f"{title}: accuracy"] = f"{rows[-1]['val_accuracy']:.4f}"
    return found


CHECKS: dict[str, Part] = {
    "device": device,
    "gradients": gradients,
    "determinism": determinism,
    "parity": parity,
    "learning": learning,
}
