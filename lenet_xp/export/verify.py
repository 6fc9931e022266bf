"""Whether an exported file says what the model says, on images of both kinds it will meet."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lenet_xp.data.preprocess import Preprocessing
from lenet_xp.data.synthetic import generate
from lenet_xp.errors import InputError
from lenet_xp.export.description import describe
from lenet_xp.model_file import SavedModel
from lenet_xp.ops import get_ops

TOLERANCE = 1e-5  # of probabilities; of logits, relative to the largest where that exceeds 1
BATCHES = (1, 7, 64)  # images at once, then all that are left


@dataclass(frozen=True)
class Opened:
    """What an exported file has to say, by itself.

    description: its texts. read: logits (N, K) and probabilities (N, K), temperature applied, of
    images (N, S, S) uint8.
    """

    description: dict[str, str]
    read: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def verify(saved: SavedModel, opened: Opened) -> float:
    """The largest difference of probabilities between the file and the model, in float64.

    Raises InputError where a difference exceeds TOLERANCE or is no number, and where the file's
    description is not the model's.
    """
    if opened.description != describe(saved):
        raise InputError("its description is not the model's")
    images = trial_images(saved.preprocessing)
    with np.errstate(over="ignore", invalid="ignore"):  # of weights that ran away
        desired = exact(saved, images)
        found = [opened.read(part) for part in np.split(images, np.cumsum(BATCHES))]
        actual = [np.concatenate(parts) for parts in zip(*found, strict=True)]
        gaps = [_gap(*pair) for pair in zip(actual, desired, strict=True)]
        gaps[0] /= max(1.0, float(np.abs(desired[0]).max()))
    for what, gap in zip(("logits", "probabilities"), gaps, strict=True):
        if not gap <= TOLERANCE:  # NaN too
            raise InputError(f"its {what} are off by {gap:.2g} from the model's")
    return gaps[1]


def trial_images(preprocessing: Preprocessing) -> np.ndarray:
    """Noise, nothing, everything, and a generated sample of each letter: (N, S, S) uint8."""
    size = preprocessing.size
    noise = np.random.default_rng(0).integers(0, 256, (80, size, size), dtype=np.uint8)
    noise[0], noise[1] = 0, 255
    return np.concatenate([noise, preprocessing.apply_all(generate(1)[0])])


def exact(saved: SavedModel, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, K) and probabilities (N, K) of the model, computed in float64 on NumPy."""
    ops, model = get_ops("numpy", "float64"), saved.model
    values = ops.asarray(model.ops.to_host(model.values))
    twin = type(model)(**model.config, ops=ops, values=values)
    x = ops.image_batch(images, *saved.preprocessing.scale_and_shift())
    logits = ops.to_host(twin.forward(x)).T
    return logits, replace(saved, model=twin).probabilities(images, threads=1)


def _gap(actual: np.ndarray, desired: np.ndarray) -> float:
    if actual.shape != desired.shape:
        return float("inf")
    return float(np.abs(actual.astype(np.float64) - desired).max())
