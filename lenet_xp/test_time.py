"""Test-time averaging: the mean of what is said of an image read several times, slightly changed.

It costs as many readings and is no score of a single network: what it gives is always told apart.
"""

import numpy as np

from lenet_xp.data.augment import Distortion
from lenet_xp.data.preprocess import Preprocessing
from lenet_xp.inference import predict_probabilities
from lenet_xp.model import LeNet5

# Half of what `best` trains with: a letter as the same hand might write it again.
AGAIN = Distortion(rotation=3.5, shear=0.06, scale=0.04, shift=0.6, elastic=0.45)


def averaged_probabilities(
    model: LeNet5,
    images: np.ndarray,
    preprocessing: Preprocessing,
    views: int,
    seed: int = 0,
    threads: int | None = None,
) -> np.ndarray:
    """The mean class probabilities (N, K) float64 over `views` of images (N, S, S) uint8.

    The first view is the image as it is, the others are distorted as AGAIN says, drawn from `seed`.
    Raises ValueError for fewer than one view.
    """
    if views < 1:
        raise ValueError(f"an image is read at least once, not {views} times")
    rng = np.random.default_rng(seed)
    total = predict_probabilities(model, images, preprocessing, threads)
    for _ in range(views - 1):
        view = AGAIN.apply(images, AGAIN.draw(rng, len(images)))
        total += predict_probabilities(model, view, preprocessing, threads)
    total /= views
    return total
