"""Distortion: where ink goes, and that it goes nowhere else; what is drawn, and what is not."""

import json
from dataclasses import asdict, fields, replace

import image_oracle
import numpy as np
import pytest
from tolerances import FETCHED, GREY_LEVEL

from lenet_xp.data.augment import MAX_WIDENING, MIN_WIDENING, REMOVED, Changes, Distortion, basis

ALL = Distortion(rotation=7, shear=0.12, scale=0.08, shift=1.2, elastic=0.9)
EFFECTS = {"pen": 0.3, "blur": 0.4}
EVERYTHING = replace(ALL, **EFFECTS)
STRENGTHS = [field.name for field in fields(Distortion) if field.name != "grid"]
DRAWN = {"pen": "widths", "blur": "blurs"}


def some(changes, part):
    """The changes of some images."""
    rest = [None if each is None else each[part] for each in changes[1:]]
    return Changes(np.ascontiguousarray(changes.coefficients[:, part]), *rest)


def smooth_letters():
    """Three images of soft blobs: (3, 32, 32) uint8."""
    image = np.exp(-((np.arange(32)[:, None] - 11.5) ** 2 + (np.arange(32) - 18.5) ** 2) / 40)
    image = np.rint(255 * image).astype(np.uint8)
    return np.stack([image, image.T, 255 - image])


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


@pytest.mark.parametrize("distortion", [ALL, EVERYTHING])
def test_the_generator_decides(distortion):
    images = noise(9)
    first, again, other = (
        distortion.apply(images, distortion.draw(np.random.default_rng(seed), 9))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, images)
    np.testing.assert_array_equal(images, noise(9))  # the originals stay


@pytest.mark.parametrize(("count", "size"), [(1, 32), (4, 33), (3, 8)])
def test_pixels_come_from_where_the_map_says(count, size):
    images = noise(count, size)
    changes = Changes(EVERYTHING.draw(np.random.default_rng(8), count).coefficients)
    moved = EVERYTHING.apply(images, changes)
    maps = changes.coefficients.astype(float) @ basis(size, 4) + (size - 1) / 2
    x, y = maps.reshape(2, count, size, size)
    for index in range(count):
        expected = image_oracle.warped(images[index], x[index], y[index])
        np.testing.assert_allclose(moved[index], expected, atol=FETCHED)
        assert np.abs(moved[index] - expected).mean() < 1.5


@pytest.mark.parametrize("offset", [(3, 0), (-2, 0), (0, 4), (0, -5), (1.5, -2.25)])
def test_a_shift_moves_ink_against_the_source_offset(offset):
    changes = Distortion().draw(np.random.default_rng(0), 1)
    changes.coefficients[:, 0, 0] = offset  # each pixel is fetched from so far right and below
    moved = Distortion().apply(blob(2, -3), changes)[0]
    np.testing.assert_allclose(centre(moved) - centre(blob(2, -3)[0]), -np.array(offset), atol=0.05)
    if offset == (3, 0):
        np.testing.assert_array_equal(moved[:, :-3], blob(2, -3)[0][:, 3:])


@pytest.mark.parametrize(
    "distortion",
    [Distortion(rotation=15), Distortion(shear=0.3), Distortion(scale=0.2), Distortion(shift=3)],
)
def test_affine_maps_take_ink_where_their_inverse_says(distortion):
    for seed in range(5):
        changes = distortion.draw(np.random.default_rng(seed), 1)
        offset, matrix = changes.coefficients[:, 0, 0], changes.coefficients[:, 0, 1:3]
        target = np.linalg.solve(matrix, np.array([7.0, -5.0]) - offset)
        moved = distortion.apply(blob(7, -5), changes)[0]
        np.testing.assert_allclose(centre(moved), target, atol=0.1)
        if distortion.rotation:  # it turns, and neither stretches nor mirrors
            np.testing.assert_allclose(matrix @ matrix.T, np.eye(2), atol=1e-5)
            assert np.linalg.det(matrix) > 0
        if distortion.shear:  # rows slide along themselves
            np.testing.assert_allclose(matrix[1], [0, 1], atol=1e-6)


def test_strengths_are_standard_deviations():
    def drawn(distortion, count=20_000):
        return distortion.draw(np.random.default_rng(0), count).coefficients

    many = drawn(Distortion(rotation=7, shift=1.2))
    angles = np.rad2deg(np.arctan2(many[1, :, 1], many[0, :, 1]))
    assert angles.std() == pytest.approx(7, rel=0.03)
    assert many[:, :, 0].std(axis=1) == pytest.approx([1.2, 1.2], rel=0.03)
    scaled = drawn(Distortion(scale=0.1))
    assert np.log(scaled[0, :, 1]).std() == pytest.approx(0.1, rel=0.03)
    assert np.log(scaled[1, :, 2]).std() == pytest.approx(0.1, rel=0.03)
    slants = drawn(Distortion(shear=0.2))[0, :, 2]
    assert slants.std() == pytest.approx(0.2, rel=0.03)
    bumps = drawn(Distortion(elastic=0.9), 4000)[:, :, 3:]
    displacement = bumps @ basis(32, 4)[3:]
    np.testing.assert_allclose(displacement.std(axis=1), 0.9, rtol=0.08)  # the same everywhere


def test_elastic_displacement_is_smooth():
    elastic = Distortion(elastic=1.0)
    bumps = elastic.draw(np.random.default_rng(3), 50).coefficients[:, :, 3:]
    maps = bumps @ basis(32, 4)[3:]
    steps = np.diff(maps.reshape(2, 50, 32, 32), axis=-1)
    assert np.abs(steps).max() < 0.7 and np.abs(maps).max() > 1.5


@pytest.mark.parametrize("distortion", [ALL, EVERYTHING])
def test_a_large_batch_is_as_many_small_ones(distortion):
    images = np.concatenate([blob(x, y, 32) for x in range(-9, 10) for y in range(-9, 10)] * 6)
    changes = distortion.draw(np.random.default_rng(4), len(images))
    assert len(images) * 34 > 2 * 32_000
    whole = distortion.apply(images, changes).astype(int)
    for start in range(0, len(images), 95):
        part = slice(start, start + 95)
        small = distortion.apply(images[part], some(changes, part))
        # OpenCV 4 keeps 1/32 of a pixel, which rounds elsewhere at another height.
        assert np.abs(whole[part] - small).max() <= FETCHED


@pytest.mark.parametrize("effects", [{}, {"pen": 1, "blur": 1}])
def test_no_ink_leaks_into_the_neighbours(effects):
    wild = Distortion(rotation=40, shear=0.5, scale=0.5, shift=12, elastic=6, **effects)
    images = np.zeros((1500, 32, 32), np.uint8)
    images[::2] = 255
    moved = wild.apply(images, wild.draw(np.random.default_rng(5), 1500))
    assert not moved[1::2].any()
    if not effects:
        assert (moved[::2].max(axis=(1, 2)) == 255).mean() > 0.9
    assert (moved[::2].min(axis=(1, 2)) == 0).mean() > 0.9  # paper flows in at the sides


@pytest.mark.parametrize("field", STRENGTHS)
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_strengths_are_validated(field, value):
    with pytest.raises(ValueError, match="distortion"):
        Distortion(**{field: value})


def test_the_grid_is_validated():
    with pytest.raises(ValueError, match="grid"):
        Distortion(grid=1)


@pytest.mark.parametrize("distortion", [Distortion(), EVERYTHING])
def test_a_record_gives_the_distortion_back(distortion):
    recorded = json.loads(json.dumps(asdict(distortion)))
    assert Distortion.from_dict(recorded) == distortion
    older = recorded | dict.fromkeys(REMOVED, 0.0)
    assert Distortion.from_dict(older) == distortion


@pytest.mark.parametrize("name", ["crop", "gain", "gamma", "noise"])
@pytest.mark.parametrize("value", [0.5, -1, float("nan"), None, "0", [0]])
def test_a_strength_that_is_gone_must_have_been_off(name, value):
    with pytest.raises(ValueError, match=f"a distortion has no '{name}'"):
        Distortion.from_dict({"rotation": 7.0, name: value})


@pytest.mark.parametrize("values", [{"twist": 0.0}, {"grid": "4"}, {"shear": "0"}, [], "best", 7])
def test_what_is_no_distortion_is_refused(values):
    with pytest.raises((TypeError, ValueError)):
        Distortion.from_dict(values)


def test_recorded_draws_and_images_stay():
    """Of the first version, whose runs are on record: `best`'s strengths, seed 7, 3 images."""
    rng = np.random.default_rng(7)
    changes = ALL.draw(rng, 3)
    assert rng.random() == 0.9678280510488214  # as many numbers were drawn
    assert changes[1:] == (None, None)
    assert changes.coefficients.shape == (2, 3, 19)
    np.testing.assert_allclose(
        changes.coefficients[0, 0, :5],
        [0.1264971, 1.0048231, -0.1075375, -1.2259036, -0.6859887],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        changes.coefficients[1, 2, [0, 1, 2, 3, 18]],
        [-0.549139, -0.0344558, 1.0324856, 0.3508918, 0.8638078],
        rtol=1e-5,
    )
    moved = ALL.apply(smooth_letters(), changes)
    np.testing.assert_allclose(moved.sum((1, 2)), [31007, 25337, 214045], rtol=1e-3)
    np.testing.assert_allclose(
        moved[0, 10, 15:22], [168, 200, 226, 245, 252, 247, 230], atol=2 * GREY_LEVEL
    )
    np.testing.assert_allclose(moved[2, ::6, 20], [0, 207, 38, 133, 249, 255], atol=2 * GREY_LEVEL)


def test_what_is_on_is_drawn_and_nothing_else_is():
    for name, field in DRAWN.items():
        changes = replace(ALL, **{name: EFFECTS[name]}).draw(np.random.default_rng(5), 6)
        drawn = [each for each in Changes._fields[1:] if getattr(changes, each) is not None]
        assert drawn == [field]
        expected = ALL.draw(np.random.default_rng(5), 6).coefficients
        np.testing.assert_array_equal(changes.coefficients, expected)


def test_what_changes_no_strokes_is_geometric():
    moving = {"rotation": 5.0, "shear": 0.1, "scale": 0.1, "shift": 1.0, "elastic": 0.5}
    assert Distortion(**moving).geometric and Distortion().geometric
    for changing in ({"pen": 0.1}, {"blur": 0.1}, {"pen": 0.1, "blur": 0.1}):
        assert not Distortion(**moving, **changing).geometric


def test_every_effect_has_the_strength_that_is_asked_for():
    changes = EVERYTHING.draw(np.random.default_rng(6), 20_000)
    assert changes.widths.std() == pytest.approx(0.3, rel=0.1)  # both ends are cut off
    assert np.sqrt(changes.blurs / 2).max() <= np.sqrt(0.5)
    weak = Distortion(blur=0.1).draw(np.random.default_rng(6), 20_000).blurs / 2
    assert np.sqrt(weak.mean()) == pytest.approx(0.1, rel=0.03)


def test_wild_strengths_stay_in_bounds():
    wild = Distortion(pen=9, blur=9)
    changes = wild.draw(np.random.default_rng(0), 500)
    assert changes.widths.min() == np.float32(MIN_WIDENING) and changes.widths.max() == MAX_WIDENING
    assert changes.blurs.max() == 1
    with np.errstate(all="raise"):
        moved = wild.apply(noise(500), changes)
    assert moved.dtype == np.uint8


@pytest.mark.parametrize("count", [1, 1001])
@pytest.mark.parametrize("ink", [0, 255])
def test_blank_and_full_images(count, ink):
    images = np.full((count, 32, 32), ink, np.uint8)
    moved = EVERYTHING.apply(images, EVERYTHING.draw(np.random.default_rng(1), count))
    assert moved.shape == images.shape and moved.dtype == np.uint8
    if ink == 0:
        assert not moved.any()
    else:
        assert moved[:, 12:20, 12:20].max(axis=(1, 2)).min() > 255 / 4


def test_no_letter_vanishes():
    strong = Distortion(pen=1)
    dots = np.zeros((2000, 32, 32), np.uint8)
    dots[:, 14:18, 16] = 255
    moved = strong.apply(dots, strong.draw(np.random.default_rng(2), 2000))
    assert moved.max(axis=(1, 2)).min() >= 60


def test_a_place_in_the_stack_changes_nothing():
    """The same image under the same map is the same at the stack's beginning and at its end."""
    strong = Distortion(rotation=7, shear=0.12, scale=0.08, shift=1.2, elastic=0.9)
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (1, 32, 32), dtype=np.uint8)
    for seed in range(5):
        drawn = strong.draw(np.random.default_rng(seed), 1)
        count = 1500  # more than one stacked picture holds
        many = strong.apply(image.repeat(count, 0), Changes(drawn.coefficients.repeat(count, 1)))
        assert (many == many[:1]).all()
