"""The pictures of a run: which letter is shown on its way through the network."""

import numpy as np

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.splits import Split
from lenet_xp.model import LeNet5
from lenet_xp.model_file import SavedModel
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.plots.run import SHOWN_LETTER, draw_run
from lenet_xp.scores.summary import Scores

ROW = {"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}


def test_letters_are_shown_by_a_generated_one_and_others_by_their_own(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("lenet_xp.plots.feature_maps", lambda image, *_: shown.append(image))
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32), dtype=np.uint8)
    split = Split("seed", np.arange(4), np.arange(4, 8), np.arange(8, 12))
    for names in ((SHOWN_LETTER, "b", "c"), ("a", "b", "c")):
        dataset = Dataset("some", images, np.arange(12) % 3, names)
        saved = SavedModel(LeNet5(3, ops=get_ops("numpy")), Preprocessing(), names, {})
        scores = Scores(dataset.labels[split.test], np.full((4, 3), 1 / 3), names)
        history = [{**ROW, "learning_rate": 0.1, "seconds": 1.0}]
        draw_run(tmp_path, saved, dataset, split, history, scores)
    own, other = ((image == images).all(axis=(1, 2)).any() for image in shown)
    assert not own and other
