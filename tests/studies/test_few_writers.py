"""The learning curve over writers says of each row how many writers were learned from."""

from dataclasses import replace

import numpy as np

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.splits import Split
from lenet_xp.model import LeNet5
from lenet_xp.model_file import SavedModel
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from studies import few_writers


def test_rows_tell_writers_learned_from_and_not_those_tested_on(monkeypatch):
    for name in ("BEST", "FINE_TUNING"):
        monkeypatch.setattr(few_writers, name, replace(getattr(few_writers, name), epochs=1))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 32, 32), dtype=np.uint8)
    dataset = Dataset("letters", images, np.arange(60) % 3, ("a", "b", "c"))
    writers = np.arange(60) // 6  # ten
    parts = (
        np.flatnonzero(np.isin(writers, part)) for part in ((0, 1, 2, 3, 4, 5), (6,), (7, 8, 9))
    )
    ops = get_ops("numpy")
    model = SavedModel(
        LeNet5(3, ops=ops, activation="relu", squash_pools=False),
        Preprocessing(),
        dataset.class_names,
        {},
    )
    rows = few_writers.learning_curve(dataset, writers, Split("writer", *parts), model, (2, 4), ops)
    told = [(row["writers"], row["images"], row["start"]) for row in rows]
    starts = ("nothing", "generated letters")
    assert told[0] == (0, 0, "generated letters")
    assert told[1:] == [(count, 6 * count, start) for count in (2, 4) for start in starts]
    assert all("writer_accuracy_interval" in row for row in rows)
