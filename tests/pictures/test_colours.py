"""What a network of three channels sees: the colours of pictures, as they are."""

import numpy as np
import pytest
from PIL import Image

from lenet_xp.data.augment import Distortion
from lenet_xp.errors import InputError
from lenet_xp.ops import get_ops
from lenet_xp.pictures.from_numbers import FeatureImages
from lenet_xp.pictures.image_file import ImageFile
from lenet_xp.pictures.levels import colour_levels
from lenet_xp.pictures.preprocess import Preprocessing

COLOUR = Preprocessing(size=16, channels=3)


def picture(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_colours_stay_as_they_are():
    image = picture(16, 16, 3)
    np.testing.assert_array_equal(COLOUR.apply(image), image)
    pair = COLOUR.apply_all([image, image[::-1]])
    np.testing.assert_array_equal(pair, np.stack([image, image[::-1]]))
    assert COLOUR.apply_all([]).shape == (0, 16, 16, 3)


@pytest.mark.parametrize("size", (8, 40, 15, 17))
def test_other_sizes_are_scaled_whole(size):
    image = np.zeros((size, 2 * size, 3), np.uint8)
    image[:, :size], image[:, size:] = (250, 40, 10), (10, 60, 200)
    seen = COLOUR.apply(image)
    assert seen.shape == (16, 16, 3)
    np.testing.assert_array_equal(seen[:, :7], np.broadcast_to((250, 40, 10), (16, 7, 3)))
    np.testing.assert_array_equal(seen[:, 9:], np.broadcast_to((10, 60, 200), (16, 7, 3)))


def test_grey_becomes_three_equal_channels():
    grey = picture(9, 12)
    for given in (grey, grey[..., None], grey / 255, grey.astype(np.uint16) * 257):
        np.testing.assert_array_equal(colour_levels(given), np.dstack([grey] * 3))


def test_ranges_are_those_of_grey_levels():
    image = picture(9, 12, 3)
    image[0, 0] = 255
    for given in (image / 255, image.astype(float), image.astype(np.uint16) * 257):
        np.testing.assert_array_equal(colour_levels(given), image)


def test_what_is_transparent_becomes_white():
    image = picture(6, 6, 4)
    image[:3, :, 3], image[3:, :, 3], image[0, 0] = 0, 255, (200, 100, 0, 51)
    seen = colour_levels(image)
    np.testing.assert_array_equal(seen[3:], image[3:, :, :3])
    assert (seen[1:3] == 255).all()
    assert seen[0, 0].tolist() == [244, 224, 204]  # a fifth of the colour, four of white


@pytest.mark.parametrize(
    "image",
    (
        picture(9, 9, 2),
        picture(9, 9, 5),
        picture(3, 9, 3),
        picture(2, 9, 9, 3),
        np.full((9, 9, 3), np.nan),
        np.full((9, 9, 3), "a"),
    ),
)
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(InputError):
        COLOUR.apply(image)


def test_mean_and_deviation_are_of_all_channels():
    images = picture(5, 16, 16, 3)
    fitted = COLOUR.fitted(images)
    assert fitted.mean == pytest.approx((images / 255).mean())
    assert fitted.std == pytest.approx((images / 255).std())
    assert (fitted.shape, fitted.input_shape) == ((16, 16, 3), (3, 16, 16))
    assert Preprocessing.from_dict(fitted.to_dict()) == fitted


@pytest.mark.parametrize("format, limit", (("PNG", 0), ("BMP", 0), ("JPEG", 12), ("WEBP", 12)))
def test_files_keep_their_colours(format, limit, tmp_path):
    image = np.empty((32, 32, 3), np.uint8)
    image[:] = (200, 90, 20)
    Image.fromarray(image).save(tmp_path / "picture", format)
    file = ImageFile.open(tmp_path / "picture")
    assert np.abs(file.page(colour=True).astype(int) - image).max() <= limit
    if format == "JPEG":
        assert file.page().ndim == 2  # grey, where no colour is asked for


def test_each_channel_is_distorted_alike():
    distortion = Distortion(rotation=20.0, shift=2.0, elastic=1.0, pen=0.3, blur=0.3)
    images = picture(7, 16, 16, 3)
    changes = distortion.draw(np.random.default_rng(0), 7)
    changed = distortion.apply(images, changes)
    for channel in range(3):
        alone = distortion.apply(np.ascontiguousarray(images[..., channel]), changes)
        np.testing.assert_array_equal(changed[..., channel], alone)


def test_the_network_gets_channels_first():
    images = picture(2, 5, 4, 3)
    x = get_ops("numpy").image_batch(images, 1.0, 0.0)
    assert x.shape == (3, 5, 4, 2)
    assert x[1, 2, 3, 1] == images[1, 2, 3, 1]


def test_rows_of_numbers_become_colours():
    rows = picture(4, 6 * 5 * 3)
    features = FeatureImages.fitted(rows, (6, 5), 8, 3)
    images = features.apply(rows)
    assert images.shape == (4, 8, 8, 3)
    np.testing.assert_array_equal(images[:, 1:7, 1:6].reshape(4, -1), rows)
    assert not images[:, 0].any() and not images[:, :, 6:].any()
    larger = FeatureImages.fitted(picture(4, 20 * 10 * 3), (20, 10), 8, 3)
    assert larger.apply(picture(4, 600)).shape == (4, 8, 8, 3)
