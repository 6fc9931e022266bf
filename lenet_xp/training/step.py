"""The gradient of a part of a batch: what one worker of a training step does."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lenet_xp.inference import piece_size
from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5
from lenet_xp.ops import Array
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.workers import WorkerProcess, even_slices, shared_zeros
from lenet_xp.training.batches import Batch, HeldImages, InputBatch

KEPT = 4  # captures: of the usual piece and of an epoch's last, with something to spare


class GradientWorker:
    """A model that leaves in its `gradients` those of the images it is given.

    held: the images that batches give the places of.
    """

    def __init__(
        self,
        model: LeNet5,
        preprocessing: Preprocessing,
        held: HeldImages | None = None,
    ):
        self.held = held
        self.model, self.preprocessing = model, preprocessing
        self.loss = SoftmaxCrossEntropy(model.ops)
        self.total = model.ops.zeros(model.values.shape)
        self._captured: dict[tuple[int, float], CapturedGradient] = {}

    def differentiate(self, batch: Batch, scale: float, losses: Array, hits: Array) -> None:
        """Gradients of scale * sum of the losses of N images, worked off in pieces.

        losses and hits (N,) are filled in.
        """
        count = len(batch.labels)
        cuts = even_slices(count, -(-count // piece_size(self.model.ops, count)))
        for piece in cuts:
            step = self._step(piece.stop - piece.start, scale)
            losses[piece], hits[piece] = step(batch.part(piece))
            if len(cuts) > 1:
                self.total += self.model.gradients
        if len(cuts) > 1:
            self.model.gradients[...] = self.total
            self.total[...] = 0.0

    def _step(self, count: int, scale: float) -> "CapturedGradient":
        if (count, scale) not in self._captured:
            if len(self._captured) == KEPT:
                self._captured.pop(next(iter(self._captured)))
            self._captured[count, scale] = CapturedGradient(
                self.model, self.loss, self.preprocessing, count, scale, self.held
            )
        return self._captured[count, scale]


class CapturedGradient:
    """Forward, loss and backward of `count` images, captured once and repeated on others."""

    def __init__(
        self,
        model: LeNet5,
        loss: SoftmaxCrossEntropy,
        preprocessing: Preprocessing,
        count: int,
        scale: float,
        held: HeldImages | None = None,
    ):
        ops = model.ops
        self._given = InputBatch(ops, preprocessing, count, held)

        def compute() -> tuple[Array, Array]:
            logits = model.forward(self._given.images())
            losses, hits, dlogits = loss(logits, self._given.labels(), scale)
            model.backward(dlogits)
            return losses, hits

        self._repeat: Callable[[], tuple[Array, Array]] = ops.capture(compute)

    def __call__(self, batch: Batch) -> tuple[Array, Array]:
        """Losses and hits (count,), overwritten by the next call; gradients are in the model."""
        self._given.fill(batch)
        return self._repeat()


class ForkedWorker:
    """Does what a `GradientWorker` does, in another process; a context manager.

    worker: what to run there; both vectors of its model lie in memory from `shared_zeros`. most:
    images in the largest share.
    """

    def __init__(self, worker: GradientWorker, most: int, size: int):
        self._worker = worker
        self.values, self.gradients = worker.model.values, worker.model.gradients
        self._images = shared_zeros((most, size, size), np.uint8)
        self._labels = shared_zeros((most,), np.int64)
        self._losses, self._hits = (shared_zeros((most,), self.values.dtype) for _ in range(2))
        self._scale = shared_zeros((1,), np.float64)
        self._forked = WorkerProcess(self._differentiate)

    def __enter__(self) -> "ForkedWorker":
        self._forked.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._forked.__exit__(*error)

    def begin(self, values: np.ndarray, batch: Batch, scale: float) -> None:
        """Start on the gradients at `values` of N images."""
        count = len(batch.labels)
        self.values[...] = values
        self._images[:count], self._labels[:count] = batch.images, batch.labels
        self._scale[0] = scale
        self._forked.begin(count)

    def finish(self, losses: np.ndarray, hits: np.ndarray) -> None:
        """Wait for the gradients, fill in losses and hits (N,); WorkerFailed if it failed."""
        self._forked.finish()
        losses[...], hits[...] = self._losses[: len(losses)], self._hits[: len(hits)]

    def _differentiate(self, count: int) -> None:
        self._worker.differentiate(
            Batch(self._images[:count], self._labels[:count]),
            float(self._scale[0]),
            self._losses[:count],
            self._hits[:count],
        )


class CapturedSteps:
    """Forward, loss, backward and update of as many batches as `inputs` has room for.

    updates: what follows a backward pass, called with the step's rates in an array. losses and
    hits: vectors (M,) of the epoch, in which every step leaves those of its images.
    """

    def __init__(
        self,
        model: LeNet5,
        loss: SoftmaxCrossEntropy,
        updates: Sequence[Callable[[Any], None]],
        inputs: Sequence[InputBatch],
        losses: Array,
        hits: Array,
    ):
        self._model, self._loss, self._updates = model, loss, updates
        self._inputs, self.losses, self.hits = inputs, losses, hits
        self._rates = [np.zeros(2) for _ in inputs]
        self._places = [np.zeros(1, np.int64) for _ in inputs]
        self._repeat: Callable[[], Any] | None = None

    def __call__(
        self, batches: Sequence[Batch], rates: Sequence[tuple[float, int]], start: int
    ) -> None:
        """One step for each batch.

        rates: learning rate and number of each step. start: the place of the first image.
        """
        for k, batch in enumerate(batches):
            self._inputs[k].fill(batch)
            self._rates[k][:] = rates[k]
            self._places[k][0] = start
            start += len(batch.labels)
        if self._repeat is None:  # the first run is a step already
            self._repeat = self._model.ops.capture(self._compute)
        else:
            self._repeat()

    def _compute(self) -> None:
        model, vectors = self._model, (self.losses, self.hits)
        for given, rates, place in zip(self._inputs, self._rates, self._places, strict=True):
            logits = model.forward(given.images())
            _, _, dlogits = self._loss(logits, given.labels(), into=(*vectors, place))
            model.backward(dlogits)
            for update in self._updates:
                update(rates)
