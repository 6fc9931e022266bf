"""One training step after another: workers, optimiser, schedule, and the step's number."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np

from lenet_xp.data.preprocess import Preprocessing
from lenet_xp.gradients import ForkedWorker, GradientWorker
from lenet_xp.inference import BatchReader
from lenet_xp.model import LeNet5
from lenet_xp.ops import Array
from lenet_xp.optim import RunningMean
from lenet_xp.parallel import Workers, parts
from lenet_xp.processes import can_fork, shared
from lenet_xp.recipes import Recipe


class Trainer:
    """The state that lasts from step to step: workers, optimiser, schedule, the step's number.

    A context manager: on Linux the workers beside the first are processes, elsewhere they are
    threads, and both end with it. held: the training images where `ops.resident` keeps them.
    """

    def __init__(
        self,
        model: LeNet5,
        recipe: Recipe,
        preprocessing: Preprocessing,
        workers: Workers,
        steps_per_epoch: int,
        held: Array | None = None,
    ):
        self.ops, self.model, self.recipe = model.ops, model, recipe
        self.preprocessing, self.workers = preprocessing, workers
        self.replicas = [model, *(model.replica() for _ in range(workers.count - 1))]
        self.local = [
            GradientWorker(replica, recipe.label_smoothing, preprocessing, held)
            for replica in self.replicas
        ]
        self.forked: list[ForkedWorker] = []
        self.optimiser = recipe.make_optimiser(model.ops, model.values, model.gradients)
        # What is judged and kept: the model, or one at the running mean of its parameters.
        self.mean: RunningMean | None = None
        self.judged = model
        if recipe.averaging:
            self.mean = RunningMean(model.ops, model.values, recipe.averaging)
            self.judged = model.replica(self.mean.average)
        self.schedule = recipe.make_schedule(recipe.epochs * steps_per_epoch)
        self.steps = 0
        self.learning_rate = self.schedule(0)
        self._open = ExitStack()

    def __enter__(self) -> "Trainer":
        if can_fork():
            most = -(-self.recipe.batch_size // self.workers.count)
            for _ in self.replicas[1:]:
                values = self.model.values
                own = self.model.replica(*(shared(values.shape, values.dtype) for _ in range(2)))
                worker = GradientWorker(own, self.recipe.label_smoothing, self.preprocessing)
                forked = ForkedWorker(worker, most, self.preprocessing.size)
                self.forked.append(self._open.enter_context(forked))
        return self

    def __exit__(self, *error: object) -> None:
        self.forked.clear()
        self._open.close()

    def step(self, images: np.ndarray, labels: np.ndarray, losses: Array, hits: Array) -> None:
        """One batch forward and backward, one step of the optimiser; losses and hits filled in.

        images (N, S, S) uint8, or their places (N,) among the images held.
        """
        self.learning_rate = self.schedule(self.steps)
        shares = parts(len(labels), self.workers.count)
        scale = 1.0 / len(labels)
        if self.forked:
            self._differentiate_in_processes(images, labels, losses, hits, shares, scale)
            others: Sequence[ForkedWorker | LeNet5] = self.forked
        else:
            self.workers.run(
                [
                    partial(
                        worker.differentiate,
                        *(images[share], labels[share], scale, losses[share], hits[share]),
                    )
                    for worker, share in zip(self.local, shares, strict=False)
                ]
            )
            others = self.replicas[1:]
        for other in others[: len(shares) - 1]:  # in order: sums of floats depend on it
            self.model.gradients += other.gradients
        self.optimiser.step(self.learning_rate)
        self.steps += 1
        if self.mean:
            self.mean.step(self.steps)

    def _differentiate_in_processes(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        losses: Array,
        hits: Array,
        shares: list[slice],
        scale: float,
    ) -> None:
        own, *rest = shares
        for forked, share in zip(self.forked, rest, strict=False):
            forked.begin(self.model.values, images[share], labels[share], scale)
        self.local[0].differentiate(images[own], labels[own], scale, losses[own], hits[own])
        for forked, share in zip(self.forked, rest, strict=False):
            forked.finish(losses[share], hits[share])

    def read(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities (N, K) of images (N, S, S) uint8 by the model that is judged."""
        with BatchReader(self.judged, self.preprocessing, self.workers) as read:
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
