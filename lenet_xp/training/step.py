"""One training step: forward, loss, backward and update, captured once and repeated.

`CapturedSteps` is the step itself. `GradientWorker` computes the gradient of a part of a batch with
it, in pieces that suit the device; `ForkedWorker` does the same in a process of its own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5
from lenet_xp.ops import Array
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.workers import WorkerProcess, even_slices, shared_zeros
from lenet_xp.training.batches import Batch, DeviceImages, InputBatch

MAX_CAPTURES = 4  # kept by a worker: of the usual piece, of an epoch's last one, and two to spare

Update = Callable[[Any], None]  # called with the step's rates after its backward pass


class CapturedSteps:
    """One training step per batch (forward, loss, backward, update); all batches have one size.

    inputs: one for each batch. losses, hits: vectors (M,) into which each step writes those of its
    images. scale: of the gradient; by default 1 / N, the mean over a batch. updates: what follows
    each backward pass, called with an array of the learning rate and the step's number.
    """

    def __init__(
        self,
        model: LeNet5,
        inputs: Sequence[InputBatch],
        losses: Array,
        hits: Array,
        scale: float | None = None,
        updates: Sequence[Update] = (),
    ):
        self._model, self._loss = model, SoftmaxCrossEntropy(model.ops)
        self._inputs, self.losses, self.hits = inputs, losses, hits
        self._scale, self._updates = scale, updates
        self._rates = [np.zeros(2) for _ in inputs]
        self._starts = [np.zeros(1, np.int64) for _ in inputs]
        self._repeat: Callable[[], Any] | None = None

    def __call__(
        self, batches: Sequence[Batch], start: int = 0, rates: Sequence[tuple[float, int]] = ()
    ) -> None:
        """Run the steps.

        start: index in losses and hits of the first image. rates: learning rate and number of each
        step, where there are updates.
        """
        for k, batch in enumerate(batches):
            self._inputs[k].fill(batch)
            self._starts[k][0] = start
            start += len(batch.labels)
        for k, pair in enumerate(rates):
            self._rates[k][:] = pair
        if self._repeat is None:  # a capture runs the steps, too
            self._repeat = self._model.ops.capture(self._compute)
        else:
            self._repeat()

    def _compute(self) -> None:
        vectors = self.losses, self.hits
        for batch, rates, start in zip(self._inputs, self._rates, self._starts, strict=True):
            logits = self._model.forward(batch.images())
            _, _, dlogits = self._loss(logits, batch.labels(), self._scale, into=(*vectors, start))
            self._model.backward(dlogits)
            for update in self._updates:
                update(rates)


class GradientWorker:
    """Computes gradients with a model of its own and leaves them in `model.gradients`."""

    def __init__(
        self, model: LeNet5, preprocessing: Preprocessing, on_device: DeviceImages | None = None
    ):
        self.model, self.preprocessing, self.on_device = model, preprocessing, on_device
        self._total = model.ops.zeros(model.values.shape)
        self._captured: dict[tuple[int, float], CapturedSteps] = {}

    def differentiate(self, batch: Batch, scale: float, losses: Array, hits: Array) -> None:
        """Compute the gradients of scale * sum of the losses of N images, piece by piece.

        Writes losses and hits (N,), too.
        """
        count = len(batch.labels)
        pieces = even_slices(count, -(-count // self.model.ops.images_per_piece))
        for piece in pieces:
            step = self._step(piece.stop - piece.start, scale)
            step([batch.part(piece)])
            losses[piece], hits[piece] = step.losses, step.hits
            if len(pieces) > 1:
                self._total += self.model.gradients
        if len(pieces) > 1:
            self.model.gradients[...] = self._total
            self._total[...] = 0.0

    def _step(self, count: int, scale: float) -> CapturedSteps:
        if (count, scale) not in self._captured:
            if len(self._captured) == MAX_CAPTURES:
                self._captured.pop(next(iter(self._captured)))
            ops = self.model.ops
            inputs = [InputBatch(ops, self.preprocessing, count, self.on_device)]
            losses, hits = ops.zeros((count,)), ops.zeros((count,))
            step = CapturedSteps(self.model, inputs, losses, hits, scale)
            self._captured[count, scale] = step
        return self._captured[count, scale]


class ForkedWorker:
    """A `GradientWorker` in another process; a context manager.

    worker: what runs there; both vectors of its model come from `shared_zeros`. max_images: in the
    largest share of a batch. size: side of an image, pixels.
    """

    def __init__(self, worker: GradientWorker, max_images: int, size: int):
        self._worker = worker
        self.values, self.gradients = worker.model.values, worker.model.gradients
        self._images = shared_zeros((max_images, size, size), np.uint8)
        self._labels = shared_zeros((max_images,), np.int64)
        self._losses, self._hits = (
            shared_zeros((max_images,), self.values.dtype) for _ in range(2)
        )
        self._scale = shared_zeros((1,), np.float64)
        self._forked = WorkerProcess(self._differentiate)

    def __enter__(self) -> "ForkedWorker":
        self._forked.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._forked.__exit__(*error)

    def begin(self, values: np.ndarray, batch: Batch, scale: float) -> None:
        """Start to compute the gradients at `values` of N images."""
        count = len(batch.labels)
        self.values[...] = values
        self._images[:count], self._labels[:count] = batch.images, batch.labels
        self._scale[0] = scale
        self._forked.begin(count)

    def finish(self, losses: np.ndarray, hits: np.ndarray) -> None:
        """Wait for the gradients and write losses and hits (N,); WorkerFailed if it failed."""
        self._forked.finish()
        losses[...], hits[...] = self._losses[: len(losses)], self._hits[: len(hits)]

    def _differentiate(self, count: int) -> None:
        self._worker.differentiate(
            Batch(self._images[:count], self._labels[:count]),
            float(self._scale[0]),
            self._losses[:count],
            self._hits[:count],
        )
