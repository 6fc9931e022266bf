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
from lenet_xp.system.files import sweep, write_csv, write_json
from lenet_xp.system.progress import progress_bar
from lenet_xp.system.workers import usable_cores
from lenet_xp.training.checkpoints import (
    Checkpoints,
    RunKeeper,
    State,
    Stopped,
    StopRequest,
    locked,
    stop_requests,
)
from lenet_xp.training.loop import Batch, Fit, Progress, TrainingDiverged, check_values, fit
from lenet_xp.training.plan import Plan
from lenet_xp.training.record import (
    FORMER,
    OF_WRITERS,
    RESULTS,
    check_writable,
    config_of,
    record_of,
)

COLLAPSE = 0.2  # how far validation accuracy may fall below the best before it is worth a word


class Reporter(Protocol):
    """Who is told how the run goes."""

    def say(self, text: str) -> None: ...

    def progress(self, progress: Progress) -> None: ...

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
    """The run whose checkpoints a folder holds, and the whole of what they say of it.

    Raises InputError for a folder without any, and for a run that is finished.
    """
    if (out / "metrics.json").exists() and not _checkpoints(out).any():
        raise InputError(f"{out}: the run is finished; there is nothing to resume")
    found = _checkpoints(out).latest(lambda text: None)
    if found is None:
        raise InputError(f"{out}: holds no checkpoint; start the run again")
    try:
        description = found[1]
        run = replace(Plan.from_dict(description["plan"]), out=out, resume=True)
        return run, {name: description[name] for name in ("backend", "dtype", "threads")}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{out}: its checkpoints are of another version; start again") from error


def train_run(
    plan: Plan, ops: Ops, reporter: Reporter, draw: Callable[[Finished], None] = lambda run: None
) -> dict[str, Any]:
    """Train, test once the weights chosen on validation, write OUT; the content of metrics.json.

    Leaves RESULTS, tables only with plots, and then calls `draw` for the pictures: while OUT is
    locked and can still be resumed, so that a run ends with all its results or goes on.
    What an earlier run left in OUT is replaced once the training is over, not before. On the way
    it leaves checkpoints to go on from, and the best model so far beside them.
    Raises InputError for data or folders that cannot be used, TrainingDiverged, Stopped.
    """
    with locked(plan.out), stop_requests() as request:
        for folder in (plan.out, _checkpoints(plan.out).folder):
            sweep(folder)
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
        record, finished = _leave_results(plan, saved, dataset, split, overlap, result)
        if plan.plots:
            draw(finished)
        _checkpoints(plan.out).clear()
        return record


def _checkpoints(out: Path) -> Checkpoints:
    return Checkpoints(out / "checkpoints")


def _trained(
    plan: Plan,
    ops: Ops,
    dataset: Dataset,
    split: Split,
    reporter: Reporter,
    request: StopRequest,
) -> tuple[SavedModel, Fit]:
    """The trained model, its temperature fitted to the validation images and noted."""
    preprocessing = Preprocessing().fitted(dataset.images[split.train])
    model = LeNet5(
        len(dataset.class_names),
        activation=plan.recipe.activation,
        squash_pools=plan.recipe.squash_pools,
        seed=plan.seed,
        ops=ops,
    )
    train = _training_images(plan, dataset, split, preprocessing, request)
    reporter.say(
        f"{plan.recipe.name} on {dataset.name}: {len(train[1]):,} training, "
        f"{len(split.val):,} validation, {len(split.test):,} test images; "
        f"{model.values.shape[0]:,} parameters; {ops.name} on {ops.device_name}"
    )
    checkpoints = _checkpoints(plan.out)
    saved = SavedModel(model, preprocessing, dataset.class_names, config_of(plan, split))
    best = {"val_accuracy": 0.0, "epoch": 0}

    def epoch_over(row: dict[str, Any], validated_model: LeNet5) -> None:
        nonlocal best
        reporter.epoch(row, plan.recipe.epochs, len(train[1]))
        if row["val_accuracy"] > best["val_accuracy"]:
            best = row
            _keep_best(checkpoints, replace(saved, model=validated_model), reporter)
        elif row["val_accuracy"] < best["val_accuracy"] - COLLAPSE:
            reporter.say(
                f"WARNING: validation accuracy fell to {row['val_accuracy']:.2%} from "
                f"{best['val_accuracy']:.2%}: the learning rate may be too high; "
                f"the weights of epoch {best['epoch']} are kept"
            )

    state, description = _start(plan, ops, dataset, split, checkpoints, reporter)
    keeper = RunKeeper(
        checkpoints, description, state, plan.checkpoint_every, request, reporter.say
    )
    if state is not None:
        best = max(state.values["history"], key=lambda row: row["val_accuracy"], default=best)
    try:
        result = fit(
            model,
            plan.recipe,
            train,
            (dataset.images[split.val], dataset.labels[split.val]),
            preprocessing,
            plan.seed,
            description["threads"],
            on_progress=reporter.progress,
            on_epoch=epoch_over,
            keeper=keeper,
        )
    except TrainingDiverged as error:
        raise TrainingDiverged(f"{error}{checkpoints.left_behind()}") from error
    except WorkerFailed as error:
        on = f"; go on with --resume {plan.out}" if checkpoints.any() else ""
        raise WorkerFailed(f"{error}{on}") from error
    val = predict_probabilities(model, dataset.images[split.val], preprocessing, plan.threads)
    temperature = fit_temperature(log_probabilities(val), dataset.labels[split.val])
    return replace(saved, notes=saved.notes | {"temperature": temperature}), result


def _training_images(
    plan: Plan, dataset: Dataset, split: Split, preprocessing: Preprocessing, request: StopRequest
) -> Batch:
    """What is learned from: the training letters, and the same as read off drawn pages."""
    images, labels = dataset.images[split.train], dataset.labels[split.train]
    if not plan.photos:
        return images, labels
    names = [dataset.class_names[label] for label in labels]
    with progress_bar(plan.photos * len(images), "letters on drawn pages") as advance:

        def over(count: int) -> None:
            advance(count)
            if request.signum is not None:
                raise Stopped("stopped before the training began", request.signum)

        cores = plan.threads or usable_cores()
        pages = photograph(images, names, preprocessing, plan.photos, plan.seed, cores, over)
    return np.concatenate([images, pages]), np.tile(labels, 1 + plan.photos)


def _keep_best(checkpoints: Checkpoints, saved: SavedModel, reporter: Reporter) -> None:
    try:
        checkpoints.save_best(saved)
    except InputError as error:  # the training is worth more than a copy of its weights
        reporter.say(f"WARNING: training goes on, but its best model is not kept: {error}")


def _start(
    plan: Plan,
    ops: Ops,
    dataset: Dataset,
    split: Split,
    checkpoints: Checkpoints,
    reporter: Reporter,
) -> tuple[State | None, dict[str, Any]]:
    """The state to go on from, if any, and what run it is of.

    The number of threads is a run's own: sums of floats depend on it.
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
    """A data source that means the same from another working directory."""
    return str(Path(data).absolute()) if Path(data).exists() else data


def _fingerprint(dataset: Dataset, split: Split) -> str:
    """A digest of what is trained and validated on."""
    digest = hashlib.sha256()
    for part in (split.train, split.val):
        digest.update(np.ascontiguousarray(dataset.images[part]).data)
        digest.update(np.ascontiguousarray(dataset.labels[part]).data)
    return digest.hexdigest()


def _leave_results(
    plan: Plan, saved: SavedModel, dataset: Dataset, split: Split, overlap: Overlap, result: Fit
) -> tuple[dict[str, Any], Finished]:
    """Write RESULTS but for the pictures; the content of metrics.json, and what to draw."""
    # Of an earlier run, lest the old and the new stand side by side.
    for name in (*RESULTS, *OF_WRITERS, *FORMER):
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
