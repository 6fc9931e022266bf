"""One training run, from a data source to a tested model on disk."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.data.account import account_lines, split_lines
from lenet_xp.data.dataset import Dataset, Request
from lenet_xp.data.sources import GENERATORS, framing_of, load_dataset, load_stream
from lenet_xp.data.splits import Overlap, Split, by_folds, digests, honest_split
from lenet_xp.data.stream import BLOCK
from lenet_xp.data.writers import known_writers
from lenet_xp.errors import InputError, WorkerFailed
from lenet_xp.inference import among
from lenet_xp.letters import outliers
from lenet_xp.model import Sequential
from lenet_xp.model_file import SavedModel, save_model
from lenet_xp.ops import Ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.scores.calibration import fit_temperature, log_probabilities
from lenet_xp.scores.refusal import choose_threshold, refusal
from lenet_xp.scores.summary import Scores
from lenet_xp.scores.tables import write_tables
from lenet_xp.system.files import remove_leftovers, write_csv, write_json, write_text
from lenet_xp.system.text import reason_of
from lenet_xp.training import checkpoints as saving
from lenet_xp.training.checkpoints import Checkpoints, CheckpointTimer, State, StopRequest
from lenet_xp.training.doubts import learned_by, sketch
from lenet_xp.training.interrupted import described
from lenet_xp.training.loop import EpochProgress, FitResult, LabelledImages, TrainingDiverged, fit
from lenet_xp.training.material import UNSEEN, images_beside, training_images, unseen_beside
from lenet_xp.training.plan import Plan
from lenet_xp.training.record import Finished, check_writable, config_of, record_of, remove_results
from lenet_xp.training.reporter import Epochs, Reporter
from lenet_xp.training.start import Start, new_network, read_start
from lenet_xp.training.teachers import check_teachers, read_teachers


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
        check_free(plan)
        start = read_start(plan.start, ops) if plan.start else None
        teachers = read_teachers(plan.teachers, ops)
        dataset = _loaded(plan, _preprocessing(plan, start))
        for line in account_lines(dataset):
            reporter.say(line)
        split, overlap = honest_split(dataset, plan.split, plan.fold, plan.allow_overlap)
        for line in split_lines(dataset, split, overlap):
            reporter.say(line)
        if split.folds is not None and (teachers or plan.data_seed is not None):
            raise InputError(
                f"{plan.data}: too few images for teachers, which know those that networks must "
                "judge that never saw them; give more, or take a recipe without teachers"
            )
        if start:
            dataset = start.relabelled(dataset)
        run = _Run(plan, ops, dataset, split, reporter, request, start, teachers, comm)
        saved, result, plain = run.trained()
        try:
            record, finished = run.write_results(saved, overlap, result, plain)
        except (InputError, WorkerFailed) as error:
            raise type(error)(f"{error}{_checkpoints(plan.out).way_on()}") from error
        if not plan.plots or run.drawn(draw, finished):
            _checkpoints(plan.out).clear()
        return record


def check_free(plan: Plan) -> None:
    """InputError where an unfinished run stands in the folder of another."""
    if _checkpoints(plan.out).any() and not (plan.resume or plan.overwrite):
        raise InputError(
            f"{plan.out}: holds an unfinished run; choose another --out, add --overwrite, or "
            f"go on with: {saving.resume_command(plan.out)}"
        )


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
    teachers: Sequence[Start]
    comm: Any = None

    def part(self, chosen: np.ndarray) -> LabelledImages:
        """The images and labels of one side of the split."""
        return self.dataset.images[chosen], self.dataset.labels[chosen]

    def trained(self) -> tuple[SavedModel, FitResult, np.ndarray]:
        """The trained model, its training, and `SavedModel.plain` of the test images.

        Its temperature and threshold are fitted to the validation images, of few images to those
        that other networks judged.
        """
        plan, dataset, split = self.plan, self.dataset, self.split
        preprocessing = _preprocessing(plan, self.start)
        if self.start is None:
            some = dataset.images[split.train[:BLOCK] if plan.stream else split.train]
            preprocessing = plan.recipe.fitted(preprocessing, some)
        model, val = self._network(), self.part(split.val)
        kept_out = self._tested if plan.beside else set()
        how = preprocessing, kept_out, self.reporter.say, self._check
        beside = list(images_beside(plan, dataset, *how))
        train = training_images(plan, dataset, split.train, preprocessing, beside, self._check)
        self._announce(model, train)
        saved = SavedModel(model, preprocessing, dataset.class_names, {})
        known = self.teachers and not plan.allow_overlap
        check_teachers(self.teachers, saved, self._tested if known else set())
        saved.notes.update(config_of(plan, split, self.start, self.teachers))
        if learned := " ".join(sorted(self._learned(beside))):
            saved.notes["learned"] = learned
        result = self._fitted(saved, train, val)
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

    def _announce(self, model: Sequential, train: LabelledImages) -> None:
        """Tell what a network is trained from and with, before the first epoch."""
        plan, ops, dataset, split = self.plan, self.ops, self.dataset, self.split
        if self.start:
            self.reporter.say(self.start.words(dataset.class_names, train))
        if self.start and self._met:
            self.reporter.say(
                f"WARNING: {self.start.saved.name} has learned from images that this run validates "
                "or tests with: the accuracy is not that on new images"
            )
        self.reporter.say(
            f"{plan.recipe.name} on {dataset.name}: {len(train[1]):,} training, "
            f"{len(split.val):,} validation, {len(split.test):,} test images; "
            f"{model.num_parameters:,} parameters; {ops.name} on {ops.device_name}"
        )

    @cached_property
    def _tested(self) -> set[str]:
        """Digests of the validation and test images."""
        return set(digests(self.dataset.images[np.concatenate([self.split.val, self.split.test])]))

    def _learned(self, beside: Sequence[LabelledImages]) -> set[str]:
        """Digests of some images that the network knows: its own, and through other models.

        None of a stream's own: no image is met twice, or all are in files that may go.
        """
        own = [] if self.plan.stream else [self.dataset.images[self.split.train]]
        sources = (word.rpartition(":")[0] for word in self.plan.beside)
        pairs = zip(sources, beside, strict=True)
        own += [images for source, (images, _) in pairs if source not in GENERATORS]
        others = [*self.teachers, *([self.start] if self.start else [])]
        return set().union(*map(sketch, own), *(learned_by(each.saved.notes) for each in others))

    @cached_property
    def _met(self) -> bool:
        """Whether the model to start from knows images that validate or test this run."""
        known = learned_by(self.start.saved.notes) if self.start else set()
        return bool(known) and not self._tested.isdisjoint(known)

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
    ) -> FitResult:
        """Fit the model of `saved`, from a checkpoint if there is one, and save checkpoints."""
        plan, reporter, checkpoints = self.plan, self.reporter, _checkpoints(self.plan.out)
        state, description = self._start(checkpoints)
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
                teachers=[teacher.saved.model for teacher in self.teachers],
                comm=self.comm,
            )
        except TrainingDiverged as error:
            raise TrainingDiverged(f"{error}{checkpoints.remains()}") from error
        except WorkerFailed as error:
            raise WorkerFailed(f"{error}{checkpoints.way_on()}") from error

    def _start(self, checkpoints: Checkpoints) -> tuple[State | None, dict[str, Any]]:
        """The state to go on from, if there is one, and the description of its run."""
        plan, ops = self.plan, self.ops
        description = {
            **described(plan, ops),
            "ranks": self.comm is not None,  # sums of floats depend on it, as on threads
            "images": self._fingerprint(),
            "start": self.start and self.start.digest,
            "teachers": [teacher.digest for teacher in self.teachers],
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
        known = saved, self._unseen, self._met, plan.threads
        kept = self.start.kept(*known) if self.start else None
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
