"""Images in, class probabilities out, on the host: forward passes that are captured once."""

from contextlib import ExitStack
from functools import partial

import numpy as np

from lenet_xp.model import LeNet5, Sequential
from lenet_xp.ops import Ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.workers import (
    WorkerProcess,
    WorkerThreads,
    can_fork,
    even_slices,
    shared_zeros,
    usable_cores,
)

MIN_SHARE = 32  # images: smaller shares cost more to hand to a worker than they save
MIN_FORKED = 4096  # images: from here on processes save more time than they take to start


def predict_probabilities(
    model: LeNet5, images: np.ndarray, preprocessing: Preprocessing, threads: int | None = None
) -> np.ndarray:
    """Class probabilities (N, K) float64 of preprocessed images (N, S, S) uint8.

    threads: how many cores to use on a CPU, by default all that the process may.
    """
    quiet = np.errstate(over="ignore", invalid="ignore")  # of weights that ran away
    with quiet, WorkerThreads(worker_count(model.ops, threads)) as workers:
        capacity = len(images) if len(images) >= MIN_FORKED else 0
        with BatchReader(model, preprocessing, workers, capacity) as read:
            return read(images)


class BatchReader:
    """A context manager that reads any number of images on workers that stand ready.

    capacity: where the system forks, processes read calls of up to so many images, threads larger
    ones. frozen: whether it reads with the parameters that the model has when the context is
    entered; otherwise only threads read, with the parameters that the model has at each call.
    """

    def __init__(
        self,
        model: LeNet5,
        preprocessing: Preprocessing,
        workers: WorkerThreads,
        capacity: int = 0,
        frozen: bool = True,
    ):
        self._model, self._preprocessing, self._workers = model, preprocessing, workers
        self._frozen = frozen
        self._capacity = capacity if frozen and can_fork() and workers.count > 1 else 0
        self._passes: dict[tuple[int, int], ForwardPass] = {}
        self._forked: list[WorkerProcess] = []
        self._open = ExitStack()

    def __enter__(self) -> "BatchReader":
        self._replicas = [self._model.replica() for _ in range(self._workers.count)]
        if self._capacity:
            size, classes = self._preprocessing.size, self._model.config["num_classes"]
            self._images = shared_zeros((self._capacity, size, size), np.uint8)
            self._probabilities = shared_zeros((self._capacity, classes), np.float64)
            for worker in range(1, self._workers.count):
                serve = partial(self._serve, worker)
                self._forked.append(self._open.enter_context(WorkerProcess(serve)))
        return self

    def __exit__(self, *error: object) -> None:
        self._forked.clear()
        self._open.close()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities (N, K) float64 of preprocessed images (N, S, S) uint8."""
        count = len(images)
        probabilities = np.empty((count, self._model.config["num_classes"]))
        shares = self._shares(count)
        if not shares:
            return probabilities
        if len(shares) > 1 and count <= self._capacity:
            self._images[:count] = images
            busy = self._forked[: len(shares) - 1]
            for forked in busy:
                forked.begin(count)
            self._read(0, images[shares[0]], probabilities[shares[0]])
            for forked in busy:
                forked.finish()
            others = slice(shares[0].stop, count)
            probabilities[others] = self._probabilities[others]
        else:
            pairs = [(images[share], probabilities[share]) for share in shares]
            self._workers.run([partial(self._read, i, *pair) for i, pair in enumerate(pairs)])
        return probabilities

    def _shares(self, count: int) -> list[slice]:
        return even_slices(count, min(self._workers.count, -(-count // MIN_SHARE))) if count else []

    def _serve(self, worker: int, count: int) -> None:
        share = self._shares(count)[worker]
        self._read(worker, self._images[share], self._probabilities[share])

    def _read(self, worker: int, images: np.ndarray, probabilities: np.ndarray) -> None:
        count = piece_size(self._model.ops, len(images))
        if (worker, count) not in self._passes:
            how = (self._replicas[worker], self._preprocessing, count, self._frozen)
            self._passes[worker, count] = ForwardPass(*how)
        for start in range(0, len(images), count):
            piece = slice(start, start + count)
            probabilities[piece] = self._passes[worker, count](images[piece])


class ForwardPass:
    """The captured forward pass for up to `count` images: every call reuses its arrays.

    One thread may call it at a time. frozen: whether it reads with the parameters that the model
    has now; otherwise with those it has at each call.
    """

    def __init__(
        self, model: LeNet5, preprocessing: Preprocessing, count: int = 1, frozen: bool = True
    ):
        ops, size = model.ops, preprocessing.size
        self._images = np.zeros((count, size, size), np.uint8)
        scale, shift = preprocessing.scale_and_shift()
        self._ops = ops
        self._read = ops.capture(
            lambda: ops.softmax(model.forward(ops.image_batch(self._images, scale, shift))),
            frozen=frozen,
        )

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities (N, K) of preprocessed images (N, S, S) uint8, N up to `count`."""
        np.copyto(self._images[: len(images)], images)
        return self._ops.to_host(self._read()).T[: len(images)]


def feature_maps(
    model: Sequential, image: np.ndarray, preprocessing: Preprocessing
) -> dict[str, np.ndarray]:
    """The outputs of C1, S2, C3 and S4 for an image (S, S) uint8: name -> (maps, H, W)."""
    ops = model.ops
    outputs = model.trace(ops.image_batch(image[None], *preprocessing.scale_and_shift()))
    return {name: ops.to_host(outputs[name])[..., 0] for name in ("C1", "S2", "C3", "S4")}


def worker_count(ops: Ops, threads: int | None) -> int:
    """The number of threads for a backend: `threads`, or all cores, if it uses cores; else one."""
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads!r}")
    return (threads or usable_cores()) if ops.uses_cores else 1


def piece_size(ops: Ops, count: int) -> int:
    """The number of images in each of the equal pieces that suit the device, for `count` images."""
    return -(-count // -(-count // ops.images_per_piece))
