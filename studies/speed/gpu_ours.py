"""This project's contenders on a GPU, and what a step asks of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from lenet_xp.inference import ForwardPass
from lenet_xp.model import LeNet5
from lenet_xp.ops import Ops
from lenet_xp.ops.cuda.kernels import Kernels
from lenet_xp.system.workers import WorkerThreads
from lenet_xp.training.batches import Batch, place_on_device, steps_at_once
from lenet_xp.training.loop import fit
from lenet_xp.training.recipes import Recipe
from lenet_xp.training.trainer import Trainer
from studies.speed.measure import Contender
from studies.speed.ours import PREPROCESSING, random_batch


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel: its name with grid and block, how to repeat it, its arrays' bytes."""

    title: str
    again: Callable[[], None]
    traffic: int


class Listed(Kernels):
    """Kernels that keep a list of what was launched."""

    def __init__(self, cupy: Any, dtype: str):
        super().__init__(cupy, dtype)
        self.launches: list[Launch] = []

    def launch(
        self,
        file: str,
        name: str,
        grid: Sequence[int],
        block: Sequence[int],
        arguments: Sequence[Any],
        **settings: int,
    ) -> None:
        again = partial(super().launch, file, name, grid, block, tuple(arguments), **settings)
        arrays = [a for a in arguments if hasattr(a, "nbytes") and not isinstance(a, np.generic)]
        traffic = sum(int(array.nbytes) for array in arrays)
        self.launches.append(Launch(f"{name} {tuple(grid)} x {tuple(block)}", again, traffic))
        again()


def stepper(ops: Ops, recipe: Recipe, batch: int, times: int = 1) -> Callable[[], None]:
    """A call of it is some training steps in one launch, on images that the device holds."""
    images, labels = random_batch(batch)
    model = LeNet5(activation=recipe.activation, squash_pools=recipe.squash_pools, ops=ops)
    own = recipe.with_options(batch_size=batch)
    held = place_on_device(ops, images)
    trainer = Trainer(model, own, PREPROCESSING, WorkerThreads(1), 1_000_000, held)
    losses, hits = ops.zeros((times * batch,)), ops.zeros((times * batch,))
    given = Batch(images if held is None else np.arange(batch), labels)
    return partial(trainer.steps_on, [given] * times, losses, hits)


def launches_of_a_step(ops: Any, recipe: Recipe, batch: int) -> list[Launch]:
    """The launches of one training step in order; `ops` without graphs."""
    listed = ops._kernels = Listed(ops.xp, ops.dtype_name)
    step = stepper(ops, recipe, batch)
    step()
    listed.launches.clear()
    step()
    return list(listed.launches)


def launches_of_reading(ops: Any, batch: int) -> list[Launch]:
    """The launches that read a batch of images, as above."""
    listed = ops._kernels = Listed(ops.xp, ops.dtype_name)
    read = ForwardPass(LeNet5(ops=ops), PREPROCESSING, batch)
    listed.launches.clear()
    read(random_batch(batch)[0])
    return list(listed.launches)


def device_clock(ops: Ops) -> Callable[[Callable[[], object], int], float]:
    """Seconds a call by the device's own events around all of them."""
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
    """As many steps to a launch as `fit` takes."""
    times = steps_at_once(ops, batch)
    step = stepper(ops, recipe, batch, times)
    return Contender(step, times * batch, clock=device_clock(ops))


def read_contender(ops: Ops, batch: int) -> Contender:
    """Held images to probabilities on the device, as one graph."""
    images, _ = random_batch(batch)
    model, held, places = LeNet5(ops=ops), ops.resident(images), np.arange(batch)
    settings = PREPROCESSING.scale_and_shift()
    read = ops.capture(
        lambda: ops.softmax(model.forward(ops.image_batch(held, *settings, chosen=places))),
        frozen=True,
    )
    return Contender(read, batch, clock=device_clock(ops))


def epoch_seconds(ops: Ops, recipe: Recipe, count: int) -> list[float]:
    """Of three epochs of `fit` on so many images, input pipeline included, without distortion.

    The first of them compiles and captures.
    """
    images, labels = random_batch(count)
    own = replace(recipe, epochs=3, batch_size=min(recipe.batch_size, count), distortion=None)
    model = LeNet5(activation=own.activation, squash_pools=own.squash_pools, ops=ops)
    few = slice(0, 3)  # to judge on, which is not timed
    result = fit(model, own, (images, labels), (images[few], labels[few]), PREPROCESSING)
    return [row["seconds"] for row in result.history]


def answer_contender(ops: Ops, batch: int) -> Contender:
    """Bytes on the host to probabilities on the host, by the host's clock."""
    images, _ = random_batch(batch)
    return Contender(partial(ForwardPass(LeNet5(ops=ops), PREPROCESSING, batch), images), batch)
