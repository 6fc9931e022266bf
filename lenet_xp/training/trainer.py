"""A trainer runs one step after another: on workers, with an optimiser and a schedule."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np

from lenet_xp.inference import BatchReader
from lenet_xp.model import LeNet5
from lenet_xp.ops import Array
from lenet_xp.optim import RunningMean
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.workers import WorkerThreads, can_fork, even_slices, shared_zeros
from lenet_xp.training.batches import Batch, DeviceImages, InputBatch
from lenet_xp.training.recipes import Recipe
from lenet_xp.training.step import MAX_CAPTURES, CapturedSteps, ForkedWorker, GradientWorker


class Trainer:
    """The state that lasts from step to step: workers, optimiser, schedule, the step's number.

    A context manager, with which its workers end. The first worker is the caller's thread; the
    others are processes on Linux and threads elsewhere. on_device: the images that batches index.
    """

    def __init__(
        self,
        model: LeNet5,
        recipe: Recipe,
        preprocessing: Preprocessing,
        workers: WorkerThreads,
        steps_per_epoch: int,
        on_device: DeviceImages | None = None,
    ):
        self.ops, self.model, self.recipe = model.ops, model, recipe
        self.preprocessing, self.workers, self.on_device = preprocessing, workers, on_device
        self.replicas = [model, *(model.replica() for _ in range(workers.count - 1))]
        self.local = [
            GradientWorker(replica, preprocessing, on_device) for replica in self.replicas
        ]
        self.forked: list[ForkedWorker] = []
        self.optimiser = recipe.make_optimiser(model.ops, model.values, model.gradients)
        # The model that is validated and saved; with averaging at the mean of the parameters.
        self.mean: RunningMean | None = None
        self.validated_model = model
        if recipe.averaging:
            self.mean = RunningMean(model.ops, model.values, recipe.averaging)
            self.validated_model = model.replica(self.mean.average)
        self.schedule = recipe.make_schedule(recipe.epochs * steps_per_epoch)
        self.steps = 0
        self.learning_rate = self.schedule(0)
        self._captured: dict[tuple[int, int], CapturedSteps] = {}
        self._reader: BatchReader | None = None  # where one serves for all epochs
        self._open = ExitStack()

    def __enter__(self) -> "Trainer":
        if can_fork():
            max_share = -(-self.recipe.batch_size // self.workers.count)
            for _ in self.replicas[1:]:
                values = self.model.values
                both = [shared_zeros(values.shape, values.dtype) for _ in range(2)]
                own = self.model.replica(values=both[0], gradients=both[1])
                worker = GradientWorker(own, self.preprocessing)
                forked = ForkedWorker(worker, max_share, self.preprocessing.size)
                self.forked.append(self._open.enter_context(forked))
        return self

    def __exit__(self, *error: object) -> None:
        self.forked.clear()
        self._reader = None
        self._open.close()

    def steps_on(
        self, batches: Sequence[Batch], losses: Array, hits: Array, start: int = 0
    ) -> None:
        """One training step (forward, backward, update) per batch; all batches have the same size.

        Writes losses and hits of their images into the vectors given, from `start` on.
        """
        count = len(batches[0].labels)
        if self.workers.count == 1 and count <= self.ops.images_per_piece:
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
            updates = [each.update for each in (self.optimiser, self.mean) if each]
            steps = CapturedSteps(self.model, inputs, losses, hits, updates=updates)
            self._captured[times, count] = steps
        numbers = range(self.steps, self.steps + times)
        steps(batches, start, [(self.schedule(number), number + 1) for number in numbers])
        self.steps = self.optimiser.steps = numbers.stop
        self.learning_rate = self.schedule(numbers[-1])

    def _step(self, batch: Batch, losses: Array, hits: Array) -> None:
        self.learning_rate = self.schedule(self.steps)
        shares = even_slices(len(batch.labels), self.workers.count)
        scale = 1.0 / len(batch.labels)
        if self.forked:
            self._differentiate_in_processes(batch, losses, hits, shares, scale)
            others: Sequence[ForkedWorker | LeNet5] = self.forked
        else:
            parts = [(batch.part(share), scale, losses[share], hits[share]) for share in shares]
            pairs = zip(self.local, parts, strict=False)
            self.workers.run([partial(worker.differentiate, *part) for worker, part in pairs])
            others = self.replicas[1:]
        for other in others[: len(shares) - 1]:  # in this order: sums of floats depend on it
            self.model.gradients += other.gradients
        self.optimiser.step(self.learning_rate)
        self.steps += 1
        if self.mean:
            self.mean.step(self.steps)

    def _differentiate_in_processes(
        self, batch: Batch, losses: Array, hits: Array, shares: list[slice], scale: float
    ) -> None:
        own, *rest = shares
        for forked, share in zip(self.forked, rest, strict=False):
            forked.begin(self.model.values, batch.part(share), scale)
        self.local[0].differentiate(batch.part(own), scale, losses[own], hits[own])
        for forked, share in zip(self.forked, rest, strict=False):
            forked.finish(losses[share], hits[share])

    def read(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities (N, K) of images (N, S, S) uint8 by the model that is validated."""
        given = self.validated_model, self.preprocessing, self.workers
        if self.ops.captures_slowly:
            if self._reader is None:
                self._reader = self._open.enter_context(BatchReader(*given, frozen=False))
            return self._reader(images)
        with BatchReader(*given) as read:
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
        average = {"average": self.mean.average} if self.mean else {}
        return {"values": self.model.values, **self.optimiser.moments(), **average}
