"""Splits: disjoint, complete, stratified, repeatable, and the seed's test set exactly."""

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.splits import make_split
from lenet_xp.errors import InputError


def dataset(counts=(100, 60, 40), source_train=None):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    names = tuple("abcdefgh"[: len(counts)])
    images = np.zeros((len(labels), 8, 8), np.uint8)
    return Dataset("made", images, labels, names, source_train=source_train)


@pytest.mark.parametrize("source_train", [None, 150])
def test_every_image_is_in_one_part(source_train):
    data = dataset(source_train=source_train)
    split = make_split(data)
    together = np.concatenate([split.train, split.val, split.test])
    np.testing.assert_array_equal(np.sort(together), np.arange(len(data)))
    again = make_split(data)
    for part in ("train", "val", "test"):
        np.testing.assert_array_equal(getattr(split, part), getattr(again, part))


def test_seed_split_is_the_seed_projects_with_validation_from_its_training_part():
    data = dataset()
    split = make_split(data, "seed")
    train, test = train_test_split(
        np.arange(200), test_size=0.2, stratify=data.labels, random_state=42
    )
    np.testing.assert_array_equal(split.test, test)
    assert set(split.val) < set(train) and (len(split.train), len(split.val)) == (144, 16)
    np.testing.assert_array_equal(np.bincount(data.labels[split.test]), [20, 12, 8])
    np.testing.assert_array_equal(np.bincount(data.labels[split.val]), [8, 5, 3])


def test_source_split_keeps_the_sources_own_test_set():
    split = make_split(dataset(source_train=150))
    assert split.name == "source"
    np.testing.assert_array_equal(split.test, np.arange(150, 200))
    assert (len(split.train), len(split.val)) == (135, 15)
    assert make_split(dataset(source_train=150), "seed").name == "seed"
    assert make_split(dataset()).name == "seed"


@pytest.mark.parametrize(
    "data, name, word",
    [
        (dataset(), "writers", "'writers'"),
        (dataset(), "source", "no test set"),
        (dataset((40, 1)), "seed", "'b'"),
        (dataset((40, 0, 40)), "seed", "'b'"),
        (dataset((3, 3, 3)), "seed", "too few"),
        (dataset((2, 2, 2), 4), "source", "too few"),
        (dataset((1,) * 8), None, "too few"),
        (dataset((30, 2)), "seed", "'b'"),
    ],
)
def test_what_cannot_be_split_is_refused(data, name, word):
    with pytest.raises(InputError, match=word) as caught:
        make_split(data, name)
    assert "\n" not in str(caught.value)


def test_mnist_has_its_own_10000_test_images():
    labels = np.arange(70_000) % 10
    images = np.zeros((70_000, 1, 1), np.uint8)
    split = make_split(Dataset("mnist", images, labels, tuple("0123456789"), source_train=60_000))
    assert (len(split.train), len(split.val), len(split.test)) == (54_000, 6_000, 10_000)
    assert split.test.min() == 60_000
