"""The training loop: epochs of steps, each validated, the best weights kept."""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import numpy as np

from lenet_xp.data.stream import Made
from lenet_xp.errors import InputError
from lenet_xp.errors import TrainingDiverged as TrainingDiverged
from lenet_xp.inference import among, worker_count
from lenet_xp.layers import is_ours
from lenet_xp.losses import check_labels
from lenet_xp.model import Sequential
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.scores.metrics import cross_entropy
from lenet_xp.system.files import FilePath
from lenet_xp.system.workers import WorkerThreads
from lenet_xp.training.batches import (
    epoch_batches,
    in_groups,
    place_on_device,
    prefetch,
    steps_at_once,
)
from lenet_xp.training.checkpoints import START_AGAIN, CheckpointTimer, State, check_values
from lenet_xp.training.recipes import Recipe, named_recipe
from lenet_xp.training.trainer import Trainer
from lenet_xp.training.transfer import begin_from, convolution_parameters

HANDED = 16  # images: that the thread which makes batches hands over at once, at least
REPORT_INTERVAL = 0.5  # seconds between readings of the running loss; each waits for the device
ENOUGH = 100  # images: with fewer, an accuracy cannot be told from that of chance
SAVED_VALUES = ("history", "best_epoch", "best_accuracy", "best_loss")  # of a FitResult


@dataclass(frozen=True)
class EpochProgress:
    """How far an epoch has come, for a progress bar; loss and accuracy are means so far."""

    epoch: int
    epochs: int
    images: int
    total: int
    loss: float
    accuracy: float


@dataclass
class FitResult:
    """What a training gave: a row of history per epoch, and the weights best on validation.

    images_per_second counts training alone, without validation. ranks: None without MPI.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_accuracy: float = -1.0
    best_loss: float = math.inf
    best_values: np.ndarray | None = None
    images_per_second: float = 0.0
    threads: int = 1
    ranks: int | None = None

    @property
    def epochs(self) -> int:
        """The number of finished epochs."""
        return len(self.history)

    @property
    def train_seconds(self) -> float:
        return float(sum(row["seconds"] for row in self.history))

    def add(self, row: dict[str, Any], model: Sequential) -> None:
        """Add a finished epoch; keep the weights of its model if they are the best so far.

        Higher validation accuracy wins, then lower validation loss, then the earlier epoch.
        """
        self.history.append(row)
        if (row["val_accuracy"], -row["val_loss"]) > (self.best_accuracy, -self.best_loss):
            self.best_accuracy, self.best_loss = row["val_accuracy"], row["val_loss"]
            self.best_epoch, self.best_values = row["epoch"], model.ops.to_host(model.values)


LabelledImages = tuple[np.ndarray, np.ndarray]  # prepared images, (N, *shape), and labels (N,)


def fit(
    model: Sequential,
    recipe: FilePath | Recipe,
    train: LabelledImages,
    val: LabelledImages,
    preprocessing: Preprocessing,
    seed: int = 0,
    threads: int | None = None,
    on_progress: Callable[[EpochProgress], None] = lambda progress: None,
    on_epoch: Callable[[dict[str, Any], Sequential], None] = lambda row, model: None,
    checkpointer: CheckpointTimer | None = None,
    on_doubt: Callable[[str], None] = lambda text: warnings.warn(text, stacklevel=3),
    start: Sequential | None = None,
    freeze: bool = False,
    teachers: Sequence[Sequential] = (),
    comm: Any = None,
) -> FitResult:
    """Train `model` and leave in it the weights that were best on validation.

    recipe: a `Recipe`, or the name or the file of one; the network is `model`, whatever it says.
    train, val: images (N, S, S), (N, S, S, 1) or (N, S, S, 3) uint8 and labels (N,). The batches of
    an epoch depend on the seed and the epoch's number alone. So a run gives the same bits again on
    one machine, backend and number of threads. A run that goes on from a checkpoint gives them too.
    threads: cores to use on a CPU, by default all that the process may use.
    on_progress is called about twice a second. on_epoch is called with each row of the history and
    the model. on_doubt is called with a line where nothing was learned, or the loss is worse than
    guessing; by default that is a UserWarning.
    start: a trained network to go on from, of the same layers; the first outputs of `model` are
    its own, others are new. freeze: whether the parameters up to the last convolution stay.
    teachers: trained networks of the package's layers. Their mean answer to each image, distorted
    as `model` sees it, is learned in place of its label (Hinton et al. 2015, at temperature 1).
    comm: MPI's communicator, of which this is rank 0; the others run `ranks.follow`. A rank has one
    thread, and any number of ranks gives the same bits.
    Raises TrainingDiverged, and ValueError for an unknown recipe, for images of another shape or
    dtype, for labels out of range or not one for each image, for a start of other layers,
    for teachers of another input or output, and for less than one thread.
    """
    recipe = named_recipe(recipe)
    classes = model.num_classes
    train, val = (_checked(part, model, preprocessing) for part in (train, val))
    threads = worker_count(model.ops, threads) if comm is None else 1
    frozen = convolution_parameters(model) if freeze else 0
    if start is not None:
        begin_from(model, start)
    teachers = tuple(teachers)
    _check_teachers(teachers, model, recipe)
    # A loss that overflows raises TrainingDiverged below; NumPy's warnings would only precede it.
    with np.errstate(over="ignore", invalid="ignore"), ExitStack() as stack:
        workers = stack.enter_context(WorkerThreads(threads))
        steps = math.ceil(len(train[1]) / recipe.batch_size)
        on_device = None
        if comm is None:
            on_device = place_on_device(model.ops, train[0], recipe.distortion)
        trainer = Trainer(
            *(model, recipe, preprocessing, workers, steps, on_device, len(val[1]), frozen),
            *(teachers, comm),
        )
        stack.enter_context(trainer)
        loop = _Loop(trainer, train, val, seed, on_progress, checkpointer)
        while loop.result.epochs < recipe.epochs:
            on_epoch(loop.epoch(), model)
    result = loop.result
    result.threads, result.ranks = threads, comm and comm.size
    result.images_per_second = recipe.epochs * len(train[1]) / result.train_seconds
    if result.best_values is not None:  # None only where no epoch ran
        model.values[...] = model.ops.asarray(result.best_values)
    if doubt := _doubt(result, val[1], recipe, classes):
        on_doubt(doubt)
    return result


def _doubt(result: FitResult, labels: np.ndarray, recipe: Recipe, classes: int) -> str:
    """What is wrong with a training whose numbers are finite; "" where nothing seems to be."""
    if not result.history:
        return ""
    loss, guessing = min(row["val_loss"] for row in result.history), math.log(classes)
    if loss > 2 * guessing:
        rate = max(row["learning_rate"] for row in result.history)
        return (
            f"the training ran away: the validation loss never fell below {loss:.3g}, and guessing "
            f"has {guessing:.3g}; {recipe.excess(rate)}"
        )
    chance = np.bincount(labels).max() / len(labels)
    limit = chance + 2 * math.sqrt(chance * (1 - chance) / len(labels))  # two deviations
    if result.best_accuracy > limit or len(labels) < ENOUGH or chance == 1:
        return ""
    less = f", or with less weight_decay than {recipe.weight_decay:g}" * bool(recipe.weight_decay)
    return (
        f"hardly anything was learned: the validation accuracy is {result.best_accuracy:.2%}, and "
        f"always the same answer has {chance:.2%}; train longer or at another learning rate{less}"
    )


class _Loop:
    """Where a run stands: finished epochs in `result`, and how far the present epoch has come."""

    def __init__(
        self,
        trainer: Trainer,
        train: LabelledImages,
        val: LabelledImages,
        seed: int,
        on_progress: Callable[[EpochProgress], None],
        checkpointer: CheckpointTimer | None,
    ):
        self.trainer, self.train, self.val, self.seed = trainer, train, val, seed
        self.on_progress, self.checkpointer = on_progress, checkpointer
        self.result = FitResult()
        self.done, self.seconds = 0, 0.0  # images seen in the present epoch, and its time
        ops, count = trainer.ops, len(train[1])
        self.losses, self.hits = ops.zeros((count,)), ops.zeros((count,))
        state = checkpointer.state if checkpointer else None
        if state is not None:
            self._restore(state)

    def epoch(self) -> dict[str, Any]:
        """Run the rest of the present epoch and return its row of the history."""
        number, recipe = self.result.epochs + 1, self.trainer.recipe
        rng = np.random.default_rng([self.seed, number])
        batches = epoch_batches(
            *self.train,
            recipe.batch_size,
            rng,
            recipe.distortion,
            skip=math.ceil(self.done / recipe.batch_size),
            on_device=self.trainer.on_device is not None,
        )
        if not self.done:
            of_epoch = np.random.default_rng([self.seed, number, 1])
            self.trainer.before_epoch(self.train, of_epoch)
        groups = in_groups(batches, steps_at_once(self.trainer.ops, recipe.batch_size))
        handed = iter(lambda: list(islice(groups, max(HANDED // recipe.batch_size, 1))), [])
        started, before = time.perf_counter(), self.seconds
        reported = started
        for group in chain.from_iterable(prefetch(handed)):
            self.trainer.steps_on(group, self.losses, self.hits, self.done)
            self.done += sum(len(batch.labels) for batch in group)
            now = time.perf_counter()
            self.seconds = before + now - started
            if now - reported > REPORT_INTERVAL:
                self._report(number)
                reported = now
            if self.checkpointer:
                self.checkpointer.after_step(self._state)
        self.trainer.ops.synchronize()  # a GPU runs behind the launches
        self.seconds = before + time.perf_counter() - started
        row = {"epoch": number, **self._report(number), **self._validate(number)}
        row |= {"learning_rate": self.trainer.learning_rate, "seconds": self.seconds}
        self.result.add(row, self.trainer.model)
        self.done, self.seconds = 0, 0.0
        return row

    def _report(self, number: int) -> dict[str, Any]:
        """Mean training loss and accuracy of the epoch so far."""
        ops, done = self.trainer.ops, self.done
        losses, hits = ops.to_host(self.losses)[:done], ops.to_host(self.hits)[:done]
        loss, accuracy = (float(each.mean(dtype=np.float64)) for each in (losses, hits))
        if not math.isfinite(loss):
            first = int(np.flatnonzero(~np.isfinite(losses))[0])
            raise TrainingDiverged(self._divergence(number, first))
        epochs, total = self.trainer.recipe.epochs, len(self.train[1])
        self.on_progress(EpochProgress(number, epochs, done, total, loss, accuracy))
        return {"train_loss": loss, "train_accuracy": accuracy}

    def _validate(self, number: int) -> dict[str, Any]:
        """Loss and accuracy on the validation images."""
        images, labels = self.val
        probabilities = among(self.trainer.read(images), self.trainer.model.rivals)
        loss = cross_entropy(probabilities, labels)
        if not math.isfinite(loss):
            raise TrainingDiverged(self._divergence(number, self.done - 1))
        hits = probabilities.argmax(axis=1) == labels
        return {"val_loss": loss, "val_accuracy": float(hits.mean())}

    def _divergence(self, number: int, image: int) -> str:
        """The message, with the step that read the image."""
        trainer = self.trainer
        steps = math.ceil(len(self.train[1]) / trainer.recipe.batch_size)
        step = (number - 1) * steps + image // trainer.recipe.batch_size + 1
        return (
            f"the loss is not finite since step {step:,} (epoch {number}): "
            f"{trainer.recipe.excess(trainer.schedule(step - 1))}"
        )

    def _state(self) -> State:
        done, result, ops = self.done, self.result, self.trainer.ops
        arrays = self.trainer.state()
        arrays["losses"] = ops.to_host(self.losses)[:done]
        arrays["hits"] = ops.to_host(self.hits)[:done]
        if result.best_values is not None:
            arrays["best_values"] = result.best_values
        values = {name: getattr(result, name) for name in SAVED_VALUES}
        return State(self.trainer.steps, arrays, {"seconds": self.seconds, **values})

    def _restore(self, state: State) -> None:
        """Go on from a state. Raises InputError for a state that is not of this run."""
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
                f"the checkpoint's arrays are not this run's ({error}); {START_AGAIN}"
            ) from error
        size = self.trainer.recipe.batch_size
        steps_done = len(values["history"]) * math.ceil(len(self.train[1]) / size)
        if state.step != steps_done + math.ceil(self.done / size):
            raise InputError(
                f"the checkpoint does not fit together: its step cannot be {state.step}; "
                f"{START_AGAIN}"
            )
        if values["history"] and (best is None or best.shape != self.trainer.model.values.shape):
            raise InputError(f"the checkpoint's best weights are not this run's; {START_AGAIN}")
        result.best_values = best
        for name in SAVED_VALUES:
            setattr(result, name, values[name])


def _check_teachers(teachers: Sequence[Sequential], model: Sequential, recipe: Recipe) -> None:
    if recipe.teachers and not teachers:
        raise ValueError(
            f"recipe {recipe.name} needs teachers: `lenet-xp train` trains them, `fit` takes "
            "trained networks as teachers=[...]; or take another recipe"
        )
    shape, classes = model.input_shape, model.num_classes
    for teacher in teachers:
        if not isinstance(teacher, Sequential) or not all(map(is_ours, teacher.layers)):
            raise ValueError("a teacher is a Sequential of the package's own layers")
        if (teacher.input_shape, teacher.num_classes) != (shape, classes):
            raise ValueError(f"a teacher needs the input {shape}, {classes} outputs")


def _checked(
    part: LabelledImages, model: Sequential, preprocessing: Preprocessing
) -> LabelledImages:
    images = part[0] if isinstance(part[0], Made) else np.asarray(part[0])
    labels = check_labels(part[1], model.num_classes)
    shape = preprocessing.shape
    if model.input_shape != preprocessing.input_shape:
        raise ValueError(
            f"the network takes {model.input_shape}, but the preprocessing gives "
            f"{preprocessing.input_shape}: set its size and channels"
        )
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if not len(images) or images.shape[1:] != shape or images.dtype != np.uint8:
        wanted = ", ".join(map(str, shape))
        given = f"{images.dtype} of shape {images.shape}"
        raise ValueError(f"images must be (N, {wanted}) uint8, one at least, not {given}")
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images need as many labels, not {len(labels)}")
    return images, labels
