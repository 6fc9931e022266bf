"""The training loop: epochs of steps, each validated, the best weights kept."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.inference import worker_count
from lenet_xp.losses import check_labels
from lenet_xp.model import LeNet5
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.scores.metrics import cross_entropy
from lenet_xp.system.workers import WorkerThreads
from lenet_xp.training.batches import epoch_batches, hold_images, in_groups, prefetch, steps_at_once
from lenet_xp.training.checkpoints import State
from lenet_xp.training.recipes import Recipe
from lenet_xp.training.trainer import Trainer

# What each row of the history holds.
ROW = (
    *("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy"),
    *("learning_rate", "seconds"),
)

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

    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_accuracy: float = -1.0
    best_loss: float = math.inf
    best_values: np.ndarray | None = None
    images_per_second: float = 0.0
    threads: int = 1

    @property
    def epochs(self) -> int:
        """How many are over."""
        return len(self.history)

    @property
    def train_seconds(self) -> float:
        return float(sum(row["seconds"] for row in self.history))

    def add(self, row: dict[str, Any], model: LeNet5) -> None:
        """One more epoch; its weights are kept if they are the best.

        Higher validation accuracy wins, then lower validation loss, then the earlier epoch.
        """
        self.history.append(row)
        if (row["val_accuracy"], -row["val_loss"]) > (self.best_accuracy, -self.best_loss):
            self.best_accuracy, self.best_loss = row["val_accuracy"], row["val_loss"]
            self.best_epoch, self.best_values = row["epoch"], model.ops.to_host(model.values)


class Keeper(Protocol):
    """Who keeps a run's state, so that it can go on where it stopped."""

    def restored(self) -> State | None:
        """The state to go on from; None to begin."""

    def after_step(self, state: Callable[[], State]) -> None:
        """Called between any two steps; it may ask for the state, and raise to stop the run."""


Batch = tuple[np.ndarray, np.ndarray]


def fit(
    model: LeNet5,
    recipe: Recipe,
    train: Batch,
    val: Batch,
    preprocessing: Preprocessing,
    seed: int = 0,
    threads: int | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_epoch: Callable[[dict[str, Any], LeNet5], None] = lambda row, model: None,
    keeper: Keeper | None = None,
) -> Fit:
    """Train `model` and leave in it the weights that were best on validation.

    train and val: (images (N, S, S) uint8, labels (N,)). The batches of an epoch depend on the
    seed and the epoch's number alone, so a run is repeatable to the bit on one machine, backend and
    number of threads, and so is one that goes on from a state of its keeper.
    threads: how many cores to use on a CPU, by default all that the process may.
    on_progress is called about twice a second, on_epoch with each row of the history
    and the model of which it speaks: with averaging that is at the mean of the weights.
    Raises TrainingDiverged, and ValueError for labels out of range or not one for each image.
    """
    train, val = (_checked(part, model.config["num_classes"]) for part in (train, val))
    threads = worker_count(model.ops, threads)
    # A loss that overflows is found and named below; NumPy's warnings would only come before it.
    with np.errstate(over="ignore", invalid="ignore"), ExitStack() as stack:
        workers = stack.enter_context(WorkerThreads(threads))
        steps = math.ceil(len(train[1]) / recipe.batch_size)
        held = hold_images(model.ops, train[0], recipe.distortion)
        trainer = stack.enter_context(Trainer(model, recipe, preprocessing, workers, steps, held))
        loop = _Loop(trainer, train, val, seed, on_progress, keeper)
        while loop.result.epochs < recipe.epochs:
            on_epoch(loop.epoch(), trainer.validated_model)
    result = loop.result
    result.threads = threads
    result.images_per_second = recipe.epochs * len(train[1]) / result.train_seconds
    if result.best_values is not None:  # of the first epoch on
        model.values[...] = model.ops.asarray(result.best_values)
    return result


class _Loop:
    """Where a run stands: what is over in `result`, and how far the present epoch has come."""

    def __init__(
        self,
        trainer: Trainer,
        train: Batch,
        val: Batch,
        seed: int,
        on_progress: Callable[[Progress], None],
        keeper: Keeper | None,
    ):
        self.trainer, self.train, self.val, self.seed = trainer, train, val, seed
        self.on_progress, self.keeper = on_progress, keeper
        self.result = Fit()
        self.done, self.seconds = 0, 0.0  # images and time of the present epoch
        ops, count = trainer.ops, len(train[1])
        self.losses, self.hits = ops.zeros((count,)), ops.zeros((count,))
        state = keeper.restored() if keeper else None
        if state is not None:
            self._restore(state)

    def epoch(self) -> dict[str, Any]:
        """Run the rest of the present epoch; its row of the history."""
        number, recipe = self.result.epochs + 1, self.trainer.recipe
        rng = np.random.default_rng([self.seed, number])
        behind = math.ceil(self.done / recipe.batch_size)
        batches = epoch_batches(
            *self.train,
            recipe.batch_size,
            rng,
            recipe.distortion,
            behind,
            held=self.trainer.held is not None,
        )
        groups = in_groups(batches, steps_at_once(self.trainer.ops, recipe.batch_size))
        started, before = time.perf_counter(), self.seconds
        reported = started
        for group in prefetch(groups):
            self.trainer.steps_on(group, self.losses, self.hits, self.done)
            self.done += sum(len(batch.labels) for batch in group)
            now = time.perf_counter()
            self.seconds = before + now - started
            if now - reported > REPORT_EVERY:
                self._report(number)
                reported = now
            if self.keeper:
                self.keeper.after_step(self._state)
        self.trainer.ops.synchronize()  # a GPU is behind what it was asked
        self.seconds = before + time.perf_counter() - started
        row = {"epoch": number, **self._report(number), **self._validate(number)}
        row |= {"learning_rate": self.trainer.learning_rate, "seconds": self.seconds}
        self.result.add(row, self.trainer.validated_model)
        self.done, self.seconds = 0, 0.0
        return row

    def _report(self, number: int) -> dict[str, Any]:
        """Mean loss and accuracy of the epoch so far, as they were met."""
        ops, done = self.trainer.ops, self.done
        losses, hits = ops.to_host(self.losses)[:done], ops.to_host(self.hits)[:done]
        loss, accuracy = (float(each.mean(dtype=np.float64)) for each in (losses, hits))
        if not math.isfinite(loss):
            first = int(np.flatnonzero(~np.isfinite(losses))[0])
            raise TrainingDiverged(self._divergence(number, first))
        epochs, total = self.trainer.recipe.epochs, len(self.train[1])
        self.on_progress(Progress(number, epochs, done, total, loss, accuracy))
        return {"train_loss": loss, "train_accuracy": accuracy}

    def _validate(self, number: int) -> dict[str, Any]:
        """Loss and accuracy on the validation images."""
        images, labels = self.val
        probabilities = self.trainer.read(images)
        loss = cross_entropy(probabilities, labels)
        if not math.isfinite(loss):
            raise TrainingDiverged(self._divergence(number, self.done - 1))
        hits = probabilities.argmax(axis=1) == labels
        return {"val_loss": loss, "val_accuracy": float(hits.mean())}

    def _divergence(self, number: int, image: int) -> str:
        """Where it happened: the step that met the image, and the parameters it took along."""
        trainer = self.trainer
        steps = math.ceil(len(self.train[1]) / trainer.recipe.batch_size)
        step = (number - 1) * steps + image // trainer.recipe.batch_size + 1
        lost = [
            name
            for name, parameter in trainer.model.parameters().items()
            if not np.isfinite(trainer.ops.to_host(parameter.value)).all()
        ]
        where = f"{lost[0]} and {len(lost) - 1} more parameters are" if lost else "the loss is"
        return (
            f"{where} not finite since step {step:,} (epoch {number}): "
            f"the learning rate {trainer.schedule(step - 1):g} is too high; try a tenth of it"
        )

    def _state(self) -> State:
        done, result, ops = self.done, self.result, self.trainer.ops
        arrays = self.trainer.state()
        arrays["losses"] = ops.to_host(self.losses)[:done]
        arrays["hits"] = ops.to_host(self.hits)[:done]
        if result.best_values is not None:
            arrays["best_values"] = result.best_values
        values = {
            "seconds": self.seconds,
            "history": result.history,
            "best_epoch": result.best_epoch,
            "best_accuracy": result.best_accuracy,
            "best_loss": result.best_loss,
        }
        return State(self.trainer.steps, arrays, values)

    def _restore(self, state: State) -> None:
        """Go on from a state. Raises InputError for one that no such run has left."""
        ops, values, result = self.trainer.ops, state.values, self.result
        check_values(values)
        arrays, best = state.arrays, state.arrays.get("best_values")
        try:
            if any(arrays[name].dtype.kind != "f" for name in ("losses", "hits")):
                raise ValueError("losses and hits are no real numbers")
            self.trainer.restore(arrays, state.step)
            self.done, self.seconds = len(arrays["losses"]), values["seconds"]
            self.losses[: self.done] = ops.asarray(arrays["losses"])
            self.hits[: self.done] = ops.asarray(arrays["hits"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the checkpoint's arrays are not this run's ({error}); {_BEGIN}"
            ) from error
        batch = self.trainer.recipe.batch_size
        behind = len(values["history"]) * math.ceil(len(self.train[1]) / batch)
        if state.step != behind + math.ceil(self.done / batch):
            raise InputError(
                f"the checkpoint does not fit together: its step cannot be {state.step}; {_BEGIN}"
            )
        if values["history"] and (best is None or best.shape != self.trainer.model.values.shape):
            raise InputError(f"the checkpoint's best weights are not this run's; {_BEGIN}")
        result.history, result.best_values = values["history"], best
        result.best_epoch, result.best_accuracy = values["best_epoch"], values["best_accuracy"]
        result.best_loss = values["best_loss"]


_BEGIN = "start the run again"


def check_values(values: dict[str, Any]) -> None:
    """InputError unless the values of a state are of the kinds that a run leaves."""
    history, best_epoch = values.get("history"), values.get("best_epoch")
    rows: list[Any] = history if isinstance(history, list) else [None]
    if not all(isinstance(row, dict) and tuple(row) == ROW for row in rows):
        raise InputError(f"the checkpoint's history is not a run's; {_BEGIN}")
    numbers = [values.get(name) for name in ("seconds", "best_accuracy", "best_loss")]
    numbers += [number for row in rows for number in row.values()]
    whole = all(type(each) in (int, float) for each in numbers)
    if not whole or not all(row["seconds"] > 0 for row in rows):
        raise InputError(f"the checkpoint's history is not a run's; {_BEGIN}")
    if type(best_epoch) is not int or not min(1, len(rows)) <= best_epoch <= len(rows):
        raise InputError(f"the checkpoint's best epoch cannot be {best_epoch!r:.20}; {_BEGIN}")


def _checked(part: Batch, num_classes: int) -> Batch:
    images, labels = part[0], check_labels(part[1], num_classes)
    if not len(images) == len(labels) > 0:
        raise ValueError(f"{len(images)} images need as many labels, not {len(labels)}")
    return images, labels
