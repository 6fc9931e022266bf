"""Make results/: the real runs behind every figure and picture of the README.

    python studies/make_results.py --amhcd amhcd_64.zip --mnist mnist.npz

Runs the same commands a user would, one after the other (about an hour on 2 cores), and keeps
records, tables and pictures. A series over seeds or folds keeps each run's figures and a summary
of all; `--only` makes some of it, and adds to what is there. Pictures that show images of AMHCD or
MNIST stay out: their terms are their own.
"""

import argparse
import json
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from lenet_xp.commands.audit import audited
from lenet_xp.commands.evaluate import evaluate
from lenet_xp.commands.terminal import run
from lenet_xp.commands.train import train
from lenet_xp.data.augment import Distortion
from lenet_xp.data.dataset import check_class_names
from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import FOLDS, make_split
from lenet_xp.data.writers import writers_of
from lenet_xp.inference import predict_probabilities
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.plots import letter_sheet
from lenet_xp.system.environment import git_commit, versions
from lenet_xp.system.files import make_folder, write_json, write_text
from lenet_xp.training.recipes import BEST
from studies.aggregate import aggregate, spread
from studies.averaging import averaging
from studies.effects.statistics import picture_statistics
from studies.few_writers import TUNING, learning_curve
from studies.plots.effects import effect_sheet
from studies.plots.few_writers import few_writers
from studies.plots.statistics import compare_statistics

SHOWS_DATA = {"misclassified.png"}  # and, of MNIST, its feature maps
NOT_KEPT = {"model.npz"}
KEPT_OF_SERIES = {
    "metrics.json",
    "history.csv",
    "calibration.json",
    "per_writer.csv",
    "command.txt",
}
VIEWS = 16  # of each image, where answers are averaged
SEEDS, FOLDED = range(5), range(FOLDS["writer"])
EFFECTS = {  # of the sheet: unit, and the strengths from weak to strong
    "rotation": ("degrees", (4, 8, 16)),
    "shear": ("tangent", (0.1, 0.2, 0.4)),
    "scale": ("log", (0.05, 0.1, 0.2)),
    "shift": ("pixels", (0.7, 1.5, 3)),
    "elastic": ("pixels", (0.5, 1, 2)),
    "pen": ("pixels", (0.15, 0.3, 0.6)),
    "blur": ("pixels", (0.2, 0.4, 0.8)),
}


def _options() -> argparse.Namespace:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--amhcd", required=True, help="the AMHCD zip or folder")
    p.add_argument("--mnist", required=True, help="mnist.npz in Keras' layout")
    p.add_argument("--out", type=Path, default=Path("results"))
    p.add_argument("--only", nargs="+", metavar="NAME", help="make these results only")
    p.add_argument("--threads", type=int, metavar="N", help="cores of each run (default: all)")
    return p.parse_args()


def _keep(source: Path, target: Path, command: str, left_out: set[str]) -> None:
    shutil.rmtree(target, ignore_errors=True)
    make_folder(target)
    for file in sorted(source.iterdir()):
        if file.name not in left_out:
            shutil.copy2(file, target / file.name)
    write_text(target / "command.txt", command + "\n")


def _train(name: str, arguments: list[str], options: argparse.Namespace, work: Path) -> None:
    synthetic = "--data" not in arguments
    left_out = NOT_KEPT | (set() if synthetic else SHOWS_DATA)
    if options.threads:
        arguments = [*arguments, "--threads", str(options.threads)]
    if options.mnist in arguments:
        left_out = left_out | {"feature_maps.png"}
    print(f"\n{name}: train {shlex.join(arguments)}", flush=True)
    if run(train, [*arguments, "--out", str(work / name)]):
        sys.exit(f"{name} failed")
    shown = [Path(a).name if Path(a).exists() else a for a in arguments]
    command = shlex.join(["lenet-xp", "train", *shown, "--out", f"runs/{name}"])
    _keep(work / name, options.out / name, command, left_out)


def _series(name: str, runs: dict[str, list[str]], options: argparse.Namespace, work: Path) -> None:
    """Several runs of one kind: the figures of each, and their mean and spread."""
    for part, arguments in runs.items():
        _train(f"{name}/{part}", [*arguments, "--recipe", "best"], options, work)
        folder = options.out / name / part
        for file in folder.iterdir():
            if file.name not in KEPT_OF_SERIES:
                file.unlink()
    summary = aggregate([options.out / name / part / "metrics.json" for part in runs])
    write_json(options.out / name / "summary.json", summary)


def _averaged_writers(name: str, options: argparse.Namespace, work: Path) -> None:
    """What averaging several readings of an image adds on writers never seen: the same networks
    with and without.
    """
    folder, folds = make_folder(options.out / name), []
    for fold in FOLDED:
        out = work / name / str(fold)
        data = ["--data", options.amhcd, "--split", "writer", "--fold", str(fold)]
        own = ["--recipe", "best", "--no-plots", "--out", str(out)]
        if options.threads:
            own += ["--threads", str(options.threads)]
        scoring = [str(out / "model.npz"), *data, "--views", str(VIEWS)]
        scoring += ["--out", str(out / "scores.json")]
        if run(train, [*data, *own]) or run(averaging, scoring):
            sys.exit(f"{name} failed")
        folds.append(json.loads((out / "scores.json").read_text(encoding="utf-8")))
    record = {
        "accuracy": vars(spread([each["accuracy"] for each in folds])),
        "averaged_accuracy": vars(spread([each["averaged"]["accuracy"] for each in folds])),
        "views": VIEWS,
        "seed": 0,
        "threads": options.threads,
        "versions": versions(),
        "git_commit": git_commit(),
        "folds": folds,
    }
    write_json(folder / "averaged.json", record)


def _transfer(options: argparse.Namespace, work: Path) -> None:
    """The model of generated letters alone, on every image of real handwriting."""
    name, model = "synthetic-to-amhcd", work / "best-synthetic" / "model.npz"
    arguments = [str(model), "--data", options.amhcd, "--part", "all", "--out", str(work / name)]
    if run(evaluate, arguments):
        sys.exit(f"{name} failed")
    command = (
        "lenet-xp evaluate runs/best-synthetic/model.npz "
        f"--data {Path(options.amhcd).name} --part all --out runs/{name}"
    )
    _keep(work / name, options.out / name, command, SHOWS_DATA)
    halves = _score_by_writer_halves(model, options.amhcd)
    write_json(options.out / name / "writer_halves.json", halves)


def _score_by_writer_halves(model: Path, amhcd: str) -> dict:
    """Accuracy on the blocks of 13 files of even and of odd number: nearly always one writer's.

    The letters' shapes and variants were drawn while looking at the even ones, so the odd ones are
    the honest half.
    """
    saved = load_model(model, get_ops("numpy"))
    dataset = load_dataset(amhcd, saved.preprocessing)
    right = predict_probabilities(saved.model, dataset.images, saved.preprocessing).argmax(axis=1)
    hits = right == check_class_names(saved.class_names, dataset)
    numbers = np.array([int(re.search(r"_(\d+)\.", Path(f).name)[1]) for f in dataset.files])
    odd = (numbers - 1) // 13 % 2 == 1
    return {
        "even_writers": {"images": int((~odd).sum()), "accuracy": float(hits[~odd].mean())},
        "odd_writers": {"images": int(odd.sum()), "accuracy": float(hits[odd].mean())},
    }


def _few_writers(name: str, options: argparse.Namespace, work: Path) -> None:
    """After generated letters, and from nothing: what 5, 10, 20 and all 42 writers add."""
    ops = get_ops("numpy")
    pretrained = load_model(work / "best-synthetic" / "model.npz", ops)
    dataset = load_dataset(options.amhcd, pretrained.preprocessing)
    split, writers = make_split(dataset, "writer", 0), writers_of(dataset)
    rows = learning_curve(
        dataset,
        writers,
        split,
        pretrained,
        (5, 10, 20, 42),
        ops,
        threads=options.threads,
        say=lambda text: print(text, flush=True),
    )
    folder = make_folder(options.out / name)
    record = {"recipes": [BEST.to_dict(), TUNING.to_dict()], "split": "writer", "fold": 0}
    record |= {"seed": 0, "versions": versions(), "git_commit": git_commit(), "rows": rows}
    write_json(folder / "few_writers.json", record)
    few_writers(rows, folder / "few_writers.png")


def _audit(name: str, options: argparse.Namespace) -> None:
    """What `lenet-xp audit --json` prints of AMHCD."""
    found = audited(load_dataset(options.amhcd, skip_bad=True))
    write_json(make_folder(options.out / name) / "amhcd.json", found)


def _letter_sheet(options: argparse.Namespace, work: Path) -> None:
    """Generated letters as pictures; beside real ones as statistics only."""
    folder = make_folder(options.out / "generated-letters")
    pictures, _ = generate(10, seed=0)
    ink = (255 - pictures).reshape(33, 10, 64, 64)
    names = [letter.name for letter in letters()]
    letter_sheet(ink, names, folder / "letters.png")
    generated = load_dataset("synthetic", Preprocessing(size=64), samples_per_class=780)
    real = load_dataset(options.amhcd, Preprocessing(size=64))
    pair = [picture_statistics(each.images) for each in (generated, real)]
    compare_statistics(*pair, ("generated", "AMHCD"), folder / "statistics.png")
    summary = {
        key: {
            name: [round(float(q), 4) for q in np.percentile(side[key], (5, 50, 95))]
            for name, side in zip(("generated", "amhcd"), pair, strict=True)
        }
        for key in pair[0]
        if pair[0][key].dtype != bool
    }
    write_json(folder / "statistics.json", {"percentiles": [5, 50, 95], "statistics": summary})


def _effect_sheet(options: argparse.Namespace, work: Path) -> None:
    """Generated letters under each effect of the augmentation alone, at three strengths.

    The seed is one whose few draws are spread as many would be, both ways.
    """
    names = [letter.name for letter in letters()]
    pictures, labels = generate(1, seed=3)
    shown = [names.index(name) for name in ("yaz", "ya", "yad", "yach", "yam")]
    written = Preprocessing().apply_all(pictures[np.isin(labels, shown)])
    effects = {}
    for name, (unit, strengths) in EFFECTS.items():
        effects[f"{name}, {unit}"] = changed = {}
        for strength in strengths:
            distortion = Distortion(**{name: strength})
            changes = distortion.draw(np.random.default_rng(67), len(written))
            changed[f"{strength:g}"] = distortion.apply(written, changes)
    folder = make_folder(options.out / "generated-letters")
    effect_sheet(written, effects, folder / "effects.png")


def main() -> None:
    options = _options()
    amhcd, mnist = ["--data", options.amhcd], ["--data", options.mnist]
    by_writer = [*amhcd, "--split", "writer"]
    of_mnist = [*mnist, "--epochs", "20"]  # three times as many images: 60 epochs' steps of AMHCD
    steps = {
        "classic-synthetic": lambda name, work: _train(name, [], options, work),
        "classic-amhcd": lambda name, work: _train(
            name, [*amhcd, "--recipe", "classic", "--seed", "0"], options, work
        ),
        "best-amhcd": lambda name, work: _train(
            name, [*amhcd, "--recipe", "best", "--seed", "0"], options, work
        ),
        "best-mnist": lambda name, work: _train(name, [*mnist, "--recipe", "best"], options, work),
        "writers-amhcd": lambda name, work: _series(
            name, {f"fold-{k}": [*by_writer, "--fold", str(k)] for k in FOLDED}, options, work
        ),
        "seeds-amhcd": lambda name, work: _series(
            name, {f"seed-{k}": [*amhcd, "--seed", str(k)] for k in SEEDS}, options, work
        ),
        "seeds-mnist": lambda name, work: _series(
            name, {f"seed-{k}": [*of_mnist, "--seed", str(k)] for k in SEEDS}, options, work
        ),
        "best-synthetic": lambda name, work: _train(
            name, ["--recipe", "best", "--samples", "800"], options, work
        ),
        "synthetic-to-amhcd": lambda name, work: _transfer(options, work),
        "averaged-writers": lambda name, work: _averaged_writers(name, options, work),
        "few-writers": lambda name, work: _few_writers(name, options, work),
        "audit": lambda name, work: _audit(name, options),
        "generated-letters": lambda name, work: _letter_sheet(options, work),
        "letter-effects": lambda name, work: _effect_sheet(options, work),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, make in steps.items():
            if options.only is None or name in options.only:
                make(name, Path(folder))


if __name__ == "__main__":
    main()
