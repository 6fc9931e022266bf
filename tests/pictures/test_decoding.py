"""Decoding: the pixels of the file."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from lenet_xp.pictures.image_file import ImageFile

RNG = np.random.default_rng(0)
PIXELS = {
    "grey": RNG.integers(0, 256, (23, 10), np.uint8),
    "rgb": RNG.integers(0, 256, (23, 10, 3), np.uint8),
    "rgba": RNG.integers(0, 256, (23, 10, 4), np.uint8),
    "deep": RNG.integers(0, 65536, (23, 10), np.uint16),
}


def encoded(pixels, kind="PNG"):
    file = BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", PIXELS)
def test_pixels_are_those_of_the_file(kind):
    found = ImageFile(encoded(PIXELS[kind]), "a.png").page()
    assert found.dtype == PIXELS[kind].dtype
    np.testing.assert_array_equal(found, PIXELS[kind])


def test_a_palette_is_resolved():
    picture = Image.fromarray(PIXELS["rgb"]).quantize(16)
    file = BytesIO()
    picture.save(file, "PNG")
    found = ImageFile(file.getvalue(), "a").page()
    np.testing.assert_array_equal(found, np.asarray(picture.convert("RGB")))


def test_a_jpeg_may_have_comments_and_fill_bytes_before_its_frame():
    data = encoded(np.kron(PIXELS["grey"], np.ones((4, 4), np.uint8)), "JPEG")
    plain = ImageFile(data, "a").page()
    assert plain.shape == (92, 40)
    for extra in (
        b"\xff\xfe\x00\x09comment",
        b"\xff\xff\xff\xfe\x00\x02",
        b"\xff\xe5\x01\x02" + b"\xff\xc0" * 128,
    ):
        np.testing.assert_array_equal(ImageFile(data[:2] + extra + data[2:], "a").page(), plain)
