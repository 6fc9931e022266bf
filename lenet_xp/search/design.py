"""What is tried: options of a recipe, in combinations that tell their effects apart."""

from collections.abc import Collection
from dataclasses import fields, replace
from typing import Any

import numpy as np

from lenet_xp.data.augment import Distortion
from lenet_xp.recipes import Recipe

# Each is a change to the present recipe, off or on: fields of the recipe, or of its distortion.
OPTIONS: dict[str, dict[str, float]] = {
    "learning rate 8e-3": {"learning_rate": 8e-3},
    "100 epochs": {"epochs": 100},
    "weight decay 0.1": {"weight_decay": 0.1},
    "running mean of weights": {"averaging": 0.999},
    "label smoothing 0.05": {"label_smoothing": 0.05},
    "affine, a quarter stronger": {"rotation": 8.75, "shear": 0.15, "scale": 0.1, "shift": 1.5},
    "elastic, a third stronger": {"elastic": 1.2},
    "pen 0.2 pixels": {"pen": 0.2},
}


def combinations() -> np.ndarray:
    """Which of the eight options are on in each of 16 runs: (16, 8) bool, first none.

    The fractional factorial 2^(8-4) of resolution IV (Box & Hunter 1961): four columns run through
    all combinations and the others are products of three of them. Every option is on in half of
    the runs, with every other option on in half of those, so that the difference of two means of
    eight is the effect of one option, whatever the others do, and no pair of them mimics it.
    """
    a, b, c, d = (1 - 2 * (np.arange(16) >> bit & 1) for bit in (3, 2, 1, 0))
    signs = np.stack([a, b, c, d, b * c * d, a * c * d, a * b * c, a * b * d], axis=1)
    return signs < 0


def with_options(present: Recipe, chosen: Collection[str]) -> Recipe:
    """The recipe with the options of these names."""
    changes = {name: value for option in chosen for name, value in OPTIONS[option].items()}
    of_distortion = {field.name for field in fields(Distortion)}
    bent: dict[str, Any] = {n: value for n, value in changes.items() if n in of_distortion}
    distortion = replace(present.distortion or Distortion(), **bent) if bent else present.distortion
    rest = {name: value for name, value in changes.items() if name not in of_distortion}
    return present.with_options(distortion=distortion, **rest)
