"""The pictures of a run: which letter is shown on its way, and what any network leaves."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from lenet_xp import plots
from lenet_xp.commands.pictures import SHOWN_LETTER, draw_run
from lenet_xp.data.dataset import Dataset
from lenet_xp.data.splits import Split
from lenet_xp.layers import Conv2D, Flatten, Layer, Linear, MaxPool2D, ReLU
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.model_file import SavedModel
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.scores.summary import Scores
from lenet_xp.training.record import Finished

ROW = {"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 32, 32), dtype=np.uint8)


def finished(out: Path, model: Sequential, names: tuple[str, ...] = ("a", "b", "c")) -> Finished:
    split = Split("seed", np.arange(4), np.arange(4, 8), np.arange(8, 12))
    dataset = Dataset("some", IMAGES, np.arange(12) % 3, names)
    saved = SavedModel(model, Preprocessing(), names, {})
    scores = Scores(dataset.labels[split.test], np.full((4, 3), 1 / 3), names)
    history = [{**ROW, "learning_rate": 0.1, "seconds": 1.0}]
    return Finished(out, saved, dataset, split, history, scores)


def test_letters_are_shown_by_a_generated_one_and_others_by_their_own(tmp_path, monkeypatch):
    shown, draw = [], plots.feature_maps

    def feature_maps(image, stages):
        shown.append(image)
        return draw(image, stages)

    monkeypatch.setattr(plots, "feature_maps", feature_maps)
    for names in ((SHOWN_LETTER, "b", "c"), ("a", "b", "c")):
        draw_run(finished(tmp_path, LeNet5(3, ops=get_ops("numpy")), names))
    own, other = ((image == IMAGES).all(axis=(1, 2)).any() for image in shown)
    assert not own and other


def stack() -> list[Layer]:
    """Two 3x3 convolutions with max pools."""
    return [
        *(Conv2D(1, 8, 3, padding=1), ReLU(), MaxPool2D(), Conv2D(8, 16, 3), ReLU(), MaxPool2D()),
        *(Flatten(), Linear(16 * 7 * 7, 3)),
    ]


NETWORKS = {
    "3x3": (stack, ["conv2d_1", "maxpool2d_1", "conv2d_2", "maxpool2d_2"], True),
    "dense": (lambda: [Flatten(), Linear(1024, 8), ReLU(), Linear(8, 3)], [], False),
    "pool alone": (lambda: [MaxPool2D(4), Flatten(), Linear(64, 3)], ["maxpool2d_1"], False),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_any_network_leaves_the_pictures_that_it_has_something_for(tmp_path, monkeypatch, kind):
    layers, names, convolves = NETWORKS[kind]
    shown, draw = {}, plots.feature_maps

    def feature_maps(image, stages):
        shown.update(stages)
        return draw(image, stages)

    monkeypatch.setattr(plots, "feature_maps", feature_maps)
    draw_run(finished(tmp_path, Sequential(layers(), (1, 32, 32), get_ops("numpy"))))
    assert list(shown) == names and all(maps.ndim == 3 for maps in shown.values())
    files = {path.name for path in tmp_path.iterdir()}
    assert ("feature_maps.png" in files, "filters.png" in files) == (bool(names), convolves)
    assert files >= {"learning_curves.png", "confusion_matrix.png", "rejection.png"}
    assert all(cv2.imread(str(tmp_path / name)) is not None for name in files)
