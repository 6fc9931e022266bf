"""Choose on validation writers how to teach a network: by labels or by teachers.

Each with and without generated letters beside AMHCD, which the teachers see, too.

Every way is trained on folds 1 and 3 of the split by writer, without their test writers, and on
inner folds of training writers. Errors are counted by the fold in which a writer is judged later.
So each of the five folds has a choice that is blind to its writers.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from lenet_xp.commands.terminal import add_data_option, parser, run, whole_number
from lenet_xp.data.dataset import Dataset
from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import FOLDS, Split, make_split
from lenet_xp.inference import predict_probabilities
from lenet_xp.model import Sequential
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import make_folder, write_json, write_text
from lenet_xp.system.text import text_table
from lenet_xp.training.distilled import SEEDS
from lenet_xp.training.loop import LabelledImages, fit
from lenet_xp.training.plan import MAX_THREADS
from lenet_xp.training.recipes import BEST, DISTILLED
from studies.search.inner import Inner, inner_splits

GENERATED = 300  # letters of each class beside AMHCD
PATIENT = 200  # epochs: a student may need more than its teachers (Beyer et al. 2022)
OUTER, INNER = (1, 3), (0, 2)  # folds by writer; inner folds
SEEN = (
    "The folds 0, 2 and 4, their test writers too, were looked at once while these ways were "
    "thought of: the errors of each way were counted there."
)
EXAMPLES = """\
  python -m studies.distillation --data amhcd_64.zip --out results/distillation --work /tmp/taught
      all ways on all splits; the same command goes on where it was stopped"""


@dataclass(frozen=True)
class Way:
    """How a network is taught.

    generated: whether it sees generated letters, too. teachers: the way of its five teachers.
    epochs: by default those of `best`.
    """

    name: str
    generated: bool = False
    teachers: "Way | None" = None
    epochs: int = BEST.epochs


LABELS = Way("best")
BESIDE = Way("best, generated letters beside", generated=True)
WAYS = (
    LABELS,
    BESIDE,
    Way("distilled", teachers=LABELS),
    Way("distilled, generated letters beside", True, BESIDE),
    Way("best, generated letters beside, 200 epochs", True, epochs=PATIENT),
    Way("distilled, generated letters beside, 200 epochs", True, BESIDE, PATIENT),
)


@dataclass(frozen=True)
class Trial:
    """One split of the data, and a folder for the networks trained on it.

    judged_in: the fold in which each validation image is a test image, (N,) int64.
    """

    name: str
    dataset: Dataset
    train: np.ndarray
    val: np.ndarray
    work: Path
    judged_in: np.ndarray
    preprocessing: Preprocessing

    def part(self, chosen: np.ndarray) -> LabelledImages:
        return self.dataset.images[chosen], self.dataset.labels[chosen]

    def material(self, way: Way) -> LabelledImages:
        """What the way learns from."""
        own = self.part(self.train)
        if not way.generated:
            return own
        drawn = load_dataset("synthetic", self.preprocessing, samples_per_class=GENERATED)
        places = np.array([self.dataset.class_names.index(n) for n in drawn.class_names])
        return (
            np.concatenate([own[0], drawn.images]),
            np.concatenate([own[1], places[drawn.labels]]),
        )

    def network(self, way: Way, seed: int) -> Sequential:
        """A network taught so, from the folder where it was trained before."""
        model = BEST.make_network(len(self.dataset.class_names), get_ops("numpy"), seed=seed)
        kept = self.work / self.name / f"{WAYS.index(way)}-{seed}.npy"
        if kept.exists():
            model.values[...] = np.load(kept)
            return model
        teachers = [] if way.teachers is None else self.networks(way.teachers)
        how = (self.part(self.val), self.preprocessing, seed, 1)
        recipe = BEST.with_options(epochs=way.epochs)
        fit(model, recipe, self.material(way), *how, teachers=teachers)
        np.save(make_folder(kept.parent) / kept.name, model.values)
        print(f"{self.name}: {way.name}, seed {seed}", flush=True)
        return model

    def networks(self, way: Way) -> list[Sequential]:
        """The networks of a way: five of those that can teach, else one."""
        teaches = way in [each.teachers for each in WAYS]
        seeds = range(SEEDS + 1, SEEDS + 1 + DISTILLED.teachers) if teaches else [0]
        return [self.network(way, seed) for seed in seeds]

    def row(self, way: Way) -> dict[str, Any]:
        """Errors on the validation images by the fold in which their writer is judged."""
        images, labels = self.part(self.val)
        rows = [
            predict_probabilities(model, images, self.preprocessing, 1)
            for model in self.networks(way)
        ]
        row: dict[str, Any] = {"way": way.name, "errors": [self._errors(p, labels) for p in rows]}
        return row | ({"together": self._errors(np.mean(rows, 0), labels)} if rows[1:] else {})

    def _errors(self, probabilities: np.ndarray, labels: np.ndarray) -> list[int]:
        wrong = probabilities.argmax(1) != labels
        counts = np.bincount(self.judged_in[wrong], minlength=FOLDS["writer"])
        return [int(count) for count in counts]

    def record(self) -> dict[str, Any]:
        """The rows of all ways on this split."""
        images = np.bincount(self.judged_in, minlength=FOLDS["writer"]).tolist()
        rows = [self.row(way) for way in WAYS]
        return {"split": self.name, "train": len(self.train), "images": images, "rows": rows}


def trials(dataset: Dataset, work: Path) -> Iterable[Trial]:
    """The splits on which the ways are tried."""
    folds = np.empty(len(dataset), np.int64)
    for fold in range(FOLDS["writer"]):
        folds[make_split(dataset, "writer", fold).test] = fold
    inner = inner_splits(dataset)
    chosen: dict[str, Split | Inner] = {}
    chosen |= {f"fold-{fold}": make_split(dataset, "writer", fold) for fold in OUTER}
    chosen |= {f"inner-{number}": inner[number] for number in INNER}
    for name, split in chosen.items():
        scaling = BEST.preprocessing().fitted(dataset.images[split.train])
        yield Trial(name, dataset, split.train, split.val, work, folds[split.val], scaling)


def share_of_errors(records: list[dict[str, Any]], way: Way, blind_to: int | None) -> float:
    """Errors of each hundred validation images, without those judged in a fold."""
    counted = [k for k in range(FOLDS["writer"]) if k != blind_to]
    images = errors = 0.0
    for record in records:
        row = next(row for row in record["rows"] if row["way"] == way.name)
        images += sum(record["images"][k] for k in counted)
        errors += float(np.mean([sum(each[k] for k in counted) for each in row["errors"]]))
    return 100 * errors / images


def outcome_of(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The errors of each way, blind to each fold and to none, and which way has the fewest."""
    blind = {str(k): k for k in range(FOLDS["writer"])} | {"none": None}
    errors = {
        name: {way.name: share_of_errors(records, way, fold) for way in WAYS}
        for name, fold in blind.items()
    }
    chosen = {name: min(each, key=lambda way: each[way]) for name, each in errors.items()}
    return {"errors": errors, "chosen": chosen}


def table_of(outcome: dict[str, Any]) -> str:
    """Errors in percent: a line a way, a column a fold to which the figures are blind."""
    columns = outcome["errors"].items()
    rows = [
        (w.name, *(f"{e[w.name]:.2f}{'*' * (outcome['chosen'][k] == w.name)}" for k, e in columns))
        for w in WAYS
    ]
    header = ("way", *(f"blind to {name}" for name in outcome["errors"]))
    return "errors of 100 validation images; * the fewest\n" + text_table(header, rows, left=(0,))


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    options = _options(arguments)
    dataset = load_dataset(options.data, BEST.preprocessing())
    parallel = Parallel(n_jobs=options.workers)
    records = parallel(delayed(Trial.record)(each) for each in trials(dataset, options.work))
    outcome = outcome_of(records)
    record = {"recipe": BEST.to_dict(), "generated": GENERATED, "looked_at_before": SEEN}
    record |= {"cpu": cpu_name(), "versions": versions(), "git_commit": git_commit()}
    make_folder(options.out)
    write_json(options.out / "ways.json", record | {"records": records} | outcome)
    write_text(options.out / "ways.txt", table_of(outcome))
    print(json.dumps(outcome, indent=2) if options.json else table_of(outcome), end="")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser("python -m studies.distillation", __doc__, EXAMPLES)
    add_data_option(p, None)
    p.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the record")
    p.add_argument("--work", type=Path, required=True, metavar="FOLDER", help="of the networks")
    p.add_argument(
        "--workers",
        type=whole_number(1, MAX_THREADS),
        default=1,
        metavar="N",
        help="splits at a time, each on a core (default: 1)",
    )
    p.add_argument("--json", action="store_true", help="print the outcome as JSON")
    return p.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run(main))
