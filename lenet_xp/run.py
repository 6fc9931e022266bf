"""One training run, from a data source to a judged model on disk."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from lenet_xp.calibration import fit_temperature, log_probabilities
from lenet_xp.data.dataset import Dataset
from lenet_xp.data.overlap import Overlap, honest_split
from lenet_xp.data.preprocess import Preprocessing
from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import Split
from lenet_xp.data.writers import known_writers
from lenet_xp.errors import InputError
from lenet_xp.files import atomic_write, write_csv, write_json
from lenet_xp.inference import predict_probabilities
from lenet_xp.judgement import judge
from lenet_xp.metrics import confused_pairs, confusion_matrix
from lenet_xp.model import LeNet5
from lenet_xp.model_file import SavedModel, save_model
from lenet_xp.ops import Ops
from lenet_xp.provenance import cpu_name, git_commit, versions
from lenet_xp.recipes import Recipe
from lenet_xp.training import Fit, Progress, fit

ROOM = 2 * 2**20  # bytes: more than a run's results take
RESULTS = (
    "metrics.json",  # the sign of a finished run
    "model.npz",
    "history.csv",
    "config.json",
    "learning_curves.png",
    "feature_maps.png",
    "c1_filters.png",
    "calibration.json",
    "confusion.csv",
    "confusion_matrix.png",
    "confused_pairs.csv",
    "confused_pairs.png",
    "confused_pairs.txt",
    "misclassified.png",
    "per_class.csv",
    "per_class.png",
    "per_class.txt",
    "reliability.png",
    "rejection.csv",
    "rejection.png",
)
OF_WRITERS = ("per_writer.csv", "per_writer.png", "per_writer.txt")  # where writers are known


@dataclass(frozen=True)
class Run:
    """What to train on what, and where to put it."""

    data: str
    recipe: Recipe
    out: Path
    seed: int = 0
    samples_per_class: int = 400
    split: str | None = None
    fold: int = 0
    allow_overlap: bool = False
    skip_bad: bool = False
    cache: bool = True
    plots: bool = True
    threads: int | None = None
    backend_requested: str = "auto"


class Reporter(Protocol):
    """Who is told how the run goes."""

    def say(self, text: str) -> None: ...

    def progress(self, progress: Progress) -> None: ...

    def epoch(self, row: dict, epochs: int, images: int) -> None: ...


def train_run(run: Run, ops: Ops, reporter: Reporter) -> dict:
    """Train, judge once on the test set with the weights chosen on validation, write OUT.

    Leaves RESULTS, pictures and tables only with plots, and returns the content of metrics.json.
    What an earlier run left in OUT is replaced once the training is over, not before.
    Raises InputError for data or folders that cannot be used, TrainingDiverged.
    """
    check_writable(run.out)
    dataset = load_dataset(
        run.data,
        samples_per_class=run.samples_per_class,
        seed=run.seed,
        skip_bad=run.skip_bad,
        cache=run.cache,
    )
    for file, reason in dataset.skipped:
        reporter.say(f"skipped {file}: {reason}")
    split, overlap = honest_split(dataset, run.split, run.fold, run.allow_overlap)
    if overlap:
        reporter.say(_overlap_words(split, overlap))
    preprocessing = Preprocessing().fitted(dataset.images[split.train])
    model = LeNet5(
        len(dataset.class_names),
        activation=run.recipe.activation,
        squash_pools=run.recipe.squash_pools,
        seed=run.seed,
        ops=ops,
    )
    reporter.say(
        f"{run.recipe.name} on {dataset.name}: {len(split.train):,} training, "
        f"{len(split.val):,} validation, {len(split.test):,} test images; "
        f"{model.values.shape[0]:,} parameters; {ops.name} on {ops.device_name}"
    )
    result = fit(
        model,
        run.recipe,
        (dataset.images[split.train], dataset.labels[split.train]),
        (dataset.images[split.val], dataset.labels[split.val]),
        preprocessing,
        run.seed,
        run.threads,
        on_progress=reporter.progress,
        on_epoch=lambda row: reporter.epoch(row, run.recipe.epochs, len(split.train)),
    )
    saved = _with_temperature(run, model, preprocessing, dataset, split)
    # Of an earlier run, lest the old and the new stand side by side.
    for name in (*RESULTS, *OF_WRITERS):
        (run.out / name).unlink(missing_ok=True)
    save_model(run.out / "model.npz", saved)
    write_csv(
        run.out / "history.csv",
        list(result.history[0]),
        [list(row.values()) for row in result.history],
    )
    probabilities = predict_probabilities(
        model, dataset.images[split.test], preprocessing, run.threads
    )
    writers = known_writers(dataset)
    groups = None if writers is None else writers[split.test]
    record = _record(run, ops, saved, dataset, split, overlap, result, probabilities, groups)
    write_json(run.out / "config.json", _config(run, split))
    write_json(run.out / "metrics.json", record)
    if run.plots:
        from lenet_xp.analysis import draw_run  # matplotlib is slow to import

        draw_run(run.out, saved, dataset, split, result.history, probabilities, groups)
    return record


def check_writable(folder: Path) -> None:
    """InputError before the work, not after it, where a folder cannot take its results."""
    trial = folder / ".room-for-results"
    with atomic_write(trial) as handle:
        handle.write(bytes(ROOM))
    trial.unlink()


def check_class_names(model_names: tuple[str, ...], dataset: Dataset) -> np.ndarray:
    """The data set's labels (N,) as outputs of a model; InputError for a class it does not know."""
    places = {name: place for place, name in enumerate(model_names)}
    unknown = [name for name in dataset.class_names if name not in places]
    if unknown:
        raise InputError(
            f"{dataset.name}: the model knows no class {unknown[0]!r}; "
            f"it was trained on {', '.join(model_names[:4])} ... ({len(model_names)} classes)"
        )
    return np.array([places[name] for name in dataset.class_names])[dataset.labels]


def _overlap_words(split: Split, overlap: Overlap) -> str:
    shared = (
        f"split {split.name}: {overlap.train_test:,} training and {overlap.val_test:,} validation "
        f"images are identical to test images, {overlap.train_val:,} training to validation images"
    )
    return f"{shared}; {overlap.dropped:,} left out" if overlap.dropped else f"{shared}; all kept"


def _config(run: Run, split: Split) -> dict:
    return {
        "data": Path(run.data).name,
        "recipe": run.recipe.to_dict(),
        "seed": run.seed,
        "split": split.name,
        "fold": split.fold,
        "allow_overlap": run.allow_overlap,
        "samples_per_class": run.samples_per_class if run.data == "synthetic" else None,
    }


def _with_temperature(
    run: Run, model: LeNet5, preprocessing: Preprocessing, dataset: Dataset, split: Split
) -> SavedModel:
    """The trained model, its temperature fitted to the validation images and noted."""
    val = predict_probabilities(model, dataset.images[split.val], preprocessing, run.threads)
    temperature = fit_temperature(log_probabilities(val), dataset.labels[split.val])
    notes = _config(run, split) | {"temperature": temperature}
    return SavedModel(model, preprocessing, dataset.class_names, notes)


def _record(
    run: Run,
    ops: Ops,
    saved: SavedModel,
    dataset: Dataset,
    split: Split,
    overlap: Overlap,
    result: Fit,
    probabilities: np.ndarray,
    groups: np.ndarray | None,
) -> dict:
    labels = dataset.labels[split.test]
    predictions = probabilities.argmax(axis=1)
    scores = judge(labels, probabilities, saved.temperature, groups)
    pairs = confused_pairs(
        confusion_matrix(labels, predictions, len(dataset.class_names)), dataset.class_names
    )
    return {
        "recipe": run.recipe.name,
        "dataset": dataset.name,
        "n_train": len(split.train),
        "n_val": len(split.val),
        "n_test": len(split.test),
        "skipped": len(dataset.skipped),
        "split": split.name,
        "fold": split.fold,
        "overlap": asdict(overlap),
        "seed": run.seed,
        "epochs": run.recipe.epochs,
        "batch_size": run.recipe.batch_size,
        "backend_requested": run.backend_requested,
        "backend": ops.name,
        "threads": result.threads,
        "device": ops.device_name,
        "cpu": cpu_name(),
        "dtype": ops.dtype_name,
        "best_epoch": result.best_epoch,
        "best_val_accuracy": result.best_accuracy,
        **{f"test_{name}": score for name, score in scores.items()},
        "temperature": saved.temperature,
        "train_seconds": result.train_seconds,
        "images_per_second": result.images_per_second,
        "parameters": int(saved.model.values.shape[0]),
        "confused_pairs": [vars(pair) for pair in pairs],
        "config": _config(run, split),
        "versions": versions(),
        "git_commit": git_commit(),
    }
