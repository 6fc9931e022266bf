"""Pictures that are no letter, by kind, and the record of how well a model tells them."""

import numpy as np
import pytest

from lenet_xp.data.dataset import Dataset
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.model import LeNet5
from lenet_xp.model_file import SavedModel
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from studies.none_of_these import TOTAL, handed_in, kinds, measure

NAMES = tuple(each.name for each in letters())


@pytest.fixture(scope="module")
def dataset():
    images, labels = generate(1, seed=3, finish=Preprocessing().apply_all)
    return Dataset("drawn", images, labels, NAMES)


@pytest.fixture(scope="module")
def digits():
    """Ten images of each digit: a block, larger for larger digits."""
    images = np.zeros((100, 28, 28), np.uint8)
    for digit in range(10):
        images[10 * digit : 10 * digit + 10, 5 : 10 + digit, 5:12] = 255
    return images, np.repeat(np.arange(10), 10)


def test_every_kind_draws_other_pictures_each_time_and_the_same_from_one_seed(dataset, digits):
    drawn = kinds(dataset.images, np.array(NAMES), {2: np.eye(28, dtype=np.uint8)[None] * 255})
    for kind, draw in drawn.items():
        first, second = draw(np.random.default_rng(0)), draw(np.random.default_rng(0))
        assert np.array_equal(first, second) and first.dtype == np.uint8 and first.max() > 100, kind
        picture = handed_in(first)
        assert picture[:5].min() == 255 and picture.min() < 200
        if kind != "digit 2":
            assert len({draw(np.random.default_rng(seed)).tobytes() for seed in range(4)}) > 1


def test_a_record_counts_what_is_refused(dataset, digits, tmp_path):
    images, labels = digits
    np.savez(tmp_path / "mnist.npz", x_test=images, y_test=labels)
    model = LeNet5(33, ops=get_ops("numpy"))
    saved = SavedModel(model, Preprocessing().fitted(dataset.images), NAMES, {})
    record = measure(saved, dataset, np.arange(33), tmp_path / "mnist.npz", 10)
    assert record["letters"] == 30 and record["pictures"] == 10
    assert record["total"]["refused"] == 0.9
    assert record["letters_refused_by_model"] == 0  # it has no threshold
    assert {kind for group in TOTAL.values() for kind in group} < set(record["kinds"])
    for row in record["kinds"].values():
        assert 0 <= row["auroc"] <= 1 and round(10 * row["refused"]) == 10 * row["refused"]
