"""The options that are tried, in combinations that separate their effects."""

from collections.abc import Collection
from itertools import product

import numpy as np

from lenet_xp.training.recipes import Recipe

# name: the fields of the present recipe that the option changes
OPTIONS: dict[str, dict[str, float]] = {
    "100 epochs": {"epochs": 100},
    "weight decay 0.1": {"weight_decay": 0.1},
    "learning rate 8e-3": {"learning_rate": 8e-3},
}


def combinations() -> np.ndarray:
    """Return which of the three options are on in each of 8 runs: (8, 3) bool, first none.

    These are all combinations. Every option is on in half of the runs, and every other option in
    half of those. The difference of two means of four runs is therefore the effect of one option,
    whatever the others do.
    """
    return np.array(list(product((False, True), repeat=3)))


def with_options(present: Recipe, chosen: Collection[str]) -> Recipe:
    """Return the recipe with the options of these names."""
    changes = {name: value for option in chosen for name, value in OPTIONS[option].items()}
    return present.with_options(**changes)
