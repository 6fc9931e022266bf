"""What a network says about images: probabilities on the host."""

import numpy as np

from lenet_xp.data.batches import to_network
from lenet_xp.data.preprocess import Preprocessing
from lenet_xp.model import Sequential

BATCH = 256


def predict_probabilities(
    model: Sequential, images: np.ndarray, preprocessing: Preprocessing
) -> np.ndarray:
    """Class probabilities (N, K) float64 of preprocessed images (N, S, S) uint8."""
    ops = model.ops
    outputs = []
    for start in range(0, len(images), BATCH):
        with ops.step():
            x = ops.asarray(to_network(images[start : start + BATCH], preprocessing))
            outputs.append(ops.to_host(ops.softmax(model.forward(x))).T)
    if not outputs:
        return np.zeros((0, model.shapes[-1][0]))
    return np.concatenate(outputs).astype(np.float64)


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log p of the labels; probabilities that underflowed to 0 count as 1e-30."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-30)).mean())


def feature_maps(
    model: Sequential, image: np.ndarray, preprocessing: Preprocessing
) -> dict[str, np.ndarray]:
    """What C1, S2, C3 and S4 make of an image (S, S) uint8: name -> (maps, H, W)."""
    ops = model.ops
    outputs = model.trace(ops.asarray(to_network(image[None], preprocessing)))
    return {name: ops.to_host(outputs[name])[..., 0] for name in ("C1", "S2", "C3", "S4")}
