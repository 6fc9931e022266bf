"""What a network says about images: probabilities on the host."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from lenet_xp.data.preprocess import Preprocessing
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.parallel import Workers, parts, piece_size, worker_count

FEW = 32  # images: a share of fewer costs more to hand over than it saves


def predict_probabilities(
    model: LeNet5, images: np.ndarray, preprocessing: Preprocessing, threads: int | None = None
) -> np.ndarray:
    """Class probabilities (N, K) float64 of preprocessed images (N, S, S) uint8.

    threads: how many cores to use on a CPU, by default all that the process may.
    """
    quiet = np.errstate(over="ignore", invalid="ignore")  # of weights that ran away
    with quiet, Workers(worker_count(model.ops, threads)) as workers:
        replicas = [model, *(model.replica() for _ in range(workers.count - 1))]
        return BatchReader(workers, replicas, preprocessing)(images)


class BatchReader:
    """Reads any number of images, on workers that stand ready, a replica of the model for each.

    It reads with the parameters that the model has now: after more training, make another.
    """

    def __init__(self, workers: Workers, replicas: Sequence[LeNet5], preprocessing: Preprocessing):
        self._workers, self._replicas, self._preprocessing = workers, replicas, preprocessing
        self._readers: dict[tuple[int, int], Reader] = {}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities (N, K) float64 of preprocessed images (N, S, S) uint8."""
        probabilities = np.empty((len(images), self._replicas[0].config["num_classes"]))
        if len(images):
            shares = parts(len(images), min(self._workers.count, -(-len(images) // FEW)))
            self._workers.run(
                [partial(self._read, i, images[s], probabilities[s]) for i, s in enumerate(shares)]
            )
        return probabilities

    def _read(self, worker: int, images: np.ndarray, probabilities: np.ndarray) -> None:
        count = piece_size(self._replicas[worker].ops, len(images))
        if (worker, count) not in self._readers:
            reader = Reader(self._replicas[worker], self._preprocessing, count)
            self._readers[worker, count] = reader
        for start in range(0, len(images), count):
            piece = slice(start, start + count)
            probabilities[piece] = self._readers[worker, count](images[piece])


class Reader:
    """Reads up to `count` images at a time, as soon as it can: all arrays are made beforehand.

    It reads with the parameters that the model has now: after more training, make another.
    """

    def __init__(self, model: LeNet5, preprocessing: Preprocessing, count: int = 1):
        ops, size = model.ops, preprocessing.size
        self._images = np.zeros((count, size, size), np.uint8)
        scale, shift = preprocessing.scale_and_shift()
        self._ops = ops
        self._read = ops.capture(
            lambda: ops.softmax(model.forward(ops.image_batch(self._images, scale, shift))),
            frozen=True,
        )

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities (N, K) of preprocessed images (N, S, S) uint8, N up to `count`."""
        np.copyto(self._images[: len(images)], images)
        return self._ops.to_host(self._read()).T[: len(images)]


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log p of the labels; probabilities that underflowed to 0 count as 1e-30."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(0.0 - np.log(np.maximum(chosen, 1e-30)).mean())


def feature_maps(
    model: Sequential, image: np.ndarray, preprocessing: Preprocessing
) -> dict[str, np.ndarray]:
    """What C1, S2, C3 and S4 make of an image (S, S) uint8: name -> (maps, H, W)."""
    ops = model.ops
    outputs = model.trace(ops.image_batch(image[None], *preprocessing.scale_and_shift()))
    return {name: ops.to_host(outputs[name])[..., 0] for name in ("C1", "S2", "C3", "S4")}
