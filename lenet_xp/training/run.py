"""One training run, from a data source to a tested model on disk."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.data.account import account_lines
from lenet_xp.data.dataset import Dataset, Request
from lenet_xp.data.sources import framing_of, load_dataset, load_stream
from lenet_xp.data.splits import Overlap, Split, by_folds, honest_split
from lenet_xp.data.stream import BLOCK
from lenet_xp.data.writers import known_writers
from lenet_xp.errors import InputError, WorkerFailed
from lenet_xp.inference import among, worker_count
from lenet_xp.letters import outliers
from lenet_xp.model import Sequential
from lenet_xp.model_file import SavedModel, save_model
from lenet_xp.ops import BACKENDS, Ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.scores.calibration import fit_temperature, log_probabilities
from lenet_xp.scores.refusal import choose_threshold, refusal
from lenet_xp.scores.summary import Scores
from lenet_xp.scores.tables import write_tables
from lenet_xp.system.files import remove_leftovers, write_csv, write_json, write_text
from lenet_xp.system.text import reason_of
from lenet_xp.training import checkpoints as saving
from lenet_xp.training.checkpoints import Checkpoints, CheckpointTimer, State, StopRequest
from lenet_xp.training.doubts import sketch
from lenet_xp.training.loop import EpochProgress, FitResult, LabelledImages, TrainingDiverged, fit
from lenet_xp.training.material import UNSEEN, images_beside, training_images, unseen_beside
from lenet_xp.training.plan import MAX_THREADS, Plan
from lenet_xp.training.record import Finished, check_writable, config_of, record_of, remove_results
from lenet_xp.training.reporter import Epochs, Reporter
from lenet_xp.training.start import Start, new_network, read_start
from lenet_xp.training.teachers import read_teachers


def interrupted_run(out: Path) -> tuple[Plan, str, str]:
    """The plan of the run whose checkpoints a folder holds, its backend and its dtype.

    Raises InputError for a folder without any, and for a run that is finished.
    """
    if (out / "metrics.json").exists() and not _checkpoints(out).any():
        raise InputError(f"{out}: the run is finished; there is nothing to resume")
    _, description = _checkpoints(out).latest(lambda text: None)
    try:
        plan = replace(Plan.from_dict(description["plan"]), out=out, resume=True)
        backend, dtype, threads = (description[name] for name in ("backend", "dtype", "threads"))
        known = backend in BACKENDS and dtype in ("float32", "float64")
        if not known or type(threads) is not int or not 1 <= threads <= MAX_THREADS:
            raise ValueError("its backend, dtype or threads are unknown")
        return plan, backend, dtype
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{out}: its checkpoints are of another version; start again") from error


def train_run(
    plan: Plan,
    ops: Ops,
    reporter: Reporter,
    draw: Callable[[Finished], None] = lambda run: None,
    comm: Any = None,
) -> dict[str, Any]:
    """Train, score the weights chosen on validation once on the test set, write the results.

    Returns the content of metrics.json. Writes RESULTS (tables only with plots), then calls `draw`
    for the pictures. Pictures that cannot be drawn are told to the reporter and do not fail the
    run; its last checkpoint stays, from which a resumed run draws them. An earlier run's results
    are replaced once the training is over. Until all is written there are checkpoints to go on
    from, and the best model so far beside them. comm: see `fit`.
    Raises InputError for data or folders that cannot be used, TrainingDiverged, Stopped.
    """
    with saving.locked(plan.out), saving.stop_requests() as request:
        for folder in (plan.out, _checkpoints(plan.out).folder):
            remove_leftovers(folder)
        check_writable(plan.out)
        if _checkpoints(plan.out).any() and not (plan.resume or plan.overwrite):
            raise InputError(
                f"{plan.out}: holds an unfinished run; choose another --out, add --overwrite, or "
                f"go on with: {saving.resume_command(plan.out)}"
            )
        start = read_start(plan.start, ops) if plan.start else None
        dataset = _loaded(plan, _preprocessing(plan, start))
        for line in account_lines(dataset):
            reporter.say(line)
        split, overlap = honest_split(dataset, plan.split, plan.fold, plan.allow_overlap)
        if overlap:
            reporter.say(_overlap_words(split, overlap))
        if split.folds is not None:
            reporter.say(_few_words(dataset, split))
        if start:
            dataset = start.relabelled(dataset)
        run = _Run(plan, ops, dataset, split, reporter, request, start, comm)
        saved, result, plain = run.trained()
        try:
            record, finished = run.write_results(saved, overlap, result, plain)
        except (InputError, WorkerFailed) as error:
            raise type(error)(f"{error}{_checkpoints(plan.out).way_on()}") from error
        if not plan.plots or run.drawn(draw, finished):
            _checkpoints(plan.out).clear()
        return record


def _loaded(plan: Plan, preprocessing: Preprocessing) -> Dataset:
    how: dict[str, Any] = {"columns": plan.columns, "samples_per_class": plan.samples_per_class}
    how |= {"seed": plan.seed if plan.data_seed is None else plan.data_seed}
    how |= {"skip_bad": plan.skip_bad}
    if not plan.stream:
        return load_dataset(plan.data, preprocessing, cache=plan.cache, **how)
    path = Path(plan.data)
    return load_stream(plan.data, Request(path, path.stem, preprocessing, progress=True, **how))


def _preprocessing(plan: Plan, start: Start | None) -> Preprocessing:
    """What makes the data's pictures into images; InputError for another framing than known."""
    framing = framing_of(plan.data)
    if start is None:
        return replace(plan.recipe.preprocessing(), framing=framing)
    known = start.saved.preprocessing
    if known.framing != framing:
        raise InputError(
            f"{plan.data}: its pictures have the framing {framing!r}, but {start.saved.name} was "
            f"trained with {known.framing!r}; give data of that kind, or train without --from"
        )
    return known


def _checkpoints(out: Path) -> Checkpoints:
    return Checkpoints(out / "checkpoints")


@dataclass(frozen=True)
class _Run:
    """What every part of a run works with, and these parts."""

    plan: Plan
    ops: Ops
    dataset: Dataset
    split: Split
    reporter: Reporter
    request: StopRequest
    start: Start | None
    comm: Any = None

    def part(self, chosen: np.ndarray) -> LabelledImages:
        """The images and labels of one side of the split."""
        return self.dataset.images[chosen], self.dataset.labels[chosen]

    def trained(self) -> tuple[SavedModel, FitResult, np.ndarray]:
        """The trained model, its training, and `SavedModel.plain` of the test images.

        Its temperature and threshold are fitted to the validation images, of few images to those
        that other networks judged.
        """
        plan, ops, dataset, split = self.plan, self.ops, self.dataset, self.split
        preprocessing = _preprocessing(plan, self.start)
        if self.start is None:
            some = dataset.images[split.train[:BLOCK] if plan.stream else split.train]
            preprocessing = plan.recipe.fitted(preprocessing, some)
        model, val = self._network(), self.part(split.val)
        beside = list(images_beside(plan, dataset, preprocessing, self._check))
        train = training_images(plan, dataset, split.train, preprocessing, beside, self._check)
        if self.start:
            self.reporter.say(self.start.words(dataset.class_names, train))
        self.reporter.say(
            f"{plan.recipe.name} on {dataset.name}: {len(train[1]):,} training, "
            f"{len(split.val):,} validation, {len(split.test):,} test images; "
            f"{model.num_parameters:,} parameters; {ops.name} on {ops.device_name}"
        )
        saved = SavedModel(model, preprocessing, dataset.class_names, {})
        teachers: list[Start] = []
        if plan.teachers:
            unseen = dataset.images[np.concatenate([split.val, split.test])]
            teachers = read_teachers(plan.teachers, ops, saved, unseen)
        saved.notes.update(config_of(plan, split, self.start, teachers))
        if not plan.stream:  # else no image is met twice, or all are in files that may go
            saved.notes["learned"] = sketch(dataset.images[split.train])
        result = self._fitted(saved, train, val, teachers)
        if split.folds is None:
            tested = saved.plain(dataset.images[split.test], plan.threads)
            judged, labels = saved.plain(val[0], plan.threads), val[1]
        else:
            judged, labels = self._judged_by_folds(saved, beside), dataset.labels[split.test]
            tested = judged
        saved = replace(saved, temperature=max(self._temperatures(saved, judged, labels)))
        if plan.outliers:
            saved = replace(saved, threshold=choose_threshold(saved.calibrated(judged).sum(1)))
        return saved, result, tested

    def _network(self) -> Sequential:
        names = self.dataset.class_names
        return new_network(self.plan, self.start, self.dataset.name, names, self.ops)

    def _judged_by_folds(self, saved: SavedModel, beside: list[LabelledImages]) -> np.ndarray:
        """What `SavedModel.plain` is of the test images, each from a network that never saw it."""
        plan, split, dataset = self.plan, self.split, self.dataset
        check = partial(self._check, _checkpoints(plan.out).way_on())

        def after_part(progress: EpochProgress) -> None:
            self.reporter.progress(progress)
            check()

        def judge(judged: np.ndarray) -> np.ndarray:
            others, own = np.setdiff1d(split.train, judged), self._network()
            train = training_images(plan, dataset, others, saved.preprocessing, beside, check)
            fit(
                *(own, plan.recipe, train, self.part(others), saved.preprocessing),
                *(plan.seed, plan.threads, after_part),
                on_doubt=lambda text: None,  # the run itself says it
                freeze=plan.freeze,
                comm=self.comm,
            )
            rows = replace(saved, model=own).plain(dataset.images[judged], plan.threads)
            right = int((rows.argmax(1) == dataset.labels[judged]).sum())
            self.reporter.say(f"{right} of {len(judged)} read right by a network without them")
            return rows

        return by_folds(split, judge)

    @cached_property
    def _unseen(self) -> list[LabelledImages]:
        return list(unseen_beside(self.plan, self.dataset, _preprocessing(self.plan, self.start)))

    def _temperatures(
        self, saved: SavedModel, plain: np.ndarray, labels: np.ndarray
    ) -> Iterator[float]:
        """What fits images that were judged, and unseen letters of each generator beside them.

        The highest makes no kind of letters look surer than it is.
        """
        yield fit_temperature(log_probabilities(among(plain, len(saved.class_names))), labels)
        for images, unseen in self._unseen:
            rows = saved.as_trained(images, self.plan.threads)
            yield fit_temperature(log_probabilities(rows), unseen)

    def _check(self, then: str = " before the training began") -> None:
        if self.request.signum is not None:
            raise saving.Stopped(f"stopped{then}", self.request.signum)

    def refusals(self, saved: SavedModel, plain: np.ndarray) -> dict[str, float] | None:
        """How the model refuses test letters, and generated pictures that it has not seen."""
        plan, dataset = self.plan, self.dataset
        if not plan.outliers:
            return None
        letters = self.part(self.split.test)[0]
        how = (letters, dataset.class_names, saved.preprocessing, plan.seed + UNSEEN)
        others = outliers.prepared(len(letters), *how)
        ours, theirs = saved.calibrated(plain), saved.probabilities(others, plan.threads)
        return refusal(ours.sum(1), theirs.sum(1), saved.threshold)

    def _fitted(
        self,
        saved: SavedModel,
        train: LabelledImages,
        val: LabelledImages,
        teachers: Sequence[Start],
    ) -> FitResult:
        """Fit the model of `saved`, from a checkpoint if there is one, and save checkpoints."""
        plan, reporter, checkpoints = self.plan, self.reporter, _checkpoints(self.plan.out)
        state, description = self._start(checkpoints, teachers)
        timer = CheckpointTimer(
            checkpoints, description, state, plan.checkpoint_every, self.request, reporter.say
        )
        after_epoch = Epochs(plan, reporter, saved, len(train[1]), checkpoints, timer)
        if state is not None and (rows := state.values["history"]):
            after_epoch.best = max(rows, key=lambda row: row["val_accuracy"])
        try:
            return fit(
                *(saved.model, plan.recipe, train, val, saved.preprocessing),
                seed=plan.seed,
                threads=description["threads"],
                on_progress=reporter.progress,
                on_epoch=after_epoch,
                checkpointer=timer,
                on_doubt=lambda text: reporter.say(f"WARNING: {text}"),
                freeze=plan.freeze,
                teachers=[teacher.saved.model for teacher in teachers],
                comm=self.comm,
            )
        except TrainingDiverged as error:
            raise TrainingDiverged(f"{error}{checkpoints.remains()}") from error
        except WorkerFailed as error:
            raise WorkerFailed(f"{error}{checkpoints.way_on()}") from error

    def _start(
        self, checkpoints: Checkpoints, teachers: Sequence[Start]
    ) -> tuple[State | None, dict[str, Any]]:
        """The state to go on from, if there is one, and the description of its run."""
        plan, ops = self.plan, self.ops
        description = {
            "plan": plan.to_dict()
            | {"data": _absolute(plan.data), "start": plan.start and _absolute(plan.start)}
            | {"teachers": [*map(_absolute, plan.teachers)]},
            "backend": ops.name,
            "dtype": ops.dtype_name,
            "threads": worker_count(ops, plan.threads),  # sums of floats depend on it
            "ranks": self.comm is not None,  # and on this
            "images": self._fingerprint(),
            "start": self.start and self.start.digest,
            "teachers": [teacher.digest for teacher in teachers],
        }
        if not plan.resume:
            checkpoints.clear()
            return None, description
        state, started = checkpoints.latest(self.reporter.say)
        if started.get("images") != description["images"]:
            raise InputError(
                f"{plan.data}: these are not the images that the run began with; "
                "give the same with --data, or start the run again"
            )
        if started.get("ranks", False) != description["ranks"]:
            how = "without" if description["ranks"] else "under"
            raise InputError(f"{plan.out}: this run began {how} mpiexec; go on with it so")
        for name, paths in (("start", plan.start), ("teachers", ", ".join(plan.teachers))):
            if started.get(name) != description[name]:
                raise InputError(
                    f"{paths}: not the model that the run began with; put that one there, or "
                    "start the run again"
                )
        saving.check_values(state.values)
        self.reporter.say(f"going on after step {state.step:,}")
        return state, started

    def _fingerprint(self) -> str:
        """A digest of the training and validation images and their labels."""
        digest = hashlib.sha256()
        train = self.split.train[:BLOCK] if self.plan.stream else self.split.train
        for chosen in (train, self.split.val):
            for array in self.part(chosen):
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def write_results(
        self, saved: SavedModel, overlap: Overlap, result: FitResult, plain: np.ndarray
    ) -> tuple[dict[str, Any], Finished]:
        """Write RESULTS without the pictures; return metrics.json's content, and what to draw.

        plain: of the test images, as `trained` gives it.
        """
        plan, dataset, split, out = self.plan, self.dataset, self.split, self.plan.out
        remove_results(out)
        save_model(out / "model.npz", saved)
        write_text(out / "recipe.toml", plan.recipe.as_toml())
        rows = [list(row.values()) for row in result.history]
        write_csv(out / "history.csv", list(result.history[0]), rows)
        labels, probabilities = dataset.labels[split.test], among(plain, len(saved.class_names))
        writers = known_writers(dataset)
        groups = None if writers is None else writers[split.test]
        scores = Scores(labels, probabilities, dataset.class_names, saved.temperature, groups)
        finished = Finished(out, saved, dataset, split, result.history, scores)
        kept = self.start.kept(saved, self._unseen, plan.threads) if self.start else None
        record = record_of(plan, finished, overlap, result, self.refusals(saved, plain), kept)
        write_json(out / "metrics.json", record)
        if plan.plots:
            write_tables(out, scores, {i: dataset.name_of(i) for i in split.test.tolist()})
        return record, finished

    def drawn(self, draw: Callable[[Finished], None], finished: Finished) -> bool:
        """Draw the pictures; False, and a line on how to do it later, where that fails."""
        try:
            draw(finished)
        except Exception as error:  # matplotlib is missing or broken, the disk is full, ...
            checkpoints = _checkpoints(self.plan.out)
            checkpoints.prune(1)
            problem = f"not all pictures could be drawn ({reason_of(error)})"
            self.reporter.say(f"WARNING: {problem}{checkpoints.way_on('draw them later')}")
            return False
        return True


def _absolute(data: str) -> str:
    """A data source as a path that is valid in every working directory."""
    return str(Path(data).absolute()) if Path(data).exists() else data


def _few_words(dataset: Dataset, split: Split) -> str:
    judged = np.unique(dataset.labels[split.test])
    unjudged = [name for i, name in enumerate(dataset.class_names) if i not in judged]
    none = f"; nobody can judge {', '.join(unjudged)}, of one image or its copies" * bool(unjudged)
    return (
        f"few images: all of them train, and networks that never saw them judge {len(split.test)} "
        f"of {len(dataset)}{none}"
    )


def _overlap_words(split: Split, overlap: Overlap) -> str:
    shared = (
        f"split {split.name}: {overlap.train_test:,} training and {overlap.val_test:,} validation "
        f"images are identical to test images, {overlap.train_val:,} training to validation images"
    )
    return f"{shared}; {overlap.dropped:,} left out" if overlap.dropped else f"{shared}; all kept"
