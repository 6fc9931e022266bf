"""Pen and ink: each effect against its naive self, and where it must leave things alone."""

import image_oracle
import numpy as np
import pytest
from tolerances import GREY_LEVEL

from lenet_xp.data.augment import blur, change_width, tall_picture

MANY = 1001  # as a tall picture they are higher than the 32,767 lines that OpenCV can take


def noise(count, size=32):
    return np.random.default_rng(count).integers(0, 256, (count, size, size), dtype=np.uint8)


def on_tall(effect):
    """A change of tall pictures as one of images, which also sees that its paper stays white."""

    def change(images, amounts):
        size = images.shape[1]
        tall = tall_picture(images)
        effect(tall, size, amounts)
        assert not tall[:, [0, -1]].any() and not tall[:, :, size:].any()
        return tall[:, 1:-1, :size]

    return change


def amounts(name, count):
    """What may be drawn for `count` images, both ends and no change at all among it."""
    rng = np.random.default_rng(count)
    values = {
        "width": lambda: np.resize([-0.5, 1.0, 0.0, *rng.uniform(-0.5, 1, 9)], count),
        "blur": lambda: np.resize([1.0, 0.0, *rng.random(9)], count),
    }[name]()
    return values.astype(np.float32)


EFFECTS = {"width": on_tall(change_width), "blur": on_tall(blur)}
NAIVE = {"width": image_oracle.width_changed, "blur": image_oracle.blurred}
every_effect = pytest.mark.parametrize("name", EFFECTS)


@every_effect
@pytest.mark.parametrize(("count", "size"), [(1, 32), (13, 32), (5, 33), (4, 9)])
def test_each_image_is_changed_as_if_alone(name, count, size):
    images, values = noise(count, size), amounts(name, count)
    changed = EFFECTS[name](images, values)
    assert changed.dtype == np.uint8 and changed.shape == images.shape
    for index in range(count):
        expected = NAIVE[name](images[index].astype(float), float(values[index]))
        # Strengths in 128ths or 256ths of a level, and one or two roundings.
        np.testing.assert_allclose(changed[index], expected, atol=GREY_LEVEL + 0.5)


@every_effect
def test_many_images_are_changed_as_few_are(name):
    images, values = noise(MANY), amounts(name, MANY)
    whole = EFFECTS[name](images, values)
    for start in (0, 500, MANY - 1):
        part = slice(start, start + 7)
        few = EFFECTS[name](images[part], values[part])
        np.testing.assert_array_equal(whole[part], few)


@every_effect
def test_paper_stays_white_between_full_images(name):
    images = np.zeros((MANY, 32, 32), np.uint8)
    images[::2] = 255
    changed = EFFECTS[name](images, amounts(name, MANY))
    assert not changed[1::2].any()
    assert changed[::2, 1:-1, 1:-1].min() == 255


@every_effect
def test_an_amount_of_nothing_changes_nothing(name):
    images = noise(1)
    np.testing.assert_array_equal(EFFECTS[name](images, np.zeros(1, np.float32)), images)


@pytest.mark.parametrize("width", [0.25, 0.5, 1.0])
def test_a_wider_pen_adds_its_width_on_both_sides_of_a_stroke(width):
    stroke = np.zeros((1, 32, 32), np.uint8)
    stroke[:, :, 10:14] = 255
    changed = EFFECTS["width"](stroke, np.array([width], np.float32))[0]
    np.testing.assert_allclose(changed.sum(1) / 255, 4 + 2 * width, atol=0.01)


def test_a_thinner_pen_takes_edges_and_leaves_full_ink():
    stroke = np.zeros((1, 32, 32), np.uint8)
    stroke[:, :, 10:13] = 77, 255, 128
    changed = EFFECTS["width"](stroke, np.array([-0.3], np.float32))[0]
    np.testing.assert_allclose(changed[:, 9:14], [[0, 0.5 / 0.7, 255, 51.5 / 0.7, 0]] * 32, atol=1)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_blur_spreads_ink_by_its_variance_and_keeps_it(share):
    dot = np.zeros((1, 33, 33), np.uint8)
    dot[0, 16, 16] = 255
    changed = EFFECTS["blur"](dot, np.array([share], np.float32))[0].astype(float)
    assert changed.sum() == pytest.approx(255, rel=0.02)
    variance = changed.sum(0) @ (np.arange(33) - 16) ** 2 / changed.sum()
    assert variance == pytest.approx(share / 2, rel=0.05)  # of whole levels
