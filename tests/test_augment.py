"""Distortion: where ink goes, and that it goes nowhere else."""

import numpy as np
import pytest

from lenet_xp.data.augment import Distortion
from lenet_xp.data.warp import basis

ALL = Distortion(rotation=7, shear=0.12, scale=0.08, shift=1.2, elastic=0.9)


def noise(count, size=32):
    return np.random.default_rng(count).integers(0, 256, (count, size, size), dtype=np.uint8)


def blob(x, y, size=48):
    """One image with round ink about (x, y), measured from the centre."""
    axis = np.arange(size) - (size - 1) / 2
    distance = (axis[:, None] - y) ** 2 + (axis - x) ** 2
    return np.rint(255 * np.exp(-distance / 8)).astype(np.uint8)[None]


def centre(image):
    """Where the ink of an image is, from its centre: x, y."""
    axis = np.arange(len(image)) - (len(image) - 1) / 2
    return np.array([image.sum(0) @ axis, image.sum(1) @ axis]) / image.sum(dtype=float)


@pytest.mark.parametrize("size", [32, 33, 64])
@pytest.mark.parametrize("count", [1, 7, 1200])  # 1200 do not fit OpenCV's largest picture
def test_no_strength_is_no_change(size, count):
    images = noise(count, size)
    still = Distortion()
    moved = still.apply(images, still.draw(np.random.default_rng(0), count))
    np.testing.assert_array_equal(moved, images)


def test_the_generator_decides():
    images = noise(9)
    first, again, other = (
        ALL.apply(images, ALL.draw(np.random.default_rng(seed), 9)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, images)
    np.testing.assert_array_equal(images, noise(9))  # the originals stay


@pytest.mark.parametrize("offset", [(3, 0), (-2, 0), (0, 4), (0, -5), (1.5, -2.25)])
def test_a_shift_moves_ink_against_the_source_offset(offset):
    coefficients = Distortion().draw(np.random.default_rng(0), 1)
    coefficients[:, 0, 0] = offset  # each pixel is fetched from so far to the right and below
    moved = Distortion().apply(blob(2, -3), coefficients)[0]
    np.testing.assert_allclose(centre(moved) - centre(blob(2, -3)[0]), -np.array(offset), atol=0.05)
    if offset == (3, 0):
        np.testing.assert_array_equal(moved[:, :-3], blob(2, -3)[0][:, 3:])


@pytest.mark.parametrize(
    "distortion",
    [Distortion(rotation=15), Distortion(shear=0.3), Distortion(scale=0.2), Distortion(shift=3)],
)
def test_affine_maps_take_ink_where_their_inverse_says(distortion):
    for seed in range(5):
        coefficients = distortion.draw(np.random.default_rng(seed), 1)
        offset, matrix = coefficients[:, 0, 0], coefficients[:, 0, 1:3]
        target = np.linalg.solve(matrix, np.array([7.0, -5.0]) - offset)
        moved = distortion.apply(blob(7, -5), coefficients)[0]
        np.testing.assert_allclose(centre(moved), target, atol=0.1)
        if distortion.rotation:  # it turns, and neither stretches nor mirrors
            np.testing.assert_allclose(matrix @ matrix.T, np.eye(2), atol=1e-5)
            assert np.linalg.det(matrix) > 0
        if distortion.shear:  # rows slide along themselves
            np.testing.assert_allclose(matrix[1], [0, 1], atol=1e-6)


def test_strengths_are_standard_deviations():
    many = Distortion(rotation=7, shift=1.2).draw(np.random.default_rng(0), 20_000)
    angles = np.rad2deg(np.arctan2(many[1, :, 1], many[0, :, 1]))
    assert angles.std() == pytest.approx(7, rel=0.03)
    assert many[:, :, 0].std(axis=1) == pytest.approx([1.2, 1.2], rel=0.03)
    scaled = Distortion(scale=0.1).draw(np.random.default_rng(0), 20_000)
    assert np.log(scaled[0, :, 1]).std() == pytest.approx(0.1, rel=0.03)
    assert np.log(scaled[1, :, 2]).std() == pytest.approx(0.1, rel=0.03)
    slants = Distortion(shear=0.2).draw(np.random.default_rng(0), 20_000)[0, :, 2]
    assert slants.std() == pytest.approx(0.2, rel=0.03)
    bumps = Distortion(elastic=0.9).draw(np.random.default_rng(0), 4000)[:, :, 3:]
    displacement = bumps @ basis(32, 4)[3:]
    np.testing.assert_allclose(displacement.std(axis=1), 0.9, rtol=0.08)  # the same everywhere


def test_elastic_displacement_is_smooth():
    elastic = Distortion(elastic=1.0)
    maps = elastic.draw(np.random.default_rng(3), 50)[:, :, 3:] @ basis(32, 4)[3:]
    steps = np.diff(maps.reshape(2, 50, 32, 32), axis=-1)
    assert np.abs(steps).max() < 0.7 and np.abs(maps).max() > 1.5


def test_a_large_batch_is_as_many_small_ones():
    images = np.concatenate([blob(x, y, 32) for x in range(-9, 10) for y in range(-9, 10)] * 6)
    coefficients = ALL.draw(np.random.default_rng(4), len(images))
    assert len(images) * 34 > 2 * 32_000
    whole = ALL.apply(images, coefficients).astype(int)
    for start in range(0, len(images), 95):
        part = slice(start, start + 95)
        small = ALL.apply(images[part], np.ascontiguousarray(coefficients[:, part]))
        # OpenCV keeps 1/32 of a pixel, which rounds elsewhere at another height.
        assert np.abs(whole[part] - small).max() <= 6


def test_no_ink_leaks_into_the_neighbours():
    wild = Distortion(rotation=40, shear=0.5, scale=0.5, shift=12, elastic=6)
    images = np.zeros((1500, 32, 32), np.uint8)
    images[::2] = 255
    moved = wild.apply(images, wild.draw(np.random.default_rng(5), 1500))
    assert not moved[1::2].any()
    assert (moved[::2].max(axis=(1, 2)) == 255).mean() > 0.9
    assert (moved[::2].min(axis=(1, 2)) == 0).mean() > 0.9  # paper flows in at the sides


@pytest.mark.parametrize("field", ["rotation", "shear", "scale", "shift", "elastic"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_strengths_are_validated(field, value):
    with pytest.raises(ValueError, match="distortion"):
        Distortion(**{field: value})


def test_the_grid_is_validated():
    with pytest.raises(ValueError, match="grid"):
        Distortion(grid=1)
