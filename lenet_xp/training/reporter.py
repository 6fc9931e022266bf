"""What a run shows while it goes on, and what follows each of its epochs."""

from dataclasses import replace
from typing import Any, Protocol

from lenet_xp.errors import InputError
from lenet_xp.model import Sequential
from lenet_xp.model_file import SavedModel
from lenet_xp.training.checkpoints import Checkpoints, CheckpointTimer
from lenet_xp.training.loop import EpochProgress
from lenet_xp.training.plan import Plan

MAX_ACCURACY_DROP = 0.2  # share: validation accuracy this far below its best is warned of


class Reporter(Protocol):
    """Shows how the run goes."""

    def say(self, text: str) -> None: ...

    def progress(self, progress: EpochProgress) -> None: ...

    def epoch(self, row: dict[str, Any], epochs: int, images: int) -> None: ...


class Epochs:
    """What follows each epoch: a line, a copy of the best model, a warning of a collapse."""

    def __init__(
        self,
        plan: Plan,
        reporter: Reporter,
        saved: SavedModel,
        images: int,
        checkpoints: Checkpoints,
        timer: CheckpointTimer,
    ):
        self.plan, self.reporter, self.timer, self.checkpoints = plan, reporter, timer, checkpoints
        self.saved, self.images = saved, images
        self.best: dict[str, Any] = {"val_accuracy": 0.0, "epoch": 0}

    def __call__(self, row: dict[str, Any], model: Sequential) -> None:
        self.reporter.epoch(row, self.plan.recipe.epochs, self.images)
        accuracy, best = row["val_accuracy"], self.best["val_accuracy"]
        if accuracy > best:
            self.best = row
            try:
                self.checkpoints.save_best(replace(self.saved, model=model))
            except InputError as error:  # the training is worth more than a copy of its weights
                text = f"WARNING: training goes on, but its best model is not kept: {error}"
                self.reporter.say(text)
        elif accuracy < best - MAX_ACCURACY_DROP:
            self.reporter.say(
                f"WARNING: validation accuracy fell to {accuracy:.2%} from {best:.2%}: the "
                f"learning rate may be too high; the weights of epoch {self.best['epoch']} are kept"
            )
        if row["epoch"] == self.plan.recipe.epochs:
            self.timer.after_last_epoch()
