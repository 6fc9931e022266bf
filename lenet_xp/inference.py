"""Images in, class probabilities out, on the host: forward passes that are captured once."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np

from lenet_xp.losses import check_labels
from lenet_xp.model import Sequential
from lenet_xp.ops import Ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.own_process import one_blas_thread, usable_cores
from lenet_xp.system.processes import Arrays, Serve, WorkerProcess, can_start, start_all
from lenet_xp.system.workers import WorkerThreads, even_slices

# images: smaller shares cost more to hand out than they save
MIN_SHARE = 32
MIN_SHARE_BESIDE = 8  # to a process, while this thread reads as many
MIN_IN_PROCESSES = 4096  # images: from here on processes save more time than they take to start
TINY = 1e-30  # probability of all classes together: what one that underflowed to 0 counts as


def predict_probabilities(
    model: Sequential, images: np.ndarray, preprocessing: Preprocessing, threads: int | None = None
) -> np.ndarray:
    """Class probabilities (N, K) float64 of prepared images, (N, S, S) or (N, S, S, 3) uint8.

    threads: cores to use on a CPU, by default all. Where NumPy's products use threads of their own,
    the caller's reads fewer than MIN_IN_PROCESSES images, and processes more. Raises ValueError for
    threads below 1.
    """
    count = worker_count(model.ops, threads)
    crowded = model.ops.uses_cores and not one_blas_thread()
    many = crowded and len(images) >= MIN_IN_PROCESSES
    alone, capacity = crowded and not many, len(images) if many else 0
    with (
        np.errstate(over="ignore", invalid="ignore"),  # of weights that ran away
        WorkerThreads(1 if alone else count) as workers,
        BatchReader(model, preprocessing, workers, capacity) as read,
    ):
        return read(images)


def among(rows: np.ndarray, classes: int) -> np.ndarray:
    """Probabilities (N, K) float64 among the first K classes alone, of (N, K) or (N, K + 1)."""
    if rows.shape[1] == classes:
        return rows
    rows = rows[:, :classes]
    return np.asarray(rows / np.maximum(rows.sum(1, keepdims=True), TINY))


class BatchReader:
    """A context manager that reads any number of images on workers that stand ready.

    capacity: processes read calls of up to so many images, where they can be had, threads larger
    ones. frozen: whether it reads with the model's parameters at the context's begin; otherwise
    only threads read, with those at each call. processes: started by others for so many images.
    """

    def __init__(
        self,
        model: Sequential,
        preprocessing: Preprocessing,
        workers: WorkerThreads,
        capacity: int = 0,
        frozen: bool = True,
        processes: Sequence["ReadingProcess"] = (),
    ):
        self._model, self._preprocessing, self._workers = model, preprocessing, workers
        self._frozen = frozen
        possible = frozen and model.ops.uses_cores and can_start()
        self._capacity = capacity if possible else 0
        self._passes: dict[tuple[int, int], ForwardPass] = {}
        self._processes, self._first = processes, 0  # shares that the caller's thread reads
        self._open = ExitStack()

    def __enter__(self) -> "BatchReader":
        self._replicas = [self._model.replica() for _ in range(self._workers.count)]
        if self._capacity and not self._processes:
            self._first = int(one_blas_thread())
            count = self._workers.count
            share = largest_share(self._capacity, count)
            shapes = reading_shapes(self._model, self._preprocessing, share)
            job = partial(_readings, self._model, self._preprocessing)
            processes = [ReadingProcess(job, shapes) for _ in range(count - self._first)]
            if start_all(self._open, processes):
                self._processes = processes
        return self

    def __exit__(self, *error: object) -> None:
        self._processes = ()
        self._open.close()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities (N, K) float64 of prepared images."""
        count = len(images)
        probabilities = np.empty((count, self._model.num_classes))
        if not count:
            return probabilities
        beside = self._processes and self._first
        least = MIN_SHARE_BESIDE if beside else MIN_SHARE
        shares = even_slices(count, min(self._workers.count, -(-count // least)))
        pairs = [(images[share], probabilities[share]) for share in shares]
        first = self._first if self._processes and count <= self._capacity else len(pairs)
        busy = list(zip(self._processes, pairs[first:], strict=False))
        for process, (given, _) in busy:
            process.begin_read(given)
        self._workers.run([partial(self._read, i, *pair) for i, pair in enumerate(pairs[:first])])
        for process, (_, wanted) in busy:
            process.finish_read(wanted)
        return probabilities

    def _read(self, worker: int, images: np.ndarray, probabilities: np.ndarray) -> None:
        key = worker, piece_size(self._model.ops, len(images))
        if key not in self._passes:
            how = self._replicas[worker], self._preprocessing, key[1], self._frozen
            self._passes[key] = ForwardPass(*how)
        self._passes[key].read_all(images, probabilities)


class ReadingProcess(WorkerProcess):
    """Another process that reads as many images at once as its shared arrays have room for."""

    def begin_read(self, images: np.ndarray) -> None:
        """Start to read prepared images."""
        self.arrays["images"][: len(images)] = images
        self.begin(-len(images))

    def finish_read(self, probabilities: np.ndarray) -> None:
        """Wait for the probabilities (N, K) and write them; WorkerFailed if it failed."""
        self.finish()
        probabilities[...] = self.arrays["probabilities"][: len(probabilities)]


def reading_shapes(model: Sequential, preprocessing: Preprocessing, count: int) -> dict[str, Any]:
    """The arrays that a `ReadingProcess` shares, for up to `count` images."""
    return {
        "images": ((count, *preprocessing.shape), np.uint8),
        "probabilities": ((count, model.num_classes), np.float64),
    }


def _readings(model: Sequential, preprocessing: Preprocessing, arrays: Arrays) -> Serve:
    """What a `ReadingProcess` does for minus a number of images, with the values it began with."""
    passes: dict[int, ForwardPass] = {}

    def serve(count: int) -> None:
        images = arrays["images"][:-count]
        size = piece_size(model.ops, len(images))
        if size not in passes:
            passes[size] = ForwardPass(model.replica(), preprocessing, size)
        passes[size].read_all(images, arrays["probabilities"])

    return serve


def read_in_pieces(
    model: Sequential, preprocessing: Preprocessing, images: np.ndarray, probabilities: np.ndarray
) -> None:
    """Write probabilities, (N, K) float64 or more rows, of images, with the parameters of now."""
    with np.errstate(over="ignore", invalid="ignore"):
        count = piece_size(model.ops, len(images))
        ForwardPass(model, preprocessing, count).read_all(images, probabilities)


class ForwardPass:
    """The captured forward pass for up to `count` images: every call reuses its arrays.

    One thread may call it at a time. frozen: whether it reads with the model's parameters of now.
    """

    def __init__(
        self, model: Sequential, preprocessing: Preprocessing, count: int = 1, frozen: bool = True
    ):
        self._ops = ops = model.ops
        self._images = np.zeros((count, *preprocessing.shape), np.uint8)
        given = self._images, *preprocessing.scale_and_shift()
        self._read = model.capture(
            lambda: ops.softmax(model.forward(ops.image_batch(*given))), frozen=frozen
        )

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities (N, K) of prepared images, N up to `count`."""
        np.copyto(self._images[: len(images)], images)
        return self._ops.to_host(self._read()).T[: len(images)]

    def read_all(self, images: np.ndarray, probabilities: np.ndarray) -> None:
        """Write the probabilities (N, K) of any number of images, read in pieces of `count`."""
        step = len(self._images)
        for start in range(0, len(images), step):
            piece = images[start : start + step]
            probabilities[start : start + len(piece)] = self(piece)


def feature_maps(
    model: Sequential, image: np.ndarray, preprocessing: Preprocessing
) -> dict[str, np.ndarray]:
    """Those outputs of `trace` that are maps, for an image (S, S) uint8: name -> (maps, H, W)."""
    ops = model.ops
    outputs = model.trace(ops.image_batch(image[None], *preprocessing.scale_and_shift()))
    return {name: ops.to_host(y)[..., 0] for name, y in outputs.items() if len(y.shape) == 4}


def input_gradient(
    model: Sequential, images: np.ndarray, preprocessing: Preprocessing, classes: Any = None
) -> np.ndarray:
    """The gradient (N, C, S, S) of a class's logit with respect to the network's input.

    images: (N, S, S) or (N, S, S, 3) uint8, as `Preprocessing.apply` gives them. classes: a number
    or (N,), by default those read. ValueError for what does not fit. Source: Simonyan et al. 2014.
    """
    if images.dtype != np.uint8 or images.ndim < 3:
        raise ValueError(f"images must be (N, S, S[, 3]) uint8, not {images.dtype} {images.shape}")
    twin, scaling = model.replica(), preprocessing.scale_and_shift()
    twin.layers[0].input_gradient = True
    ops, count = twin.ops, twin.num_classes
    if classes is not None:
        classes = check_labels(np.broadcast_to(classes, len(images)), count)
    result = np.empty((len(images), *twin.input_shape), ops.dtype_name)
    for start in range(0, len(images), ops.images_per_piece):
        piece = slice(start, start + ops.images_per_piece)
        logits = ops.to_host(twin.forward(ops.image_batch(images[piece], *scaling)))
        chosen = logits.argmax(axis=0) if classes is None else classes[piece]
        dx = twin.backward(ops.asarray(np.arange(count)[:, None] == chosen))
        result[piece] = np.moveaxis(ops.to_host(dx), -1, 0)
    return result


def worker_count(ops: Ops, threads: int | None) -> int:
    """The threads for a backend: `threads` or all cores, if it uses any; ValueError below 1."""
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, or None for all cores, not {threads}")
    return (threads or usable_cores()) if ops.uses_cores else 1


def largest_share(count: int, workers: int) -> int:
    """The most images that a share of at most `count` images can hold."""
    return max(-(-count // workers), min(count, MIN_SHARE))


def piece_size(ops: Ops, count: int) -> int:
    """The number of images in each of the equal pieces that suit the device, for `count` images."""
    return -(-count // -(-count // ops.images_per_piece))
