"""How much a few writers teach, from nothing and after generated letters: a learning curve."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.splits import Split
from lenet_xp.inference import predict_probabilities
from lenet_xp.model import LeNet5
from lenet_xp.model_file import SavedModel
from lenet_xp.ops import Ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.scores.summary import Scores, summarise
from lenet_xp.training.loop import fit
from lenet_xp.training.recipes import BEST, Recipe

TUNING = replace(BEST, name="best, tuned", learning_rate=1e-3)  # a quarter: it has learned already


def learning_curve(
    dataset: Dataset,
    writers: np.ndarray,
    split: Split,
    pretrained: SavedModel,
    counts: tuple[int, ...],
    ops: Ops,
    seed: int = 0,
    threads: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Scores on the test writers of a split after training on so many of its training writers.

    dataset: preprocessed as `pretrained` asks. writers: (N,) of its images. Each row has `writers`,
    `images`, `start` ("nothing" or "generated letters") and what `summarise` says. Of the writers
    of a row about a seventh, at least one, choose the epoch: validation takes nothing from
    elsewhere. 0 writers are the pretrained model as it is.
    """
    order = np.random.default_rng(seed).permutation(np.unique(writers[split.train]))
    test = dataset.images[split.test], dataset.labels[split.test], writers[split.test]
    first = {"writers": 0, "images": 0, "start": "generated letters"}
    rows = [_scores(pretrained, *test) | first]
    for count in counts:
        chosen = order[:count]
        validating = max(round(count / 7), 1)
        val, train = (
            np.flatnonzero(np.isin(writers, part))
            for part in (chosen[:validating], chosen[validating:])
        )
        for start, recipe in (("nothing", BEST), ("generated letters", TUNING)):
            learned, validated = (
                (dataset.images[part], dataset.labels[part]) for part in (train, val)
            )
            model = _start(pretrained if start != "nothing" else None, dataset, recipe, ops, seed)
            preprocessing = pretrained.preprocessing
            if start == "nothing":
                preprocessing = Preprocessing().fitted(learned[0])
            fit(model, recipe, learned, validated, preprocessing, seed, threads)
            saved = SavedModel(model, preprocessing, dataset.class_names, {})
            row = {"writers": int(count), "images": len(train) + len(val), "start": start}
            rows.append(_scores(saved, *test) | row)  # whose writers are those learned from
            say(f"{count} writers, from {start}: {rows[-1]['accuracy']:.2%}")
    return rows


def _start(
    pretrained: SavedModel | None, dataset: Dataset, recipe: Recipe, ops: Ops, seed: int
) -> LeNet5:
    model = LeNet5(
        len(dataset.class_names),
        activation=recipe.activation,
        squash_pools=recipe.squash_pools,
        seed=seed,
        ops=ops,
    )
    if pretrained is not None:
        model.values[...] = ops.asarray(pretrained.model.ops.to_host(pretrained.model.values))
    return model


def _scores(
    saved: SavedModel, images: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> dict[str, Any]:
    probabilities = predict_probabilities(saved.model, images, saved.preprocessing)
    return summarise(Scores(labels, probabilities, saved.class_names, groups=groups))
