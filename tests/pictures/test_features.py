"""Rows of numbers as images: where each goes, and at which level."""

import numpy as np
import pytest

from lenet_xp.pictures.from_numbers import FeatureImages


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def image_of(rows, shape=None):
    rows = np.asarray(rows)
    return FeatureImages.fitted(rows, shape).apply(rows)


@pytest.mark.parametrize("shape", ((32, 32), None))
def test_grey_levels_of_32_x_32_stay_as_they_are(rng, shape):
    images = rng.integers(20, 200, (5, 32, 32), dtype=np.uint8)
    assert np.array_equal(image_of(images.reshape(5, -1), shape), images)


@pytest.mark.parametrize("convert", (np.float32, np.int64, lambda x: x / 255, lambda x: 3 - x / 9))
def test_pictures_of_other_numbers_share_one_range(rng, convert):
    images = rng.integers(0, 256, (5, 32, 32), dtype=np.uint8)
    images[0, 0, :2] = 0, 255
    expected = 255 - images if convert(1) > 1 and convert(1) > convert(2) else images
    assert np.array_equal(image_of(convert(images.reshape(5, -1))), expected)


def test_small_pictures_are_enlarged_and_centred(rng):
    eight = rng.integers(0, 256, (2, 8, 8), dtype=np.uint8)
    assert np.array_equal(
        image_of(eight.reshape(2, -1), (8, 8)), np.kron(eight, np.ones((4, 4), np.uint8))
    )
    mnist = rng.integers(0, 256, (2, 28, 28), dtype=np.uint8)
    got = image_of(mnist.reshape(2, -1), (28, 28))
    assert np.array_equal(got[:, 2:-2, 2:-2], mnist)
    assert got.sum(dtype=int) == mnist.sum(dtype=int)  # so all around is 0


def test_large_pictures_are_reduced_by_areas(rng):
    image = rng.integers(0, 256, (1, 64, 32), dtype=np.uint8)
    got = image_of(image.reshape(1, -1), (64, 32))
    means = image.reshape(1, 32, 2, 16, 2).mean((2, 4))
    assert np.abs(got[:, :, 8:24] - means).max() <= 1
    assert not got[:, :, :8].any() and not got[:, :, 24:].any()


@pytest.mark.parametrize("count", (1, 2, 3, 5, 9, 30, 1000, 1025, 3000))
def test_every_column_of_a_table_is_seen(rng, count):
    """Each has a range of its own; its lowest number is 0 and its highest 255, wherever it is."""
    table = rng.normal(size=(6, count)) * 10.0 ** rng.integers(-3, 4, count)
    features = FeatureImages.fitted(table)
    assert not features.apply(table.min(axis=0)[None]).any()
    for column in {0, count // 2, count - 1}:
        row = table.min(axis=0)
        row[column] = table[:, column].max()
        level = features.apply(row[None]).max()
        assert level == 255 if count <= 1024 else level > 10  # there it shares pixels


def test_unseen_numbers_are_cut_off():
    features = FeatureImages.fitted(np.array([[0.0, 5.0], [1.0, 5.0]]))
    levels = [np.unique(features.apply(np.array([row]))) for row in ([-9.0, 5.0], [9.0, 5.0])]
    assert [each.tolist() for each in levels] == [[0], [0, 255]]
    assert not features.apply(np.array([[0.0, 7.0]])).any()  # the second column never varied


def test_the_largest_numbers_do_not_overflow():
    rows = np.array([[-1.7e308], [0.0], [1.7e308]])
    with np.errstate(all="raise"):
        assert image_of(rows)[:, 0, 0].tolist() == [0, 128, 255]


def test_a_row_becomes_the_same_image_in_any_company(rng):
    table = rng.normal(size=(5000, 7))
    features = FeatureImages.fitted(table)
    assert np.array_equal(features.apply(table)[4321:], features.apply(table[4321:]))
