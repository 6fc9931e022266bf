"""Networks that are not LeNet-5: between them every layer, and shapes that LeNet-5 never has."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lenet_xp.layers import (
    AvgPool2D,
    Codes,
    Conv2D,
    Flatten,
    Layer,
    Linear,
    MapAffine,
    MaxPool2D,
    ReLU,
    Rubbish,
    ScaledTanh,
    Tanh,
)
from lenet_xp.model import Sequential
from lenet_xp.ops import Ops
from lenet_xp.pictures.preprocess import Preprocessing


class Kind(NamedTuple):
    """A network: its layers, newly made; the shape of one image; the number of classes."""

    layers: Callable[[], list[Layer]]
    shape: tuple[int, int, int]
    classes: int = 3
    rate: float = 0.1  # a learning rate at which it learns

    def on(self, ops: Ops | None = None, **options) -> Sequential:
        return Sequential(self.layers(), self.shape, ops, **options)

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing(size=self.shape[1], channels=self.shape[0], mean=0.25, std=0.3)

    def data(self, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Prepared images of noise, and labels that a bar or a colour tells, but for high ones."""
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 90, (count, *self.preprocessing.shape), dtype=np.uint8)
        labels = np.arange(count) % self.classes
        for image, label in zip(images, labels, strict=True):
            if image.ndim == 2:
                image[3 * (label % 4) : 3 * (label % 4) + 2] = 255
            else:
                image[..., label % 3] += 150
        return images, labels


def _padded() -> list[Layer]:
    return [
        *(Conv2D(1, 4, 3, padding=1), ReLU(), Conv2D(4, 5, 3, padding=1), ReLU(), AvgPool2D(2)),
        *(Flatten(), Linear(5 * 36, 3)),
    ]


def _max_pooled() -> list[Layer]:
    return [
        *(Conv2D(1, 4, 3), Tanh(), MaxPool2D(2), Conv2D(4, 6, 2), ScaledTanh(), MaxPool2D(2)),
        *(Flatten(), Linear(24, 8), ReLU(), Linear(8, 3)),
    ]


def _of_1998() -> list[Layer]:
    return [
        *(Conv2D(1, 3, 3), ScaledTanh(), AvgPool2D(2), MapAffine(3), ScaledTanh()),
        *(Conv2D(3, 4, 2, connections=[[0, 1], [1, 2], [0, 2], [0, 1, 2]]), ScaledTanh()),
        *(AvgPool2D(2), MapAffine(4), ScaledTanh(), Flatten(), Linear(16, 12), ScaledTanh()),
        Codes(12, 3),
    ]


KINDS = {
    "codes": Kind(_of_1998, (1, 12, 12), rate=0.01),
    "codes and rubbish": Kind(lambda: [*_of_1998(), Rubbish(1)], (1, 12, 12), rate=0.01),
    "a rubbish class": Kind(
        lambda: [Conv2D(1, 3, 3), Tanh(), AvgPool2D(2), Flatten(), Linear(75, 3), Rubbish()],
        (1, 12, 12),
    ),
    "3x3 with padding": Kind(_padded, (1, 12, 12)),
    "max pools": Kind(_max_pooled, (1, 12, 12)),
    "stride 2": Kind(
        lambda: [Conv2D(1, 4, 5, stride=2, padding=2), ReLU(), Flatten(), Linear(144, 3)],
        (1, 12, 12),
    ),
    "three channels": Kind(
        lambda: [Conv2D(3, 4, 3), ReLU(), AvgPool2D(2), Flatten(), Linear(100, 3)], (3, 12, 12)
    ),
    "no activation": Kind(
        lambda: [Conv2D(1, 4, (5, 3)), AvgPool2D(2), Flatten(), Linear(80, 3)], (1, 12, 12)
    ),
    "two classes": Kind(
        lambda: [Flatten(), Linear(144, 8), Tanh(), Linear(8, 2)], (1, 12, 12), classes=2
    ),
    "1,000 classes": Kind(
        lambda: [Conv2D(1, 2, 5, stride=3), ReLU(), Flatten(), Linear(18, 1000)],
        (1, 12, 12),
        classes=1000,
    ),
}
