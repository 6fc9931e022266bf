"""Levels, polarity, size and contrast of small pictures against plain Python, pixel by pixel."""

import numpy as np
import pytest

from lenet_xp.errors import InputError
from lenet_xp.pictures.levels import grey_levels
from lenet_xp.pictures.preprocess import Preprocessing, ink_is_dark


def blocks(rng, *shape, low=0, high=256):
    """Pictures of blocks of 4 x 4 pixels at random levels: noise alone would be no ink."""
    *count, height, width = shape
    coarse = rng.integers(low, high, (*count, -(-height // 4), -(-width // 4))).astype(np.uint8)
    return np.ascontiguousarray(coarse.repeat(4, -2).repeat(4, -1)[..., :height, :width])


def test_the_polarity_is_what_most_of_the_picture_and_of_its_rim_are():
    rng = np.random.default_rng(0)
    for side, rim in ((10, 1), (31, 1), (32, 2), (64, 4)):
        pictures = rng.integers(60, 200, (60, side, side)).astype(np.uint8)
        pictures[:, rim:-rim, rim:-rim] //= rng.integers(1, 3, (60, 1, 1)).astype(np.uint8)
        expected = []
        for picture in pictures.tolist():
            everything = [level for row in picture for level in row]
            edge = [
                picture[y][x]
                for y in range(side)
                for x in range(side)
                if min(x, y, side - 1 - x, side - 1 - y) < rim
            ]
            means = [sum(levels) / len(levels) for levels in (everything, edge)]
            expected.append(sum(means) >= min(everything) + max(everything))
        assert ink_is_dark(pictures).tolist() == expected
        assert 5 < sum(expected) < 60
    assert ink_is_dark(np.full((1, 10, 10), 7, np.uint8)).tolist() == [True]


def test_grey_levels_of_colours_are_their_luma():
    rgb = np.random.default_rng(0).integers(0, 256, (9, 8, 3)).astype(np.uint8)
    luma = rgb @ (0.299, 0.587, 0.114)
    assert np.abs(grey_levels(rgb) - luma).max() <= 1
    opaque = np.dstack([rgb, np.full((9, 8), 255, np.uint8)])
    np.testing.assert_array_equal(grey_levels(opaque), grey_levels(rgb))
    deep = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    np.testing.assert_array_equal(grey_levels(deep), np.arange(256).reshape(16, 16))
    assert grey_levels(np.zeros((4, 4), np.uint8)).shape == (4, 4)
    for shape in ((3, 4), (4, 3), (4, 4, 5), (4, 4, 2), (2, 4, 4, 1), (16,)):
        with pytest.raises(InputError, match="cannot be used"):
            grey_levels(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("shape", "padded"),
    [((28, 28), True), ((32, 28), True), ((28, 31), True), ((27, 28), False), ((28, 33), False)],
)
def test_a_picture_of_at_least_seven_eighths_is_padded_and_another_scaled(shape, padded):
    picture = blocks(np.random.default_rng(0), *shape)
    picture[0, 0], picture[-1, -1] = 0, 255
    found = Preprocessing(polarity="light-on-dark", framing="keep").apply(picture)
    high, wide = shape
    top, left = (32 - high) // 2, (32 - wide) // 2
    expected = np.zeros((32, 32), np.uint8)
    if padded:
        expected[top : top + high, left : left + wide] = picture
    assert np.array_equal(found, expected) == padded


def test_a_picture_of_twice_the_size_is_the_mean_of_four_pixels():
    pictures = blocks(np.random.default_rng(0), 5, 64, 64)
    plain = Preprocessing(polarity="light-on-dark", framing="keep", contrast=False)
    mean = pictures.reshape(5, 32, 2, 32, 2).mean((2, 4))
    assert np.abs(plain.apply_all(pictures) - mean).max() <= 0.75
    assert np.abs(plain.apply_all(pictures[:1]) - mean[:1]).max() <= 0.75
    turned = Preprocessing(polarity="dark-on-light", framing="keep", contrast=False)
    assert np.abs(turned.apply_all(pictures) - (255 - mean)).max() <= 0.75


def test_the_contrast_is_stretched_for_each_picture_by_itself():
    pictures = [np.full((32, 32), low, np.uint8) for low in (50, 0)]
    for picture, level in zip(pictures, (90, 200), strict=True):
        picture[4:28, 12:16], picture[10:14, 4:28] = level, level - 7
    found = Preprocessing(polarity="light-on-dark", framing="keep").apply_all(pictures)
    for picture, result in zip(pictures, found, strict=True):
        span = int(picture.max()) - int(picture.min())
        expected = (picture.astype(int) - picture.min()) * 255 / span
        assert np.abs(result - expected).max() <= 0.51


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"size": 8}, {"size": 7}),
        ({"size": 1024}, {"size": 1025}),
        ({"mean": 0}, {"mean": -0.01}),
        ({"mean": 1.0}, {"mean": 1.01}),
        ({"std": 1.0}, {"std": 1.01}),
        ({"std": 1e-9}, {"std": 0}),
    ],
)
def test_the_limits_of_the_parameters(good, bad):
    ((name, value),) = good.items()
    assert getattr(Preprocessing(**good), name) == value
    with pytest.raises(InputError, match=f"preprocessing: {name} is"):
        Preprocessing(**bad)


def test_a_large_picture_with_its_box_kept_is_scaled_whole():
    picture = np.full((600, 600), 240, np.uint8)
    picture[150:300, 150:300] = 20
    found = Preprocessing(framing="keep").apply(picture)
    assert (found[9:15, 9:15] == 255).all() and not found[:7].any() and not found[17:].any()
