"""What a run leaves behind: its files, its configuration, its metrics.json."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.overlap import Overlap
from lenet_xp.data.splits import Split
from lenet_xp.errors import InputError
from lenet_xp.files import atomic_write
from lenet_xp.model_file import SavedModel
from lenet_xp.provenance import cpu_name, git_commit, versions
from lenet_xp.recipes import Recipe
from lenet_xp.scores.summary import Scores, summarise
from lenet_xp.training import Fit

MAX_SAMPLES = 10_000  # generated images of each letter
MAX_PHOTOS = 20  # of each letter
MAX_THREADS = 256
ROOM = 2 * 2**20  # bytes: more than a run's results take
RECORDED_PAIRS = 10  # of metrics.json; confused_pairs.csv has more
RESULTS = (
    "metrics.json",  # the sign of a finished run
    "model.npz",
    "history.csv",
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
FORMER = ("config.json",)  # of runs before version 0.2; metrics.json holds the same as "config"


@dataclass(frozen=True)
class Run:
    """What to train on what, and where to put it."""

    data: str
    recipe: Recipe
    out: Path
    seed: int = 0
    samples_per_class: int = 400
    photos: int = 0
    split: str | None = None
    fold: int = 0
    allow_overlap: bool = False
    skip_bad: bool = False
    cache: bool = True
    plots: bool = True
    threads: int | None = None
    backend_requested: str = "auto"
    graph: bool = True
    overwrite: bool = False
    resume: bool = False
    checkpoint_every: float = 10.0  # seconds

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return asdict(self) | {"recipe": self.recipe.to_dict(), "out": str(self.out)}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Run":
        """The run that `to_dict` wrote down.

        Raises KeyError, TypeError or ValueError for anything else.
        """
        recipe = Recipe.from_dict(values["recipe"])
        run = Run(**values | {"recipe": recipe, "out": Path(values["out"])})
        for field in fields(Run):
            kind: Any = field.type  # the type itself: annotations of this file are no strings
            if not isinstance(getattr(run, field.name), kind):
                raise TypeError(f"{field.name} of a run cannot be {getattr(run, field.name)!r:.40}")
        whole = (
            (run.samples_per_class, 1, MAX_SAMPLES),
            (run.photos, 0, MAX_PHOTOS),
            (run.threads or 1, 1, MAX_THREADS),
        )
        if run.seed < 0 or not all(low <= value <= high for value, low, high in whole):
            raise ValueError("a run's seed, samples, photos or threads are out of range")
        return run


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
    order = np.array([places[name] for name in dataset.class_names])
    labels: np.ndarray = order[dataset.labels]
    return labels


def config_of(run: Run, split: Split) -> dict[str, Any]:
    """What decided the run's outcome, for metrics.json and the model file's notes."""
    return {
        "data": Path(run.data).name,
        "recipe": run.recipe.to_dict(),
        "seed": run.seed,
        "split": split.name,
        "fold": split.fold,
        "allow_overlap": run.allow_overlap,
        "samples_per_class": run.samples_per_class if run.data == "synthetic" else None,
        "photos": run.photos,
    }


def record_of(
    run: Run,
    saved: SavedModel,
    dataset: Dataset,
    split: Split,
    overlap: Overlap,
    result: Fit,
    scores: Scores,
) -> dict[str, Any]:
    """The content of metrics.json; the scores are of the test images."""
    ops = saved.model.ops
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
        "graph": run.graph if ops.name == "cupy" else None,
        "threads": result.threads,
        "device": ops.device_name,
        "cpu": cpu_name(),
        "dtype": ops.dtype_name,
        "best_epoch": result.best_epoch,
        "best_val_accuracy": result.best_accuracy,
        **{f"test_{name}": value for name, value in summarise(scores).items()},
        "temperature": saved.temperature,
        "train_seconds": result.train_seconds,
        "images_per_second": result.images_per_second,
        "parameters": int(saved.model.values.shape[0]),
        "confused_pairs": [vars(pair) for pair in scores.pairs[:RECORDED_PAIRS]],
        "config": config_of(run, split),
        "versions": versions(),
        "git_commit": git_commit(),
    }
