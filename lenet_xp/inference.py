"""What a network says about images: probabilities on the host."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from lenet_xp.data.preprocess import Preprocessing
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.parallel import Workers, parts, worker_count

BATCH = 64  # of each thread: large enough to hide the calls, small enough for its cache


def predict_probabilities(
    model: LeNet5, images: np.ndarray, preprocessing: Preprocessing, threads: int | None = None
) -> np.ndarray:
    """Class probabilities (N, K) float64 of preprocessed images (N, S, S) uint8.

    threads: how many cores to use on a CPU, by default all that the process may.
    """
    with Workers(worker_count(model.ops, threads)) as workers:
        replicas = [model, *(model.replica() for _ in range(workers.count - 1))]
        return predict_with(workers, replicas, images, preprocessing)


def predict_with(
    workers: Workers, replicas: Sequence[LeNet5], images: np.ndarray, preprocessing: Preprocessing
) -> np.ndarray:
    """As `predict_probabilities`, on workers that stand ready, a replica for each."""
    probabilities = np.empty((len(images), replicas[0].config["num_classes"]))

    def read(model: LeNet5, share: slice) -> None:
        for start in range(share.start, share.stop, BATCH):
            batch = slice(start, min(start + BATCH, share.stop))
            with model.ops.step():
                x = model.ops.image_batch(images[batch], *preprocessing.scale_and_shift())
                p = model.ops.softmax(model.forward(x))
                probabilities[batch] = model.ops.to_host(p).T

    if len(images):
        shares = parts(len(images), workers.count)
        workers.run([partial(read, *job) for job in zip(replicas, shares, strict=False)])
    return probabilities


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log p of the labels; probabilities that underflowed to 0 count as 1e-30."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-30)).mean())


def feature_maps(
    model: Sequential, image: np.ndarray, preprocessing: Preprocessing
) -> dict[str, np.ndarray]:
    """What C1, S2, C3 and S4 make of an image (S, S) uint8: name -> (maps, H, W)."""
    ops = model.ops
    outputs = model.trace(ops.image_batch(image[None], *preprocessing.scale_and_shift()))
    return {name: ops.to_host(outputs[name])[..., 0] for name in ("C1", "S2", "C3", "S4")}
