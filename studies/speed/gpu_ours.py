"""This project's contenders on a GPU, and the kernel launches of a step."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from lenet_xp.inference import ForwardPass
from lenet_xp.model import LeNet5
from lenet_xp.ops import Ops
from lenet_xp.ops.cuda import kernels
from lenet_xp.system.workers import WorkerThreads
from lenet_xp.training.batches import Batch, place_on_device, steps_at_once
from lenet_xp.training.loop import fit
from lenet_xp.training.recipes import Recipe
from lenet_xp.training.trainer import Trainer
from studies.speed.measure import Contender
from studies.speed.ours import PREPROCESSING, random_batch


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel.

    title: its name with grid and block. again: launches it once more. traffic: bytes of its arrays.
    """

    title: str
    again: Callable[[], None]
    traffic: int


class RecordedKernels(kernels.Kernels):
    """Kernels that record their launches."""

    def __init__(self, cupy: Any, dtype: str):
        super().__init__(cupy, dtype)
        self.launches: list[Launch] = []

    def run(self, launch: kernels.Launch) -> None:
        again, given = partial(super().run, launch), launch.arguments
        arrays = [a for a in given if hasattr(a, "nbytes") and not isinstance(a, np.generic)]
        traffic = sum({a.data.ptr: int(a.nbytes) for a in arrays}.values())
        title = f"{launch.name} {tuple(launch.grid)} x {tuple(launch.block)}"
        self.launches.append(Launch(title, again, traffic))
        again()


def stepper(ops: Ops, recipe: Recipe, batch: int, times: int = 1) -> Callable[[], None]:
    """Return a function that takes `times` training steps in one launch, on resident images."""
    images, labels = random_batch(batch)
    model = LeNet5(activation=recipe.activation, squash_pools=recipe.squash_pools, ops=ops)
    own = recipe.with_options(batch_size=batch)
    held = place_on_device(ops, images)
    trainer = Trainer(model, own, PREPROCESSING, WorkerThreads(1), 1_000_000, held)
    losses, hits = ops.zeros((times * batch,)), ops.zeros((times * batch,))
    given = Batch(images if held is None else np.arange(batch), labels)
    return partial(trainer.steps_on, [given] * times, losses, hits)


def launches_of_a_step(ops: Any, recipe: Recipe, batch: int) -> list[Launch]:
    """Return the launches of one training step in order. ops: without graphs."""
    listed = ops._kernels = RecordedKernels(ops.xp, ops.dtype_name)
    step = stepper(ops, recipe, batch)
    step()
    listed.launches.clear()
    step()
    return list(listed.launches)


def launches_of_reading(ops: Any, batch: int) -> list[Launch]:
    """Return the launches that read a batch of images. ops: without graphs."""
    listed = ops._kernels = RecordedKernels(ops.xp, ops.dtype_name)
    read = ForwardPass(LeNet5(ops=ops), PREPROCESSING, batch)
    listed.launches.clear()
    read(random_batch(batch)[0])
    return list(listed.launches)


def device_clock(ops: Ops) -> Callable[[Callable[[], object], int], float]:
    """Return a clock: (call, repeats) -> seconds per call, by device events around all calls."""
    cuda = ops.xp.cuda

    def clock(call: Callable[[], object], repeats: int) -> float:
        start, end = cuda.Event(), cuda.Event()
        start.record()
        for _ in range(repeats):
            call()
        end.record()
        end.synchronize()
        return float(cuda.get_elapsed_time(start, end)) / 1e3 / repeats

    return clock


def train_contender(ops: Ops, recipe: Recipe, batch: int) -> Contender:
    """Return the contender that trains, with as many steps per launch as `fit` takes."""
    times = steps_at_once(ops, batch)
    step = stepper(ops, recipe, batch, times)
    return Contender(step, times * batch, clock=device_clock(ops))


def read_contender(ops: Ops, batch: int) -> Contender:
    """Return the contender that reads resident images, as one graph, without a copy to the host."""
    images, _ = random_batch(batch)
    model, held, places = LeNet5(ops=ops), ops.resident(images), np.arange(batch)
    settings = PREPROCESSING.scale_and_shift()
    read = ops.capture(
        lambda: ops.softmax(model.forward(ops.image_batch(held, *settings, chosen=places))),
        frozen=True,
    )
    return Contender(read, batch, clock=device_clock(ops))


def epoch_seconds(ops: Ops, recipe: Recipe, count: int) -> list[float]:
    """Return the seconds of three epochs of `fit` on `count` images, without distortion.

    They include the input pipeline; the first includes compiling and capturing.
    """
    images, labels = random_batch(count)
    own = replace(recipe, epochs=3, batch_size=min(recipe.batch_size, count), distortion=None)
    model = LeNet5(activation=own.activation, squash_pools=own.squash_pools, ops=ops)
    few = slice(0, 3)  # to validate, which is not timed
    result = fit(model, own, (images, labels), (images[few], labels[few]), PREPROCESSING)
    return [row["seconds"] for row in result.history]


def answer_contender(ops: Ops, batch: int) -> Contender:
    """Return the contender that reads images from the host to probabilities on the host."""
    images, _ = random_batch(batch)
    return Contender(partial(ForwardPass(LeNet5(ops=ops), PREPROCESSING, batch), images), batch)
