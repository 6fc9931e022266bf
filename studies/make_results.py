"""Make results/: the real runs behind the figures and pictures of README and report.

Runs the commands that a user would, one after the other (about an hour on 2 cores; with --cluster
the runs of a series side by side), and keeps records, tables and pictures. A series over seeds or
folds keeps the figures of each run and a summary of all. Pictures that show images of AMHCD or
MNIST are left out, for the terms of these data are their own.
"""

import argparse
import json
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from lenet_xp.commands.audit import audited
from lenet_xp.commands.evaluate import evaluate
from lenet_xp.commands.terminal import parser, run, whole_number
from lenet_xp.commands.train import train
from lenet_xp.data.dataset import Dataset, check_class_names
from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import FOLDS
from lenet_xp.data.writers import SAMPLES
from lenet_xp.errors import InputError
from lenet_xp.inference import predict_probabilities
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.system.environment import git_commit, versions
from lenet_xp.system.files import make_folder, write_json, write_text
from lenet_xp.system.text import nearest
from lenet_xp.training.checkpoints import Checkpoints
from lenet_xp.training.plan import MAX_THREADS
from studies import few_writers
from studies.aggregate import aggregate, spread
from studies.averaging import averaging
from studies.cluster import add_cluster_option, trainings_on
from studies.effects import __main__ as effects

EXAMPLES = """\
  python -m studies.make_results --amhcd amhcd_64.zip --mnist mnist.npz
      everything
  python -m studies.make_results --amhcd amhcd_64.zip --mnist mnist.npz --only audit classic-amhcd
      some of it, beside what is there
  python -m studies.make_results --amhcd amhcd_64.zip --mnist mnist.npz --work /tmp/runs
      the same command goes on where it was stopped"""

SHOWS_DATA = {"misclassified.png"}  # and, of MNIST, its feature maps
NOT_KEPT = {"model.npz", "predictions.csv"}
KEPT_OF_SERIES = {
    "metrics.json",
    "history.csv",
    "calibration.json",
    "per_writer.csv",
    "command.txt",
}
VIEWS = 16  # readings of each image that are averaged
BEST = "--recipe", "best"
TAUGHT = "--recipe", "distilled", "--beside", "synthetic:300"  # as studies.distillation chose
SEEDS = range(5)
WRITER_FOLDS = range(FOLDS["writer"])


@dataclass(frozen=True)
class Making:
    """The data, the folder of the results, and a folder `work` for runs with their models."""

    amhcd: str
    mnist: str
    out: Path
    threads: int | None
    work: Path

    @property
    def on_amhcd(self) -> list[str]:
        return ["--data", self.amhcd]

    @property
    def on_mnist(self) -> list[str]:
        return ["--data", self.mnist]

    @property
    def threads_option(self) -> list[str]:
        return ["--threads", str(self.threads)] if self.threads else []

    def train(self, name: str, *arguments: str) -> None:
        """Train with a command and keep its files and its text in the folder `name`.

        A finished run in `work` is taken as it is, an interrupted one goes on.
        """
        left_out = NOT_KEPT if "--data" not in arguments else NOT_KEPT | SHOWS_DATA
        if self.mnist in arguments:
            left_out = left_out | {"feature_maps.png"}
        words = [*arguments, *self.threads_option]
        print(f"\n{name}: train {shlex.join(words)}", flush=True)
        _trained(self.work / name, words)
        # The record names the data by its file, without the folders of this machine.
        shown = [Path(word).name if Path(word).exists() else word for word in words]
        command = shlex.join(["lenet-xp", "train", *shown, "--out", f"runs/{name}"])
        _keep(self.work / name, self.out / name, command, left_out)

    def series(self, name: str, runs: dict[str, list[str]], how: Sequence[str] = BEST) -> None:
        """Train several runs; keep the figures of each, and their mean and spread."""
        jobs = [
            delayed(Making.train)(self, f"{name}/{part}", *arguments, *how)
            for part, arguments in runs.items()
        ]
        Parallel(n_jobs=1)(jobs)
        for part in runs:
            for file in (self.out / name / part).iterdir():
                if file.name not in KEPT_OF_SERIES:
                    file.unlink()
        summary = aggregate([self.out / name / part / "metrics.json" for part in runs])
        write_json(self.out / name / "summary.json", summary)

    def averaged_writers(self, name: str) -> None:
        """Score the networks of all folds of writers with and without test-time averaging."""
        folder, folds = make_folder(self.out / name), []
        for fold in WRITER_FOLDS:
            out = self.work / name / str(fold)
            data = [*self.on_amhcd, "--split", "writer", "--fold", str(fold)]
            _trained(out, [*data, "--recipe", "best", "--no-plots", *self.threads_option])
            scores = out / "scores.json"
            averaging([str(out / "model.npz"), *data, "--views", str(VIEWS), "--out", str(scores)])
            folds.append(json.loads(scores.read_text(encoding="utf-8")))
        record = {
            "accuracy": vars(spread([each["accuracy"] for each in folds])),
            "averaged_accuracy": vars(spread([each["averaged"]["accuracy"] for each in folds])),
            "views": VIEWS,
            "seed": 0,
            "threads": self.threads,
            "versions": versions(),
            "git_commit": git_commit(),
            "folds": folds,
        }
        write_json(folder / "averaged.json", record)

    def model_of_generated_letters(self) -> Path:
        """The model file of the run best-synthetic. Raises InputError where that was not made."""
        model = self.work / "best-synthetic" / "model.npz"
        if not model.is_file():
            raise InputError(
                "the model of generated letters is needed; add best-synthetic to --only"
            )
        return model

    def transfer(self, name: str) -> None:
        """Score the model of generated letters on every image of real handwriting."""
        model = self.model_of_generated_letters()
        out = str(self.work / name)
        evaluate([str(model), *self.on_amhcd, "--part", "all", "--out", out])
        command = (
            "lenet-xp evaluate runs/best-synthetic/model.npz "
            f"--data {Path(self.amhcd).name} --part all --out runs/{name}"
        )
        _keep(self.work / name, self.out / name, command, SHOWS_DATA | NOT_KEPT)
        halves = _scores_of_writer_halves(model, self.amhcd)
        write_json(self.out / name / "writer_halves.json", halves)

    def few_writers(self, name: str) -> None:
        """Measure the learning curve over writers, from nothing and after generated letters."""
        model = ["--model", str(self.model_of_generated_letters())]
        out = ["--out", str(self.out / name)]
        few_writers.main([*self.on_amhcd, *model, *out, *self.threads_option])

    def audit(self, name: str) -> None:
        """Write what `lenet-xp audit --json` prints of AMHCD."""
        found = audited(load_dataset(self.amhcd, skip_bad=True))
        write_json(make_folder(self.out / name) / "amhcd.json", found)

    def letters(self, name: str) -> None:
        """Draw generated letters, effects and statistics."""
        effects.main([*self.on_amhcd, "--out", str(self.out / name)])


def _trained(out: Path, words: Sequence[str]) -> None:
    """Train with these options, unless it is done; an interrupted run goes on.

    InputError where a run of other options is there, for it would be taken for this one.
    """
    note, options = out.with_name(f"{out.name}.txt"), shlex.join(words) + "\n"
    if note.is_file() and note.read_text(encoding="utf-8") != options:
        raise InputError(f"{out}: is a run of other options, see {note}; give another --work")
    make_folder(note.parent)
    write_text(note, options)
    if Checkpoints(out / "checkpoints").any():
        train(["--resume", str(out)])
    elif not (out / "metrics.json").exists():
        train([*words, "--out", str(out)])


def _keep(source: Path, target: Path, command: str, left_out: Collection[str]) -> None:
    """Copy a run's files into the results, with its command as a text."""
    shutil.rmtree(target, ignore_errors=True)
    make_folder(target)
    for file in sorted(source.iterdir()):
        if file.is_file() and file.name not in left_out:  # teachers are in a folder
            shutil.copy2(file, target / file.name)
    write_text(target / "command.txt", command + "\n")


def _scores_of_writer_halves(model: Path, amhcd: str) -> dict[str, Any]:
    """The accuracy on the blocks of 13 files of even and of odd number, mostly a writer each.

    The shapes and variants of the generated letters were drawn while looking at the even blocks,
    so the odd ones are the honest half.
    """
    saved = load_model(model, get_ops("numpy"))
    dataset = load_dataset(amhcd, saved.preprocessing)
    probabilities = predict_probabilities(saved.model, dataset.images, saved.preprocessing)
    hits = probabilities.argmax(axis=1) == check_class_names(saved.class_names, dataset)
    odd = (_file_numbers(dataset) - 1) // SAMPLES % 2 == 1
    return {
        "even_writers": {"images": int((~odd).sum()), "accuracy": float(hits[~odd].mean())},
        "odd_writers": {"images": int(odd.sum()), "accuracy": float(hits[odd].mean())},
    }


def _file_numbers(dataset: Dataset) -> np.ndarray:
    """The number in each file's name, (N,) int64; InputError for a name without one."""
    numbers = []
    for file in dataset.files:
        found = re.search(r"_(\d+)\.", Path(file).name)
        if found is None:
            raise InputError(f"{file}: its name has no number; give AMHCD as published")
        numbers.append(int(found[1]))
    return np.array(numbers)


def _steps(making: Making) -> dict[str, Callable[[str], None]]:
    """What makes each result, by the name of its folder, in order."""
    amhcd, mnist = making.on_amhcd, making.on_mnist
    by_writer = [*amhcd, "--split", "writer"]
    # MNIST has three times the images: 20 epochs are about as many steps as 60 of AMHCD.
    seeds_mnist, taught_mnist = (
        {f"seed-{k}": [*mnist, "--epochs", epochs, "--seed", str(k)] for k in SEEDS}
        for epochs in ("20", "67")
    )
    seeds_amhcd = {f"seed-{k}": [*amhcd, "--seed", str(k)] for k in SEEDS}
    folds = {f"fold-{k}": [*by_writer, "--fold", str(k)] for k in WRITER_FOLDS}
    return {
        "classic-synthetic": lambda name: making.train(name),
        "classic-amhcd": lambda name: making.train(
            name, *amhcd, "--recipe", "classic", "--seed", "0"
        ),
        "best-amhcd": lambda name: making.train(name, *amhcd, "--recipe", "best", "--seed", "0"),
        "best-mnist": lambda name: making.train(name, *mnist, "--recipe", "best"),
        "writers-amhcd": lambda name: making.series(name, folds),
        "seeds-amhcd": lambda name: making.series(name, seeds_amhcd),
        "seeds-mnist": lambda name: making.series(name, seeds_mnist),
        "writers-distilled": lambda name: making.series(name, folds, TAUGHT),
        "seeds-distilled": lambda name: making.series(name, seeds_amhcd, TAUGHT),
        "mnist-distilled": lambda name: making.series(name, taught_mnist, TAUGHT[:2]),
        "best-synthetic": lambda name: making.train(name, "--recipe", "best", "--samples", "800"),
        "synthetic-to-amhcd": making.transfer,
        "averaged-writers": making.averaged_writers,
        "few-writers": making.few_writers,
        "audit": making.audit,
        "generated-letters": making.letters,
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    options = _options(arguments)
    shared = make_folder(options.out) if options.cluster else None  # which all workers see
    with trainings_on(options.cluster), tempfile.TemporaryDirectory(dir=shared) as folder:
        work = options.work or Path(folder)
        making = Making(options.amhcd, options.mnist, options.out, options.threads, work)
        steps = _steps(making)
        for name in options.only or ():
            if name not in steps:
                raise InputError(f"--only {name}: no such result; {nearest(name, list(steps))}")
        for name, make in steps.items():
            if not options.only or name in options.only:
                make(name)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser("python -m studies.make_results", __doc__, EXAMPLES)
    p.add_argument("--amhcd", required=True, metavar="SOURCE", help="the AMHCD zip or folder")
    p.add_argument("--mnist", required=True, metavar="FILE", help="mnist.npz in Keras' layout")
    p.add_argument(
        "--out", type=Path, default=Path("results"), metavar="FOLDER", help="(default: results)"
    )
    p.add_argument(
        "--work",
        type=Path,
        metavar="FOLDER",
        help="where the runs go, with their models, and stay (default: a temporary folder)",
    )
    add_cluster_option(p)
    p.add_argument("--only", nargs="+", metavar="NAME", help="make only these results")
    p.add_argument(
        "--threads",
        type=whole_number(1, MAX_THREADS),
        metavar="N",
        help="cores of each run (default: all)",
    )
    return p.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run(main))
