"""What a network says about images: probabilities on the host."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from lenet_xp.data.preprocess import Preprocessing
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.parallel import ON_CORE, Workers, parts, pieces, worker_count


def predict_probabilities(
    model: LeNet5, images: np.ndarray, preprocessing: Preprocessing, threads: int | None = None
) -> np.ndarray:
    """Class probabilities (N, K) float64 of preprocessed images (N, S, S) uint8.

    threads: how many cores to use on a CPU, by default all that the process may.
    """
    quiet = np.errstate(over="ignore", invalid="ignore")  # of weights that ran away
    with quiet, Workers(worker_count(model.ops, threads)) as workers:
        replicas = [model, *(model.replica() for _ in range(workers.count - 1))]
        return predict_with(workers, replicas, images, preprocessing)


def predict_with(
    workers: Workers, replicas: Sequence[LeNet5], images: np.ndarray, preprocessing: Preprocessing
) -> np.ndarray:
    """As `predict_probabilities`, on workers that stand ready, a replica for each."""
    probabilities = np.empty((len(images), replicas[0].config["num_classes"]))

    def read(model: LeNet5, share: slice) -> None:
        for piece in pieces(model.ops, share):
            with model.ops.step():
                x = model.ops.image_batch(images[piece], *preprocessing.scale_and_shift())
                p = model.ops.softmax(model.forward(x))
                probabilities[piece] = model.ops.to_host(p).T

    if len(images):
        # A share of fewer images costs more to hand over than it saves.
        shares = parts(len(images), min(workers.count, -(-len(images) // ON_CORE)))
        workers.run([partial(read, *job) for job in zip(replicas, shares, strict=False)])
    return probabilities


class SingleReader:
    """Reads one image at a time, as soon as it can: all arrays are made beforehand.

    It reads with the parameters that the model has now: after more training, make another.
    """

    def __init__(self, model: LeNet5, preprocessing: Preprocessing):
        ops, size = model.ops, preprocessing.size
        self._pixels = np.zeros((1, size, size), np.uint8)
        scale, shift = preprocessing.scale_and_shift()
        self._ops = ops
        self._read = ops.capture(
            lambda: ops.softmax(model.forward(ops.image_batch(self._pixels, scale, shift)))
        )

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Class probabilities (K,) of a preprocessed image (S, S) uint8."""
        np.copyto(self._pixels[0], image)
        return self._ops.to_host(self._read())[:, 0]


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
