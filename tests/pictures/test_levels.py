"""Numbers of any range become grey levels, and transparency shows the ink."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lenet_xp
from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import read_image
from lenet_xp.pictures.levels import grey_levels, has_colours
from lenet_xp.system.opencv import cv2

LETTER = Path(__file__).resolve().parents[2] / "docs" / "letter.png"


def written():
    """A letter on white: (H, W) uint8."""
    grey = np.asarray(Image.open(LETTER).convert("L"))
    return np.where(grey > 235, 255, grey).astype(np.uint8)


GREY = written()
PART, INK, SHAPE = GREY / 255, 255 - GREY, GREY < 128


def filled(level):
    return np.full_like(GREY, level)


def rgba(colours, alpha):
    return np.dstack([colours, colours, colours, alpha]).astype(np.uint8)


def with_corners(picture):
    """A picture of which a corner is cut off."""
    alpha = cv2.rectangle(filled(255), (0, 0), (40, 40), 0, -1)
    return rgba(picture, alpha)


WIDE, THIN = cv2.dilate(INK, np.ones((5, 5))), cv2.erode(INK, np.ones((3, 3)))
DEEP = np.dstack([PART * 4095] * 3).astype(np.uint16)
ARRAYS = {
    "black ink on transparency": rgba(filled(0), INK),
    "white ink on transparency": rgba(filled(255), INK),
    "yellow ink on transparency": np.dstack([filled(250), filled(230), filled(30), INK]),
    "blue ink on transparency": np.dstack([filled(20), filled(30), filled(200), INK]),
    "middle grey ink": rgba(filled(128), INK),
    "cut out of a sheet, soft edges": rgba(GREY, WIDE),
    "cut out of a board, soft edges": rgba(255 - GREY, WIDE),
    "white with a black rim": rgba(THIN, WIDE),
    "a stencil": rgba(filled(255), GREY),
    "a sheet without a corner": with_corners(GREY),
    "a board without a corner": with_corners(255 - GREY),
    "half transparent": rgba(GREY, filled(128)),
    "opaque": rgba(GREY, filled(255)),
    "10 bits": (PART * 1023).astype(np.uint16),
    "12 bits": (PART * 4095).astype(np.uint16),
    "12 bits of colour": DEEP,
    "12 bits, white on transparency": np.dstack([DEEP * 0 + 4095, INK.astype(np.uint16) * 16]),
    "16 bits": GREY.astype(np.uint16) * 257,
    "8 bits in 16": GREY.astype(np.uint16),
    "32 bits": (PART * 3e9).astype(np.uint32),
    "64 bits": (PART * 1e15).astype(np.int64),
    "signed": (PART * 4095 - 2048).astype(np.int16),
    "signed bytes": (PART * 255 - 128).astype(np.int8),
    "0 to 1": PART,
    "0 to 1 in float32": PART.astype(np.float32),
    "0 to 255 in float16": (PART * 255).astype(np.float16),
    "-1 to 1": 2 * PART - 1,
    "any range": 12000 * PART - 300,
    "truth values": ~SHAPE,
    "0 and 1": (~SHAPE).astype(np.int64),
}
FILES = {
    "12 bits.png": (ARRAYS["12 bits"], "I;16"),
    "12 bits.tif": (ARRAYS["12 bits"], "I;16"),
    "32 bits.tif": ((PART * 100_000).astype(np.int32), "I"),
    "signed.tif": ((PART * 4095 - 2048).astype(np.int32), "I"),
    "float.tif": ((PART * 12 - 3).astype(np.float32), "F"),
    "LA.png": (np.dstack([filled(255), INK]), "LA"),
    "RGBA.webp": (rgba(filled(255), INK), "RGBA"),
    "LA.tif": (np.dstack([filled(255), INK]), "LA"),
}


@pytest.fixture(scope="module")
def reader():
    return lenet_xp.load_model()


@pytest.mark.parametrize("name", ARRAYS)
def test_a_letter_is_read_in_each_form(reader, name):
    assert reader.read(ARRAYS[name]).name == "yaz"
    assert grey_levels(ARRAYS[name]).dtype == np.uint8


@pytest.mark.parametrize("name", FILES)
def test_a_letter_is_read_from_each_file(reader, tmp_path, name):
    pixels, mode = FILES[name]
    path = tmp_path / name
    options = {"lossless": True} if name.endswith("webp") else {}
    picture = Image.fromarray(pixels)
    assert picture.mode == mode
    picture.save(path, **options)
    assert reader.read(path).name == "yaz"


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("name", ["12 bits of colour", "12 bits, white on transparency"])
def test_colours_of_12_bits_keep_them(reader, tmp_path, suffix, name):
    pixels = ARRAYS[name]
    channels = pixels.shape[2]
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), pixels[:, :, [2, 1, 0, 3][:channels]])
    read = read_image(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read, pixels)
    assert reader.read(tmp_path / f"a.{suffix}").name == "yaz"


@pytest.mark.parametrize("ink", [(5, 5, 5), (250, 250, 250)])
@pytest.mark.parametrize("name", ["p.png", "p.gif"])
def test_a_palette_shows_its_ink(reader, tmp_path, name, ink):
    picture = Image.fromarray(SHAPE.astype(np.uint8))
    picture = picture.convert("P") if picture.mode != "P" else picture
    picture.putpalette([*ink, *ink])  # only transparency tells them apart
    picture.save(tmp_path / name, transparency=0)
    assert reader.read(tmp_path / name).name == "yaz"


def test_one_bit(reader, tmp_path):
    Image.fromarray(GREY).point(lambda level: 255 * (level > 128), "1").save(tmp_path / "b.tif")
    assert reader.read(tmp_path / "b.tif").name == "yaz"


def test_levels_that_fill_their_bits_are_only_divided():
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(grey_levels(every), every // 257)
    np.testing.assert_array_equal(grey_levels(every.astype(np.int64)), every // 257)
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for same in (levels, levels.astype(np.uint16), levels.astype(float), levels / 255):
        np.testing.assert_array_equal(grey_levels(same), levels)
    opaque = np.dstack([levels] * 3 + [np.full_like(levels, 255)])
    np.testing.assert_array_equal(grey_levels(opaque), grey_levels(opaque[:, :, :3]))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(tmp_path, odd):
    numbers = PART.astype(np.float32).copy()
    numbers[3, 3] = odd
    with pytest.raises(InputError, match="NaN or infinities"):
        grey_levels(numbers)
    Image.fromarray(numbers).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif: holds NaN or infinities"):
        read_image(tmp_path / "a.tif")


def test_colours_are_told_from_grey_levels_three_times():
    grey = np.dstack([GREY] * 3)
    orange = np.full((20, 20, 3), (230, 120, 30), np.uint8)
    tinted = grey.copy()
    tinted[5, 7] = 90, 130, 110  # one pixel is enough
    for pictures, expected in ((grey, False), (orange, True), (tinted, True)):
        assert has_colours(pictures) == has_colours(pictures[None]) == expected
        assert has_colours(np.dstack([pictures, pictures[..., 0]])) == expected
        assert has_colours(pictures / 255) == expected
    tinted[5, 7, 1] = 129  # levels apart: 39
    assert not has_colours(tinted)
    assert not has_colours(GREY) and not has_colours(orange[..., :1])
