"""Test-time averaging against a loop by hand."""

import numpy as np
import pytest

from lenet_xp.inference import predict_probabilities
from lenet_xp.model import LeNet5
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.training.recipes import BEST
from studies.averaging import VIEW_DISTORTION, averaged_probabilities

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 32, 32), dtype=np.uint8)


def test_the_mean_of_readings_one_by_one():
    model = LeNet5(5, seed=3, ops=get_ops("numpy"))
    preprocessing = Preprocessing().fitted(IMAGES)
    averaged = averaged_probabilities(model, IMAGES, preprocessing, 4, seed=7, threads=2)
    rng, expected = np.random.default_rng(7), np.zeros((40, 5))
    for view in range(4):
        changes = VIEW_DISTORTION.draw(rng, 40) if view else None
        seen = IMAGES if changes is None else VIEW_DISTORTION.apply(IMAGES, changes)
        for place, image in enumerate(seen):
            expected[place] += predict_probabilities(model, image[None], preprocessing)[0] / 4
    np.testing.assert_allclose(averaged, expected, atol=1e-6)
    np.testing.assert_allclose(averaged.sum(axis=1), 1)
    single = predict_probabilities(model, IMAGES, preprocessing)
    assert not np.allclose(averaged, single, atol=1e-4)
    assert np.array_equal(averaged_probabilities(model, IMAGES, preprocessing, 1), single)


def test_half_of_what_best_trains_with():
    for name in ("rotation", "shear", "scale", "shift", "elastic"):
        assert getattr(VIEW_DISTORTION, name) == pytest.approx(getattr(BEST.distortion, name) / 2)


def test_no_view_is_none():
    with pytest.raises(ValueError, match="at least 1"):
        averaged_probabilities(LeNet5(5), IMAGES, Preprocessing(), 0)
