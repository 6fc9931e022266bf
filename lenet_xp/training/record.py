"""The record of a run: the names of its files, its configuration, its metrics.json."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.sources import GENERATORS
from lenet_xp.data.splits import Overlap, Split
from lenet_xp.model_file import SavedModel
from lenet_xp.scores.summary import Scores, summarise
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import atomic_write
from lenet_xp.training.loop import FitResult
from lenet_xp.training.plan import Plan
from lenet_xp.training.start import Start

RESERVED = 4 * 2**20  # bytes: more than a run's results take on AMHCD or MNIST
RECORDED_PAIRS = 10  # confused pairs in metrics.json; confused_pairs.csv has more
RESULTS = (
    *("metrics.json", "model.npz", "recipe.toml", "history.csv", "learning_curves.png"),
    *("feature_maps.png", "filters.png"),
    *("calibration.json", "confusion.csv", "confusion_matrix.png"),
    *("confused_pairs.csv", "confused_pairs.png", "confused_pairs.txt", "misclassified.png"),
    *("per_class.csv", "per_class.png", "per_class.txt"),
    *("predictions.csv", "reliability.png", "rejection.csv", "rejection.png"),
)
WRITER_RESULTS = ("per_writer.csv", "per_writer.png", "per_writer.txt")  # if writers are known


@dataclass(frozen=True)
class Finished:
    """A trained and tested network: what the pictures of its run are drawn from.

    scores: of the split's test images. history: one row per epoch.
    """

    out: Path
    saved: SavedModel
    dataset: Dataset
    split: Split
    history: list[dict[str, Any]]
    scores: Scores


def check_writable(folder: Path) -> None:
    """InputError before the work, not after it, where a folder cannot take its results."""
    trial = folder / ".room-for-results"
    with atomic_write(trial) as handle:
        handle.write(bytes(RESERVED))
    trial.unlink()


def remove_results(folder: Path) -> None:
    """Remove an earlier run's files: old and new ones must not stand side by side."""
    for name in (*RESULTS, *WRITER_RESULTS):
        (folder / name).unlink(missing_ok=True)


def config_of(
    plan: Plan, split: Split, start: Start | None, teachers: Sequence[Start]
) -> dict[str, Any]:
    """What decided the run's outcome, for metrics.json and the model file's notes."""
    return {
        "data": Path(plan.data).name,
        "recipe": plan.recipe.to_dict(),
        "seed": plan.seed,
        "data_seed": plan.data_seed,
        "split": split.name,
        "fold": split.fold,
        "allow_overlap": plan.allow_overlap,
        "samples_per_class": plan.samples_per_class if plan.data in GENERATORS else None,
        "stream": plan.stream,
        "photos": plan.photos,
        "beside": list(plan.beside),
        "outliers": plan.outliers,
        "start": start and {**start.source, "freeze": plan.freeze},
        "teachers": [teacher.source for teacher in teachers],
    }


def record_of(
    plan: Plan,
    run: Finished,
    overlap: Overlap,
    result: FitResult,
    refusals: dict[str, float] | None,
    kept: dict[str, Any] | None,
) -> dict[str, Any]:
    """The content of metrics.json."""
    saved, dataset, split, scores = run.saved, run.dataset, run.split, run.scores
    ops = saved.model.ops
    return {
        "recipe": plan.recipe.name,
        "dataset": dataset.name,
        "n_train": len(split.train),
        "n_val": len(split.val),
        "n_test": len(split.test),
        "skipped": len(dataset.skipped),
        "left_out": len(dataset.left_out),
        "blank": len(dataset.blank),
        "split": split.name,
        "fold": split.fold,
        "overlap": asdict(overlap),
        "seed": plan.seed,
        "epochs": plan.recipe.epochs,
        "batch_size": plan.recipe.batch_size,
        "backend_requested": plan.backend_requested,
        "backend": ops.name,
        "fused": plan.fused,
        "graph": plan.graph,
        "threads": result.threads,
        "ranks": result.ranks,
        "device": ops.device_name,
        "cpu": cpu_name(),
        "dtype": ops.dtype_name,
        "best_epoch": result.best_epoch,
        "best_val_accuracy": result.best_accuracy,
        **{f"test_{name}": value for name, value in summarise(scores).items()},
        "temperature": saved.temperature,
        "threshold": saved.threshold,
        "none_of_these": refusals,
        "start": kept,
        "train_seconds": result.train_seconds,
        "images_per_second": result.images_per_second,
        "parameters": saved.model.num_parameters,
        "masked": saved.model.num_masked,
        "confused_pairs": [vars(pair) for pair in scores.pairs[:RECORDED_PAIRS]],
        "config": {name: each for name, each in saved.notes.items() if name != "learned"},
        "versions": versions(),
        "git_commit": git_commit(),
    }
