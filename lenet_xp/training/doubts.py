"""Doubtful labels: how networks that have not learned from a data set's images read them."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.data.dataset import Dataset, check_class_names
from lenet_xp.data.splits import FOLDS, digests, honest_split, make_split
from lenet_xp.data.writers import known_writers
from lenet_xp.errors import InputError
from lenet_xp.model import Sequential
from lenet_xp.model_file import MODELS, SavedModel
from lenet_xp.scores.summary import Scores
from lenet_xp.training.loop import fit
from lenet_xp.training.recipes import Recipe
from lenet_xp.training.start import read_start

SKETCHED = 200  # digests: where 2 % of the images learned from stand, so does one of these
LEAST = 300  # images of an epoch: fewer do not teach a new class to a model to start from
MODEL, NONE = "model", "none of these"  # a judge, a reading


def sketch(images: np.ndarray) -> set[str]:
    """The lowest digests of what a model learns from, for its notes: a random sample of the images.

    It does not depend on their files, order and labels. Source: Broder 1997, MinHash.
    """
    return set(sorted(set(digests(images)))[:SKETCHED])


def learned_by(notes: Mapping[str, Any]) -> set[str]:
    """The digests of images that a model learned from, by its notes; none where they tell none."""
    return set(str(notes.get("learned", "")).split())


def judged(
    dataset: Dataset, saved: SavedModel, epochs: int | None, tell: Callable[[str], None]
) -> tuple[Scores, np.ndarray]:
    """How each image is read by a network that has not learned from it, and this judge's name (N,).

    The model judges what is new to it. Each fold of the rest is judged by a network that its recipe
    trains on the other folds, without what lay beside and without teachers. Probabilities are at
    the temperature.
    Raises InputError for classes that it does not know and where none can be trained.
    """
    labels, images = check_class_names(saved.class_names, dataset), dataset.images
    by_writers = saved.notes.get("split") == "writer" and known_writers(dataset) is not None
    name, own = "writer" if by_writers else "kfold", _new_to(saved, dataset, by_writers)
    rows = np.empty((len(labels), len(saved.class_names) + 1))
    by = np.full(len(labels), MODEL, object)
    rows[own, :-1] = saved.probabilities(images[own])
    start = None if own.all() else _start(saved, images)
    for fold in range(0 if own.all() else FOLDS[name]):
        split = make_split(dataset, name, fold)
        if len(left := split.test[~own[split.test]]):
            by[left] = judge = f"{name} fold {fold}"
            sides = np.tile(split.train, -(-LEAST // len(split.train)) if start else 1), split.val
            train, val = ((images[side], labels[side]) for side in sides)
            fitted, names = saved.preprocessing, saved.class_names
            tell(f"{judge}: training on {len(split.train):,} other images")
            try:
                recipe = replace(Recipe.from_dict(saved.notes["recipe"]), teachers=0)
                recipe = recipe.with_options(epochs=epochs)
                fitted = fitted if start else recipe.fitted(fitted, train[0])
                model = recipe.make_network(len(names), saved.model.ops, class_names=names)
                best = fit(model, recipe, train, val, fitted, on_doubt=tell, start=start)
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    f"{saved.name}: it may have learned from these images, and no other can be "
                    f"trained as it was ({error}); give a model that is new to them"
                ) from error
            tell(f"{judge}: trained, validation accuracy {best.best_accuracy:.2%}")
            network = replace(saved, model=model, preprocessing=fitted)
            rows[left, :-1] = network.probabilities(images[left])
    rows[:, -1] = 1 - rows[:, :-1].sum(1)
    return Scores(labels, rows, (*saved.class_names, NONE)), by


def _start(saved: SavedModel, images: np.ndarray) -> Sequential | None:
    """The package's model that the model's training began from; None if it began from new weights.

    InputError where it began from any other model, or from one that has learned from the images.
    """
    if not (start := saved.notes.get("start")):
        return None
    for path in MODELS.values():
        found = read_start(path, saved.model.ops)
        if found.digest != start["sha256"]:
            continue
        if learned_by(found.saved.notes).isdisjoint(digests(images)):
            return found.saved.model
        raise InputError(
            f"{saved.name}: the model that it started from has learned from these images; give a "
            "model that is new to them"
        )
    raise InputError(
        f"{saved.name}: it may have learned from these images, and the model that it started from "
        f"is not there ({start['model']}); give a model that is new to them"
    )


def _new_to(saved: SavedModel, dataset: Dataset, by_writers: bool) -> np.ndarray:
    """Which images the model has not learned from, (N,) bool, by what stands among its notes.

    They are all where no digest of its sketch is met; without a sketch, where the data have another
    name and are not AMHCD. Else they are the test images of its split, if it can be made again.
    """
    notes, learned = saved.notes, learned_by(saved.notes)
    met, source = np.isin(digests(dataset.images), [*learned]), Path(str(notes.get("data")))
    same = by_writers or dataset.name in (source.name, source.stem)
    new = np.full(len(dataset), not (met.any() if learned else same))
    if not new.any() and notes.get("allow_overlap") is False:
        with suppress(InputError, LookupError, TypeError):  # of other data, of damaged notes
            test = honest_split(dataset, notes["split"], notes["fold"])[0].test
            new[test] = not met[test].any()
    return new
