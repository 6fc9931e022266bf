"""A run in a process that a test may kill, forked from a server that has imported nothing else."""

from pathlib import Path

import numpy as np

from lenet_xp.data.augment import Distortion
from lenet_xp.ops import get_ops
from lenet_xp.training.checkpoints import Checkpoints
from lenet_xp.training.interrupted import interrupted_run
from lenet_xp.training.plan import Plan
from lenet_xp.training.recipes import Recipe
from lenet_xp.training.run import train_run

SGD = Recipe("sgd", epochs=2, batch_size=16, optimiser="nesterov", learning_rate=0.02)
ADAM = SGD.with_options(
    optimiser="adamw",
    learning_rate=2e-3,
    schedule="one-cycle",
    distortion=Distortion(rotation=5, shift=1, elastic=0.5, pen=0.2, blur=0.4),
)
SDLM = SGD.with_options(optimiser="sdlm", learning_rate=5e-4, schedule="1998")


def bars(count: int = 70, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images of a bar at one of three heights, its label."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 90, (count, 32, 32), dtype=np.uint8)
    labels = np.arange(count) % 3
    for image, label in zip(images, labels, strict=True):
        image[8 * label + 5 : 8 * label + 9] = 255
    return images, labels


class Quiet:
    """A reporter that keeps its messages."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)

    def progress(self, progress):
        pass

    def epoch(self, row, epochs, images):
        pass


def plan(data: str, out: Path, **options) -> Plan:
    """A run that leaves a checkpoint after every step."""
    settings = {"cache": False, "plots": False, "threads": 2, "checkpoint_every": 1e-9}
    return Plan(data=data, recipe=ADAM, out=out, **(settings | options))


def begin_or_resume(data: str, out: Path) -> None:
    run = plan(data, out)
    if Checkpoints(out / "checkpoints").any():
        run, *_ = interrupted_run(out)
    train_run(run, get_ops("numpy"), Quiet())


class Interrupted(Exception):
    pass


class StopsAt:
    """A checkpointer that stops a run after so many steps, with its state."""

    def __init__(self, step, state=None):
        self.step, self.state = step, state

    def after_step(self, state):
        state = state()
        if self.step and state.step >= self.step:  # a GPU takes several steps at once
            self.state = state
            raise Interrupted
