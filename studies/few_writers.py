"""Measure accuracy over the number of training writers, with and without generated letters first.

Training starts from random weights and from a model of generated letters. The test writers are
those of fold 0.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.commands.terminal import parser, run, whole_number
from lenet_xp.data.dataset import Dataset
from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import Split, make_split
from lenet_xp.data.writers import writers_of
from lenet_xp.inference import predict_probabilities
from lenet_xp.model import LeNet5
from lenet_xp.model_file import SavedModel, load_model
from lenet_xp.ops import Ops, get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.scores.summary import Scores, summarise
from lenet_xp.system.environment import git_commit, versions
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.training.loop import fit
from lenet_xp.training.plan import MAX_THREADS
from lenet_xp.training.recipes import BEST, Recipe
from studies.plots.few_writers import few_writers

EXAMPLES = """\
  lenet-xp train --recipe best --samples 800 --out runs/best-synthetic
  python -m studies.few_writers --data amhcd_64.zip --model runs/best-synthetic/model.npz
      a model of generated letters, then the curve in results/few-writers"""

COUNTS = (5, 10, 20, 42)  # training writers: 42 are all that the fold has
FOLD = 0
# A quarter of the recipe's learning rate, for these weights have learned already.
FINE_TUNING = replace(BEST, name="best, tuned", learning_rate=1e-3)
VALIDATION_SHARE = 1 / 7  # of a row's writers


def learning_curve(
    dataset: Dataset,
    writers: np.ndarray,
    split: Split,
    pretrained: SavedModel,
    counts: tuple[int, ...],
    ops: Ops,
    seed: int = 0,
    threads: int | None = None,
    log: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Return a row of scores for each number of training writers and each start.

    dataset: preprocessed as `pretrained` asks. writers: (N,), the writer of each image. counts:
    numbers of training writers of the split. log: is called with a line after each training.
    A row has `writers`, `images`, `start` ("nothing" or "generated letters") and the scores of
    `summarise` on the test writers of the split. About a seventh of a row's writers, at least one,
    are its validation set, which chooses the epoch. The first row, of 0 writers, is the pretrained
    model as it is.
    """
    order = np.random.default_rng(seed).permutation(np.unique(writers[split.train]))
    test = dataset.images[split.test], dataset.labels[split.test], writers[split.test]
    first = {"writers": 0, "images": 0, "start": "generated letters"}
    rows = [_scores(pretrained, *test) | first]
    for count in counts:
        chosen = order[:count]
        validating = max(round(count * VALIDATION_SHARE), 1)
        val, train = (
            np.flatnonzero(np.isin(writers, part))
            for part in (chosen[:validating], chosen[validating:])
        )
        for start, recipe in (("nothing", BEST), ("generated letters", FINE_TUNING)):
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
            rows.append(_scores(saved, *test) | row)  # row last: its writers are the training ones
            log(f"{count} writers, from {start}: {rows[-1]['accuracy']:.2%}")
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


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser("python -m studies.few_writers", __doc__, EXAMPLES)
    p.add_argument("--data", required=True, metavar="AMHCD", help="the AMHCD zip or folder")
    p.add_argument(
        "--model",
        required=True,
        type=Path,
        metavar="FILE",
        help="a model of generated letters: a run's model.npz",
    )
    p.add_argument(
        "--threads",
        type=whole_number(1, MAX_THREADS),
        metavar="N",
        help="cores to use (default: all)",
    )
    p.add_argument(
        "--out",
        type=Path,
        default=Path("results/few-writers"),
        metavar="FOLDER",
        help="(default: results/few-writers)",
    )
    options = p.parse_args(arguments)
    ops = get_ops("numpy")
    pretrained = load_model(options.model, ops)
    dataset = load_dataset(options.data, pretrained.preprocessing)
    split, writers = make_split(dataset, "writer", FOLD), writers_of(dataset)
    rows = learning_curve(
        dataset, writers, split, pretrained, COUNTS, ops, threads=options.threads, log=_print_now
    )
    folder = make_folder(options.out)
    record = {"recipes": [BEST.to_dict(), FINE_TUNING.to_dict()], "split": "writer", "fold": FOLD}
    record |= {"seed": 0, "versions": versions(), "git_commit": git_commit(), "rows": rows}
    write_json(folder / "few_writers.json", record)
    few_writers(rows, folder / "few_writers.png")


def _print_now(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
