"""A trainer runs one step after another: on workers, with an optimiser and a schedule."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np

from lenet_xp.curvature import curvature
from lenet_xp.inference import BatchReader, largest_share
from lenet_xp.model import Sequential
from lenet_xp.ops import Array
from lenet_xp.optim import SDLM
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.own_process import one_blas_thread
from lenet_xp.system.processes import can_start, start_all
from lenet_xp.system.workers import WorkerThreads, even_slices
from lenet_xp.training.batches import Batch, DeviceImages, InputBatch
from lenet_xp.training.ranks import Ranks
from lenet_xp.training.recipes import Recipe
from lenet_xp.training.step import MAX_CAPTURES, CapturedSteps, GradientProcess, GradientWorker

MEASURED = 500  # images: of which the curvature is taken, LeCun et al. 1998, section III.B


class Trainer:
    """The state that lasts from step to step: workers, optimiser, schedule, the step's number.

    A context manager, with which its workers end. The first worker is the caller's thread; the
    others are processes on Linux and threads elsewhere. In a program whose matrix products use
    threads of their own the first is a process, too: there they would give other bits.
    on_device: the images that batches index. max_read: images that one `read` is given at most.
    frozen: how many parameters, from the first on, keep their values. teachers: trained networks of
    the package's layers, whose mean answers are learned in place of labels. comm: the communicator
    of the ranks that compute the gradients, see `ranks.py`; then there are no other workers.
    """

    def __init__(
        self,
        model: Sequential,
        recipe: Recipe,
        preprocessing: Preprocessing,
        workers: WorkerThreads,
        steps_per_epoch: int,
        on_device: DeviceImages | None = None,
        max_read: int = 0,
        frozen: int = 0,
        teachers: Sequence[Sequential] = (),
        comm: Any = None,
    ):
        self.ops, self.model, self.recipe = model.ops, model, recipe
        self.preprocessing, self.workers, self.on_device = preprocessing, workers, on_device
        self.local = [GradientWorker(model, preprocessing, on_device, teachers)]
        self._teachers = teachers
        self.processes: list[GradientProcess] = []
        self._first = 1  # shares of a batch that the caller's thread computes beside processes
        self._max_read = max_read
        self._frozen = frozen
        learning = model.values[frozen:], model.gradients[frozen:]
        self.optimiser = recipe.make_optimiser(model.ops, *learning)
        self.schedule = recipe.make_schedule(recipe.epochs * steps_per_epoch)
        self.steps = 0
        self.learning_rate = self.schedule(0)
        self._captured: dict[tuple[int, int], CapturedSteps] = {}
        self._reader: BatchReader | None = None  # where one serves for all epochs
        self._open = ExitStack()
        self._comm = comm
        self.ranks: Ranks | None = None

    def __enter__(self) -> "Trainer":
        if self._comm is not None:
            shared = Ranks(self._comm, self.model, self.preprocessing, self._teachers)
            self.ranks = self._open.enter_context(shared)
            return self
        count = min(self.workers.count, self.recipe.batch_size)
        if self.ops.uses_cores and can_start():
            # Plain layers stay here in any case, where a debugger sees them.
            self._first = int(one_blas_thread() or not self.model.fused)
            max_share = -(-self.recipe.batch_size // count)
            max_read = 0 if self._first else largest_share(self._max_read, count)
            given = self.model, self.preprocessing
            processes = [
                GradientProcess(*given, max_share, max_read, self._teachers)
                for _ in range(count - self._first)
            ]
            if start_all(self._open, processes):
                self.processes = processes
        if not self.processes:
            for _ in range(count - 1):
                how = self.preprocessing, self.on_device, self._teachers
                self.local.append(GradientWorker(self.model.replica(), *how))
        return self

    def __exit__(self, *error: object) -> None:
        self.processes.clear()
        self._reader = self.ranks = None
        self._open.close()

    def before_epoch(self, train: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> None:
        """Measure the curvature on a few training images, for an optimiser that wants it."""
        if not isinstance(self.optimiser, SDLM):
            return
        ops, count = self.ops, len(train[1])
        chosen = rng.choice(count, min(MEASURED, count), replace=False)
        total, scaling = ops.zeros(self.model.values.shape), self.preprocessing.scale_and_shift()
        for part in even_slices(len(chosen), -(-len(chosen) // ops.images_per_piece)):
            images, labels = (each[chosen[part]] for each in train)
            x = ops.image_batch(images, *scaling)
            total += curvature(self.model, x, ops.asarray(labels))
        self.optimiser.measured(total[self._frozen :] / len(chosen))

    def steps_on(
        self, batches: Sequence[Batch], losses: Array, hits: Array, start: int = 0
    ) -> None:
        """One training step (forward, backward, update) per batch; all batches have the same size.

        Writes losses and hits of their images into the vectors given, from `start` on.
        """
        count = len(batches[0].labels)
        small = count <= self.ops.images_per_piece
        alone = min(self.workers.count, count) == 1 and not self.processes
        if alone and small and self.ranks is None:
            self._steps_as_one(batches, losses, hits, start)
            return
        for batch in batches:
            part = slice(start, start + count)
            self._step(batch, losses[part], hits[part])
            start = part.stop

    def _steps_as_one(
        self, batches: Sequence[Batch], losses: Array, hits: Array, start: int
    ) -> None:
        times, count = len(batches), len(batches[0].labels)
        steps = self._captured.get((times, count))
        if steps is None or steps.losses is not losses or steps.hits is not hits:
            if len(self._captured) == MAX_CAPTURES:
                self._captured.pop(next(iter(self._captured)))
            inputs = [
                InputBatch(self.ops, self.preprocessing, count, self.on_device)
                for _ in range(times)
            ]
            how = None, self.optimiser.update, self.local[0].teachers
            steps = CapturedSteps(self.model, inputs, losses, hits, *how)
            self._captured[times, count] = steps
        numbers = range(self.steps, self.steps + times)
        steps(batches, start, [(self.schedule(number), number + 1) for number in numbers])
        self.steps = self.optimiser.steps = numbers.stop
        self.learning_rate = self.schedule(numbers[-1])

    def _step(self, batch: Batch, losses: Array, hits: Array) -> None:
        self.learning_rate = self.schedule(self.steps)
        shares = even_slices(len(batch.labels), self.workers.count)
        scale = 1.0 / len(batch.labels)
        if self.ranks is not None:
            self.ranks.differentiate(batch, scale, losses, hits)
            parts = [self.model.gradients]
        elif self.processes:
            parts = self._differentiate_in_processes(batch, losses, hits, shares, scale)
        else:
            given = [(batch.part(share), scale, losses[share], hits[share]) for share in shares]
            pairs = zip(self.local, given, strict=False)
            self.workers.run([partial(worker.differentiate, *part) for worker, part in pairs])
            parts = [worker.model.gradients for worker in self.local[: len(shares)]]
        if parts[0] is not self.model.gradients:
            self.model.gradients[...] = parts[0]
        for part in parts[1:]:  # in this order: sums of floats depend on it
            self.model.gradients += part
        self.optimiser.step(self.learning_rate)
        self.steps += 1

    def _differentiate_in_processes(
        self, batch: Batch, losses: Array, hits: Array, shares: list[slice], scale: float
    ) -> list[Array]:
        """The gradients of the shares, in their order."""
        own, rest = shares[: self._first], shares[self._first :]
        busy = self.processes[: len(rest)]
        for process, share in zip(busy, rest, strict=True):
            process.begin_gradient(batch.part(share), scale)
        for share in own:
            self.local[0].differentiate(batch.part(share), scale, losses[share], hits[share])
        for process, share in zip(busy, rest, strict=True):
            process.finish_gradient(losses[share], hits[share])
        return [self.model.gradients for _ in own] + [process.gradients for process in busy]

    def read(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities (N, K) of prepared images."""
        given = self.model, self.preprocessing, self.workers
        if self.ops.captures_slowly:
            if self._reader is None:
                self._reader = self._open.enter_context(BatchReader(*given, frozen=False))
            return self._reader(images)
        processes = self.processes if len(self.processes) == self.workers.count else []
        capacity = len(images) if processes else 0
        with BatchReader(*given, capacity, processes=processes) as read:
            return read(images)

    def state(self) -> dict[str, np.ndarray]:
        """Host copies of all that the next steps depend on, but for the images."""
        return {name: self.ops.to_host(vector) for name, vector in self._vectors().items()}

    def restore(self, state: dict[str, np.ndarray], steps: int) -> None:
        """Go on from what `state` gave after so many steps.

        KeyError or ValueError if it is not of this kind.
        """
        for name, vector in self._vectors().items():
            kept = state[name]
            if kept.shape != vector.shape or kept.dtype.kind != "f":
                raise ValueError(f"{name} is {kept.dtype} {kept.shape}, not {vector.shape}")
            vector[...] = self.ops.asarray(state[name])
        self.steps = self.optimiser.steps = steps
        self.learning_rate = self.schedule(max(steps - 1, 0))

    def _vectors(self) -> dict[str, Array]:
        return {"values": self.model.values, **self.optimiser.moments()}
