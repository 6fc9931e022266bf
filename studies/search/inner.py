"""The inner splits of the search: training, validation and unseen writers."""

from dataclasses import dataclass

import numpy as np

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.splits import FOLDS, image_groups, make_split
from lenet_xp.model import LeNet5
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.training.loop import fit
from lenet_xp.training.recipes import Recipe

TEST_FOLDS = FOLDS["writer"]


@dataclass(frozen=True)
class Inner:
    """One inner split.

    unseen: outer folds of which no image is used. validating: the outer fold of the validation
    writers. train, val: places of images.
    """

    unseen: tuple[int, ...]
    validating: int
    train: np.ndarray
    val: np.ndarray


def inner_splits(dataset: Dataset) -> list[Inner]:
    """Return five splits, each with two folds of training writers and one of validation writers.

    Each leaves out two folds, so that every outer fold is unseen in two splits.
    """
    after = [tuple((fold + step) % TEST_FOLDS for step in (1, 2)) for fold in range(TEST_FOLDS)]
    return [_inner(dataset, unseen, fold) for fold, unseen in enumerate(after)]


def _inner(dataset: Dataset, unseen: tuple[int, ...], validating: int) -> Inner:
    """The split with these folds; it also leaves out the test images of the split `seed`.

    That split has every writer on both sides, so its test images would otherwise choose the recipe
    that they test.
    """
    folds = np.empty(len(dataset), np.int64)
    for fold in range(TEST_FOLDS):
        folds[make_split(dataset, "writer", fold).test] = fold
    groups = image_groups(dataset.images)
    allowed = ~np.isin(groups, groups[make_split(dataset, "seed").test])
    val = allowed & (folds == validating)
    train = allowed & (folds != validating) & ~np.isin(folds, unseen)
    return Inner(unseen, validating, np.flatnonzero(train), np.flatnonzero(val))


def score(dataset: Dataset, inner: Inner, recipe: Recipe, seed: int) -> dict[str, float]:
    """Train on one core and return the validation scores of the last epoch's weights.

    The best epoch would be chosen on the validation images, which would flatter their scores.
    """
    model = LeNet5(
        len(dataset.class_names),
        activation=recipe.activation,
        squash_pools=recipe.squash_pools,
        seed=seed,
        ops=get_ops("numpy"),
    )
    train, val = ((dataset.images[part], dataset.labels[part]) for part in (inner.train, inner.val))
    preprocessing = Preprocessing().fitted(train[0])
    result = fit(model, recipe, train, val, preprocessing, seed, threads=1)
    last = result.history[-1]
    return {
        "accuracy": last["val_accuracy"],
        "loss": last["val_loss"],
        "train_accuracy": last["train_accuracy"],
        "seconds": result.train_seconds,
    }
