"""What every case finds beside its folder: letters, arrays, a model, a run that was interrupted."""

import io
import os
import shutil
from contextlib import redirect_stderr
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np

from fuzzing import arrays
from lenet_xp.data.cache import cache_path
from lenet_xp.data.folder import Folder
from lenet_xp.model import LeNet5
from lenet_xp.model_file import SavedModel, save_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2
from lenet_xp.training.checkpoints import CheckpointTimer
from lenet_xp.training.plan import Plan
from lenet_xp.training.recipes import RECIPES
from lenet_xp.training.run import train_run

CLASSES = ("ya", "yan")
EACH = 15


class Interrupted(Exception):
    """The run that is to be resumed ends here."""


class _Silent:
    def say(self, text: str) -> None: ...

    def progress(self, progress: object) -> None: ...

    def epoch(self, row: dict, epochs: int, images: int) -> None: ...


def build(root: Path) -> Path:
    """Make the folder `base` in `root`, unless it is there; its path."""
    base = root / "base"
    if base.exists():
        return base
    base.mkdir(parents=True)
    for label, name in enumerate(CLASSES):
        (base / "letters" / name).mkdir(parents=True)
        for number in range(EACH):
            path = base / "letters" / name / f"{name}_{number}.jpeg"
            cv2.imwrite(str(path), _letter(label, number))
            os.utime(path, (10**9, 10**9))
    np.savez(base / "letters.npz", **arrays.honest())
    saved = SavedModel(LeNet5(2, ops=get_ops("numpy")), Preprocessing(), CLASSES, {"seed": 0})
    save_model(base / "model.npz", saved)
    _interrupt(base)
    return base


def _letter(label: int, number: int) -> np.ndarray:
    image = np.random.default_rng(100 * label + number).integers(230, 250, (24, 24), np.uint8)
    cv2.line(image, (12, 4), (12, 20), 20, 2)
    if label:
        cv2.line(image, (4, 12), (20, 12), 20, 2)
    return image


def _interrupt(base: Path) -> None:
    """Leave in base/run the checkpoints of a run that ended before its last step."""
    out = base / "run"
    out.mkdir()
    recipe = RECIPES["classic"].with_options(epochs=2, batch_size=10)
    run = Plan(
        data=str(base / "letters"),
        recipe=recipe,
        out=out,
        cache=False,
        plots=False,
        threads=1,
        checkpoint_every=1e-9,
    )
    before = CheckpointTimer.after_step

    def stops(keeper: CheckpointTimer, state) -> None:
        before(keeper, state)
        if state().step == 3:
            raise Interrupted

    stopping = mock.patch.object(CheckpointTimer, "after_step", stops)
    with stopping, redirect_stderr(io.StringIO()):
        try:
            train_run(run, get_ops("numpy"), _Silent())
        except Interrupted:
            return
    raise AssertionError("the run was not interrupted")


@cache
def model(base: Path) -> bytes:
    """The content of the model file."""
    return (base / "model.npz").read_bytes()


@cache
def checkpoints(base: Path) -> dict[str, bytes]:
    """The content of the interrupted run's checkpoints, by name, the newest last."""
    return {path.name: path.read_bytes() for path in sorted((base / "run/checkpoints").glob("s*"))}


def cached(base: Path) -> str:
    """The name under which the letters would be kept in a cache."""
    return cache_path(Folder(base / "letters").fingerprint(), Preprocessing(), False).name


def remove(root: Path) -> None:
    """Remove all of it, whatever was made of it."""
    shutil.rmtree(root, ignore_errors=True)
