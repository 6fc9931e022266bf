"""One training run, from a data source to a tested model on disk."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import Overlap, Split, honest_split
from lenet_xp.data.writers import known_writers
from lenet_xp.errors import InputError, WorkerFailed
from lenet_xp.inference import predict_probabilities, worker_count
from lenet_xp.letters.drawn_pages import photograph
from lenet_xp.model import LeNet5
from lenet_xp.model_file import SavedModel, save_model
from lenet_xp.ops import Ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.scores.calibration import fit_temperature, log_probabilities
from lenet_xp.scores.summary import Scores
from lenet_xp.scores.tables import write_tables
from lenet_xp.system.files import remove_leftovers, write_csv, write_json
from lenet_xp.system.progress import progress_bar
from lenet_xp.system.workers import usable_cores
from lenet_xp.training.checkpoints import (
    Checkpoints,
    CheckpointTimer,
    State,
    Stopped,
    StopRequest,
    check_values,
    locked,
    stop_requests,
)
from lenet_xp.training.loop import (
    EpochProgress,
    FitResult,
    LabelledImages,
    TrainingDiverged,
    fit,
)
from lenet_xp.training.plan import Plan
from lenet_xp.training.record import (
    FORMER_RESULTS,
    RESULTS,
    WRITER_RESULTS,
    check_writable,
    config_of,
    record_of,
)

MAX_ACCURACY_DROP = 0.2  # share: validation accuracy this far below its best is warned of


class Reporter(Protocol):
    """Shows how the run goes."""

    def say(self, text: str) -> None: ...

    def progress(self, progress: EpochProgress) -> None: ...

    def epoch(self, row: dict[str, Any], epochs: int, images: int) -> None: ...


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


def interrupted_run(out: Path) -> tuple[Plan, dict[str, Any]]:
    """The plan of the run whose checkpoints a folder holds, and its backend, dtype and threads.

    Raises InputError for a folder without any, and for a run that is finished.
    """
    if (out / "metrics.json").exists() and not _checkpoints(out).any():
        raise InputError(f"{out}: the run is finished; there is nothing to resume")
    found = _checkpoints(out).latest(lambda text: None)
    if found is None:
        raise InputError(f"{out}: holds no checkpoint; start the run again")
    try:
        description = found[1]
        plan = replace(Plan.from_dict(description["plan"]), out=out, resume=True)
        return plan, {name: description[name] for name in ("backend", "dtype", "threads")}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{out}: its checkpoints are of another version; start again") from error


def train_run(
    plan: Plan, ops: Ops, reporter: Reporter, draw: Callable[[Finished], None] = lambda run: None
) -> dict[str, Any]:
    """Train, score the weights chosen on validation once on the test set, write the results.

    Returns the content of metrics.json. Writes RESULTS (tables only with plots), then calls `draw`
    for the pictures while the folder is still locked and can be resumed, so that a run ends with
    all its results or goes on. An earlier run's results are replaced once the training is over.
    Until then there are checkpoints to go on from, and the best model so far beside them.
    Raises InputError for data or folders that cannot be used, TrainingDiverged, Stopped.
    """
    with locked(plan.out), stop_requests() as request:
        for folder in (plan.out, _checkpoints(plan.out).folder):
            remove_leftovers(folder)
        check_writable(plan.out)
        if _checkpoints(plan.out).any() and not (plan.resume or plan.overwrite):
            raise InputError(
                f"{plan.out}: holds an unfinished run; go on with --resume {plan.out}, "
                "choose another --out, or add --overwrite"
            )
        dataset = load_dataset(
            plan.data,
            samples_per_class=plan.samples_per_class,
            seed=plan.seed,
            skip_bad=plan.skip_bad,
            cache=plan.cache,
        )
        for file, reason in dataset.skipped:
            reporter.say(f"skipped {file}: {reason}")
        split, overlap = honest_split(dataset, plan.split, plan.fold, plan.allow_overlap)
        if overlap:
            reporter.say(_overlap_words(split, overlap))
        saved, result = _trained(plan, ops, dataset, split, reporter, request)
        record, finished = _write_results(plan, saved, dataset, split, overlap, result)
        if plan.plots:
            draw(finished)
        _checkpoints(plan.out).clear()
        return record


def _checkpoints(out: Path) -> Checkpoints:
    return Checkpoints(out / "checkpoints")


class _Epochs:
    """What follows each epoch: a line, a copy of the best model, a warning of a collapse."""

    def __init__(self, plan: Plan, saved: SavedModel, images: int, reporter: Reporter):
        self.plan, self.saved, self.images, self.reporter = plan, saved, images, reporter
        self.best: dict[str, Any] = {"val_accuracy": 0.0, "epoch": 0}

    def __call__(self, row: dict[str, Any], validated_model: LeNet5) -> None:
        self.reporter.epoch(row, self.plan.recipe.epochs, self.images)
        accuracy, best = row["val_accuracy"], self.best["val_accuracy"]
        if accuracy > best:
            self.best = row
            self._save_best(replace(self.saved, model=validated_model))
        elif accuracy < best - MAX_ACCURACY_DROP:
            self.reporter.say(
                f"WARNING: validation accuracy fell to {accuracy:.2%} from {best:.2%}: the "
                f"learning rate may be too high; the weights of epoch {self.best['epoch']} are kept"
            )

    def _save_best(self, saved: SavedModel) -> None:
        try:
            _checkpoints(self.plan.out).save_best(saved)
        except InputError as error:  # the training is worth more than a copy of its weights
            self.reporter.say(f"WARNING: training goes on, but its best model is not kept: {error}")


def _trained(
    plan: Plan,
    ops: Ops,
    dataset: Dataset,
    split: Split,
    reporter: Reporter,
    request: StopRequest,
) -> tuple[SavedModel, FitResult]:
    """The trained model; its notes hold the temperature fitted to the validation images."""
    preprocessing = Preprocessing().fitted(dataset.images[split.train])
    model = LeNet5(
        len(dataset.class_names),
        activation=plan.recipe.activation,
        squash_pools=plan.recipe.squash_pools,
        seed=plan.seed,
        ops=ops,
        fused=plan.fused,
    )
    train = _training_images(plan, dataset, split, preprocessing, request)
    val = dataset.images[split.val], dataset.labels[split.val]
    reporter.say(
        f"{plan.recipe.name} on {dataset.name}: {len(train[1]):,} training, "
        f"{len(split.val):,} validation, {len(split.test):,} test images; "
        f"{model.values.shape[0]:,} parameters; {ops.name} on {ops.device_name}"
    )
    saved = SavedModel(model, preprocessing, dataset.class_names, config_of(plan, split))
    result = _fitted(plan, saved, dataset, split, train, val, reporter, request)
    probabilities = predict_probabilities(model, val[0], preprocessing, plan.threads)
    temperature = fit_temperature(log_probabilities(probabilities), val[1])
    return replace(saved, notes=saved.notes | {"temperature": temperature}), result


def _fitted(
    plan: Plan,
    saved: SavedModel,
    dataset: Dataset,
    split: Split,
    train: LabelledImages,
    val: LabelledImages,
    reporter: Reporter,
    request: StopRequest,
) -> FitResult:
    """Fit the model of `saved`, from a checkpoint if there is one, and save checkpoints."""
    checkpoints = _checkpoints(plan.out)
    state, description = _start(plan, saved.model.ops, dataset, split, checkpoints, reporter)
    after_epoch = _Epochs(plan, saved, len(train[1]), reporter)
    if state is not None:
        rows = state.values["history"]
        after_epoch.best = max(rows, key=lambda row: row["val_accuracy"], default=after_epoch.best)
    try:
        return fit(
            saved.model,
            plan.recipe,
            train,
            val,
            saved.preprocessing,
            plan.seed,
            description["threads"],
            on_progress=reporter.progress,
            on_epoch=after_epoch,
            checkpointer=CheckpointTimer(
                checkpoints, description, state, plan.checkpoint_every, request, reporter.say
            ),
        )
    except TrainingDiverged as error:
        raise TrainingDiverged(f"{error}{checkpoints.remains()}") from error
    except WorkerFailed as error:
        on = f"; go on with --resume {plan.out}" if checkpoints.any() else ""
        raise WorkerFailed(f"{error}{on}") from error


def _training_images(
    plan: Plan, dataset: Dataset, split: Split, preprocessing: Preprocessing, request: StopRequest
) -> LabelledImages:
    """The training letters, and with --photos the same as they are read off drawn pages."""
    images, labels = dataset.images[split.train], dataset.labels[split.train]
    if not plan.photos:
        return images, labels
    names = [dataset.class_names[label] for label in labels]
    with progress_bar(plan.photos * len(images), "letters on drawn pages") as advance:

        def after_part(count: int) -> None:
            advance(count)
            if request.signum is not None:
                raise Stopped("stopped before the training began", request.signum)

        cores = plan.threads or usable_cores()
        pages = photograph(images, names, preprocessing, plan.photos, plan.seed, cores, after_part)
    return np.concatenate([images, pages]), np.tile(labels, 1 + plan.photos)


def _start(
    plan: Plan,
    ops: Ops,
    dataset: Dataset,
    split: Split,
    checkpoints: Checkpoints,
    reporter: Reporter,
) -> tuple[State | None, dict[str, Any]]:
    """The state to go on from, if there is one, and the description of its run.

    The number of threads belongs to the description, for sums of floats depend on it.
    """
    description = {
        "plan": plan.to_dict() | {"data": _absolute(plan.data)},
        "backend": ops.name,
        "dtype": ops.dtype_name,
        "threads": worker_count(ops, plan.threads),
        "images": _fingerprint(dataset, split),
    }
    if not plan.resume:
        checkpoints.clear()
        return None, description
    found = checkpoints.latest(reporter.say)
    if found is None:
        raise InputError(f"{plan.out}: holds no checkpoint; start the run again")
    state, started = found
    if started.get("images") != description["images"]:
        raise InputError(
            f"{plan.data}: these are not the images that the run began with; "
            "give the same with --data, or start the run again"
        )
    check_values(state.values)
    reporter.say(f"going on after step {state.step:,}")
    return state, started


def _absolute(data: str) -> str:
    """A data source as a path that is valid in every working directory."""
    return str(Path(data).absolute()) if Path(data).exists() else data


def _fingerprint(dataset: Dataset, split: Split) -> str:
    """A digest of the training and validation images and their labels."""
    digest = hashlib.sha256()
    for part in (split.train, split.val):
        digest.update(np.ascontiguousarray(dataset.images[part]).data)
        digest.update(np.ascontiguousarray(dataset.labels[part]).data)
    return digest.hexdigest()


def _write_results(
    plan: Plan,
    saved: SavedModel,
    dataset: Dataset,
    split: Split,
    overlap: Overlap,
    result: FitResult,
) -> tuple[dict[str, Any], Finished]:
    """Write RESULTS without the pictures; return metrics.json's content, and what to draw."""
    # An earlier run's files go first: old and new ones must not stand side by side.
    for name in (*RESULTS, *WRITER_RESULTS, *FORMER_RESULTS):
        (plan.out / name).unlink(missing_ok=True)
    save_model(plan.out / "model.npz", saved)
    write_csv(
        plan.out / "history.csv",
        list(result.history[0]),
        [list(row.values()) for row in result.history],
    )
    probabilities = predict_probabilities(
        saved.model, dataset.images[split.test], saved.preprocessing, plan.threads
    )
    writers = known_writers(dataset)
    groups = None if writers is None else writers[split.test]
    labels, names = dataset.labels[split.test], dataset.class_names
    scores = Scores(labels, probabilities, names, saved.temperature, groups)
    record = record_of(plan, saved, dataset, split, overlap, result, scores)
    write_json(plan.out / "metrics.json", record)
    if plan.plots:
        write_tables(plan.out, scores)
    return record, Finished(plan.out, saved, dataset, split, result.history, scores)


def _overlap_words(split: Split, overlap: Overlap) -> str:
    shared = (
        f"split {split.name}: {overlap.train_test:,} training and {overlap.val_test:,} validation "
        f"images are identical to test images, {overlap.train_val:,} training to validation images"
    )
    return f"{shared}; {overlap.dropped:,} left out" if overlap.dropped else f"{shared}; all kept"
