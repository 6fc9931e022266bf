"""The training loop: epochs of steps, judged on validation, the best weights kept."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from lenet_xp.data.batches import epoch_batches, prefetch
from lenet_xp.data.preprocess import Preprocessing
from lenet_xp.gradients import GradientWorker
from lenet_xp.inference import BatchReader, cross_entropy
from lenet_xp.losses import check_labels
from lenet_xp.model import LeNet5
from lenet_xp.ops import Array
from lenet_xp.parallel import Workers, parts, worker_count
from lenet_xp.processes import ForkedWorker, can_fork, shared
from lenet_xp.recipes import Recipe

REPORT_EVERY = 0.5  # seconds between looks at the running loss, for a look waits for the device


class TrainingDiverged(RuntimeError):
    """The loss is no longer a number; the message says where and what to try."""


@dataclass(frozen=True)
class Progress:
    """How far an epoch has come: what a progress bar shows."""

    epoch: int
    epochs: int
    images: int
    total: int
    loss: float
    accuracy: float


@dataclass
class Fit:
    """The outcome: one row of history per epoch, and the best weights on validation.

    images_per_second counts training alone, without validation.
    """

    history: list[dict] = field(default_factory=list)
    best_epoch: int = 0
    best_accuracy: float = -1.0
    best_loss: float = math.inf
    best_values: np.ndarray | None = None
    train_seconds: float = 0.0
    images_per_second: float = 0.0
    threads: int = 1


def fit(
    model: LeNet5,
    recipe: Recipe,
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    preprocessing: Preprocessing,
    seed: int = 0,
    threads: int | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_epoch: Callable[[dict], None] = lambda row: None,
) -> Fit:
    """Train `model` and leave in it the weights that were best on validation.

    train and val: (images (N, S, S) uint8, labels (N,)). The batches of an epoch depend on the
    seed and the epoch's number alone, so a run is repeatable to the bit on one machine, backend and
    number of threads.
    threads: how many cores to use on a CPU, by default all that the process may.
    on_progress is called about twice a second, on_epoch with each row of the history.
    Raises TrainingDiverged, and ValueError for labels out of range or not one for each image.
    """
    (images, labels), val = (_checked(part, model.config["num_classes"]) for part in (train, val))
    result = Fit(threads=worker_count(model.ops, threads))
    # A loss that overflows is found and named below; NumPy's warnings would only come before it.
    with np.errstate(over="ignore", invalid="ignore"), ExitStack() as stack:
        workers = stack.enter_context(Workers(result.threads))
        steps = math.ceil(len(labels) / recipe.batch_size)
        trainer = stack.enter_context(Trainer(model, recipe, preprocessing, workers, steps))
        for epoch in range(1, recipe.epochs + 1):
            rng = np.random.default_rng([seed, epoch])
            batches = epoch_batches(images, labels, recipe.batch_size, rng, recipe.distortion)
            started = time.perf_counter()
            loss, accuracy = trainer.epoch(epoch, batches, len(labels), on_progress)
            seconds = time.perf_counter() - started
            result.train_seconds += seconds
            row = {
                "epoch": epoch,
                "train_loss": loss,
                "train_accuracy": accuracy,
                **trainer.judge(val, epoch),
                "learning_rate": trainer.learning_rate,
                "seconds": seconds,
            }
            result.history.append(row)
            _keep_best(result, row, model)
            on_epoch(row)
    result.images_per_second = recipe.epochs * len(labels) / result.train_seconds
    model.values[...] = model.ops.asarray(result.best_values)
    return result


def _checked(
    part: tuple[np.ndarray, np.ndarray], num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    images, labels = part[0], check_labels(part[1], num_classes)
    if not len(images) == len(labels) > 0:
        raise ValueError(f"{len(images)} images need as many labels, not {len(labels)}")
    return images, labels


def _keep_best(result: Fit, row: dict, model: LeNet5) -> None:
    """Higher validation accuracy wins, then lower validation loss, then the earlier epoch."""
    candidate = (row["val_accuracy"], -row["val_loss"])
    if candidate > (result.best_accuracy, -result.best_loss):
        result.best_accuracy, result.best_loss = row["val_accuracy"], row["val_loss"]
        result.best_epoch = row["epoch"]
        result.best_values = model.ops.to_host(model.values)


class Trainer:
    """The state that lasts from step to step: workers, optimiser, schedule, the step's number.

    A context manager: on Linux the workers beside the first are processes, elsewhere they are
    threads, and both end with it.
    """

    def __init__(
        self,
        model: LeNet5,
        recipe: Recipe,
        preprocessing: Preprocessing,
        workers: Workers,
        steps_per_epoch: int,
    ):
        self.ops, self.model, self.recipe = model.ops, model, recipe
        self.preprocessing, self.workers = preprocessing, workers
        self.replicas = [model, *(model.replica() for _ in range(workers.count - 1))]
        self.local = [
            GradientWorker(replica, recipe.label_smoothing, preprocessing)
            for replica in self.replicas
        ]
        self.forked: list[ForkedWorker] = []
        self.optimiser = recipe.make_optimiser(model.ops, model.values, model.gradients)
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

    def epoch(
        self,
        epoch: int,
        batches: Iterator[tuple[np.ndarray, np.ndarray]],
        count: int,
        on_progress: Callable[[Progress], None],
    ) -> tuple[float, float]:
        """Run one epoch of `count` images; its mean loss and accuracy, as they were met."""
        losses, hits = self.ops.zeros((count,)), self.ops.zeros((count,))
        done, reported = 0, time.perf_counter()
        for images, labels in prefetch(batches):
            part = slice(done, done + len(labels))
            self.step(images, labels, losses[part], hits[part])
            done += len(labels)
            if time.perf_counter() - reported > REPORT_EVERY:
                loss, accuracy = self._means(losses[:done], hits[:done], epoch)
                on_progress(Progress(epoch, self.recipe.epochs, done, count, loss, accuracy))
                reported = time.perf_counter()
        loss, accuracy = self._means(losses, hits, epoch)
        on_progress(Progress(epoch, self.recipe.epochs, done, count, loss, accuracy))
        return loss, accuracy

    def step(self, images: np.ndarray, labels: np.ndarray, losses: Array, hits: Array) -> None:
        """One batch forward and backward, one step of the optimiser; losses and hits filled in."""
        self.learning_rate = self.schedule(self.steps)
        shares = parts(len(labels), self.workers.count)
        scale = 1.0 / len(labels)
        if self.forked:
            self._differentiate_in_processes(images, labels, losses, hits, shares, scale)
            others = self.forked
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

    def judge(self, val: tuple[np.ndarray, np.ndarray], epoch: int) -> dict:
        """Loss and accuracy on the validation images."""
        read = BatchReader(self.workers, self.replicas, self.preprocessing)
        probabilities = read(val[0])
        hits = probabilities.argmax(axis=1) == val[1]
        return {
            "val_loss": self._finite(cross_entropy(probabilities, val[1]), epoch),
            "val_accuracy": float(hits.mean()),
        }

    def _means(self, losses: Array, hits: Array, epoch: int) -> tuple[float, float]:
        loss = self._finite(float(self.ops.to_host(losses).mean(dtype=np.float64)), epoch)
        return loss, float(self.ops.to_host(hits).mean(dtype=np.float64))

    def _finite(self, loss: float, epoch: int) -> float:
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"the loss is {loss} in epoch {epoch}, by step {self.steps}: "
                f"the learning rate {self.learning_rate:g} is too high; try a tenth of it"
            )
        return loss
