"""One training step: forward, loss, backward and update, captured once and repeated.

`CapturedSteps` is the step itself. `GradientWorker` computes the gradient of a part of a batch with
it, in pieces that suit the device; `GradientProcess` does the same in a process of its own.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from lenet_xp.inference import ReadingProcess, read_in_pieces, reading_shapes
from lenet_xp.model import Sequential
from lenet_xp.ops import Array, Ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.processes import Arrays, Serve
from lenet_xp.system.workers import even_slices
from lenet_xp.training.batches import Batch, DeviceImages, InputBatch

MAX_CAPTURES = 4  # kept by a worker: of the usual piece, of an epoch's last one, and two to spare


class CapturedSteps:
    """One training step per batch (forward, loss, backward, update); all batches have one size.

    inputs: one for each batch. losses, hits: vectors (M,) into which each step writes those of its
    images. scale: of the gradient; by default 1 / N, the mean over a batch. update: what follows a
    backward pass, called with an array of the learning rate and the step's number. teachers:
    trained networks on the model's ops, whose mean answer is learned in place of the labels.
    """

    def __init__(
        self,
        model: Sequential,
        inputs: Sequence[InputBatch],
        losses: Array,
        hits: Array,
        scale: float | None = None,
        update: Callable[[Any], None] | None = None,
        teachers: Sequence[Sequential] = (),
    ):
        self._model, self._loss, self._teachers = model, model.loss(), teachers
        self._inputs, self.losses, self.hits = inputs, losses, hits
        self._scale, self._update = scale, update
        self._rates = [np.zeros(2) for _ in inputs]
        self._starts = [np.zeros(1, np.int64) for _ in inputs]
        self._repeat: Callable[[], Any] | None = None

    def __call__(
        self, batches: Sequence[Batch], start: int = 0, rates: Sequence[tuple[float, int]] = ()
    ) -> None:
        """Run the steps.

        start: index in losses and hits of the first image. rates: learning rate and number of each
        step, where there is an update.
        """
        for k, batch in enumerate(batches):
            self._inputs[k].fill(batch)
            self._starts[k][0] = start
            start += len(batch.labels)
        for k, pair in enumerate(rates):
            self._rates[k][:] = pair
        if self._repeat is None:  # a capture runs the steps, too
            self._repeat = self._model.capture(self._compute)
        else:
            self._repeat()

    def _compute(self) -> None:
        vectors, ops, targets = (self.losses, self.hits), self._model.ops, None
        for batch, rates, start in zip(self._inputs, self._rates, self._starts, strict=True):
            ops.reuse()  # a step's arrays stay in the cache of a GPU, those of all steps do not
            images = batch.images()
            if self._teachers:
                targets = ops.mean([ops.softmax(each.forward(images)) for each in self._teachers])
            logits, into = self._model.forward(images), (*vectors, start)
            _, _, dlogits = self._loss(logits, batch.labels(), self._scale, into, targets)
            self._model.backward(dlogits)
            if self._update:
                self._update(rates)


class GradientWorker:
    """Computes gradients with a model of its own and leaves them in `model.gradients`.

    teachers: see `CapturedSteps`; they are copied to the model's ops.
    """

    def __init__(
        self,
        model: Sequential,
        preprocessing: Preprocessing,
        on_device: DeviceImages | None = None,
        teachers: Sequence[Sequential] = (),
    ):
        self.model, self.preprocessing, self.on_device = model, preprocessing, on_device
        self.teachers = [_copied(teacher, model.ops) for teacher in teachers]
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
            step = CapturedSteps(self.model, inputs, losses, hits, scale, None, self.teachers)
            self._captured[count, scale] = step
        return self._captured[count, scale]


class GradientProcess(ReadingProcess):
    """A `GradientWorker` in another process, which reads images for validation, too.

    max_images: in the largest share of a batch. max_read: in the largest share to be read.
    """

    def __init__(
        self,
        model: Sequential,
        preprocessing: Preprocessing,
        max_images: int,
        max_read: int = 0,
        teachers: Sequence[Sequential] = (),
    ):
        self._values = model.values
        vector, dtype = model.values.shape, model.values.dtype
        shapes = reading_shapes(model, preprocessing, max(max_images, max_read)) | {
            "values": (vector, dtype),
            "gradients": (vector, dtype),
            "labels": ((max_images,), np.int64),
            "losses": ((max_images,), dtype),
            "hits": ((max_images,), dtype),
            "scale": ((1,), np.float64),
        }
        super().__init__(partial(_gradients, model, preprocessing, teachers), shapes)

    @property
    def gradients(self) -> np.ndarray:
        """What the last call left, (P,)."""
        return self.arrays["gradients"]

    def begin_gradient(self, batch: Batch, scale: float) -> None:
        """Start to compute the gradients of N images at the model's values of now."""
        arrays, count = self.arrays, len(batch.labels)
        arrays["values"][...], arrays["scale"][0] = self._values, scale
        arrays["images"][:count], arrays["labels"][:count] = batch.images, batch.labels
        self.begin(count)

    def finish_gradient(self, losses: np.ndarray, hits: np.ndarray) -> None:
        """Wait for the gradients and write losses and hits (N,); WorkerFailed if it failed."""
        self.finish()
        count = len(losses)
        losses[...], hits[...] = self.arrays["losses"][:count], self.arrays["hits"][:count]

    def begin_read(self, images: np.ndarray) -> None:
        """Start to read prepared images with the model's values of now."""
        self.arrays["values"][...] = self._values
        super().begin_read(images)


def _copied(teacher: Sequential, ops: Ops) -> Sequential:
    """A network on other ops, with values of their kind and dtype."""
    return teacher.replica(values=ops.asarray(teacher.ops.to_host(teacher.values)), ops=ops)


def _gradients(
    model: Sequential,
    preprocessing: Preprocessing,
    teachers: Sequence[Sequential],
    arrays: Arrays,
) -> Serve:
    """What a `GradientProcess` does for a number of images: gradients, or below 0 a reading."""
    own = model.replica(values=arrays["values"], gradients=arrays["gradients"])
    worker = GradientWorker(own, preprocessing, None, teachers)
    images, labels, losses, hits = (arrays[name] for name in ("images", "labels", "losses", "hits"))

    @np.errstate(over="ignore", invalid="ignore")  # the host tells of a loss that runs away
    def serve(count: int) -> None:
        if count < 0:
            read_in_pieces(own, preprocessing, images[:-count], arrays["probabilities"])
            return
        batch = Batch(images[:count], labels[:count])
        worker.differentiate(batch, float(arrays["scale"][0]), losses[:count], hits[:count])

    return serve
