"""No letter is read from a picture without ink, whichever way it comes in; faint ink is read."""

import io
import zipfile
from base64 import b64decode

import numpy as np
import pytest
from blanks import BLANKS
from PIL import Image

import lenet_xp
from lenet_xp.demo.reading import find_letters
from lenet_xp.pictures.image_file import ImageFile
from lenet_xp.pictures.levels import grey_levels
from lenet_xp.pictures.no_ink import are_blank, is_ink
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2

SIZES = ((28, 28), (64, 64), (50, 33), (100, 80), (300, 300))


@pytest.fixture(scope="module")
def reader():
    return lenet_xp.load_model()


@pytest.mark.parametrize("name", BLANKS)
def test_no_letter_is_read_from_no_ink(reader, name):
    for number, (height, width) in enumerate(SIZES):
        picture = BLANKS[name](height, width, np.random.default_rng(number))
        assert reader.read(picture).blank, (height, width)
        assert reader.read_page(picture).letters == (), (height, width)
        assert not Preprocessing(framing="keep").apply(picture).any(), (height, width)


@pytest.mark.parametrize("name", ["paper, noise", "coarse paper", "vignette, noise"])
def test_no_letter_is_read_from_a_photo_of_paper(reader, name):
    photo = BLANKS[name](3000, 4000, np.random.default_rng(0))
    assert reader.read(photo).blank


def test_the_demo_reads_no_letter_from_no_ink(reader):
    for name in ("white", "paper, noise", "vignette, noise", "transparent black"):
        buffer = io.BytesIO()
        picture = BLANKS[name](200, 200, np.random.default_rng(0))
        Image.fromarray(picture).save(buffer, "png")
        assert not any(b64decode(find_letters(buffer.getvalue(), reader)["seen"])), name


def test_many_readings_tell_blanks_from_letters(reader):
    letter = cv2.circle(np.full((64, 64), 240, np.uint8), (32, 32), 26, 20, 5)
    paper = BLANKS["paper, noise"](64, 64, np.random.default_rng(0))
    assert [each.blank for each in reader.read_many([paper, letter, paper])] == [True, False, True]


def bar(paper, ink, sigma=0.0, shade=0.0, side=64):
    """A cross of faint ink, on paper whose light falls off."""
    picture = np.full((side, side), float(paper))
    width = max(3, side // 10)
    middle = slice(side // 2 - width // 2, side // 2 - width // 2 + width)
    picture[middle, 4:-4] = picture[4:-4, middle] = ink
    picture *= 1 - shade * np.linspace(0, 1, side)
    picture += np.random.default_rng(0).normal(0, 1, picture.shape) * sigma
    return picture.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("side", [28, 64, 96, 300])
@pytest.mark.parametrize(
    "look",
    [
        {"paper": 240, "ink": 210},
        {"paper": 240, "ink": 190, "sigma": 3},
        {"paper": 240, "ink": 130, "sigma": 6},
        {"paper": 240, "ink": 120, "shade": 0.5},
        {"paper": 240, "ink": 120, "shade": 0.3, "sigma": 3},
        {"paper": 30, "ink": 90, "sigma": 3},
    ],
    ids=str,
)
def test_faint_ink_is_no_blank(look, side):
    picture = bar(**look, side=side)
    assert Preprocessing().apply(picture).any()
    assert are_blank(np.stack([picture, np.full_like(picture, 9)])).tolist() == [False, True]


def test_a_mask_is_ink_only_where_it_has_an_edge():
    picture = bar(240, 150, sigma=4, side=300)
    ink = np.where(bar(240, 150, side=300) < 200, 255, 0).astype(np.uint8)
    assert is_ink(picture, ink, 300, 300)
    assert not is_ink(BLANKS["paper, noise"](300, 300, np.random.default_rng(0)), ink, 300, 300)


@pytest.mark.parametrize(("blur", "expected"), [(10, True), (25, False)])
@pytest.mark.parametrize("scale", [1, 2])
def test_faint_ink_out_of_focus_is_ink_and_what_is_softer_is_a_shadow(blur, expected, scale):
    """A cross of 200 pixels, and the same of 400: its paper begins where the blur ends."""
    picture = np.full((300 * scale, 300 * scale), 240.0, np.float32)
    across, along = slice(140 * scale, 160 * scale), slice(50 * scale, 250 * scale)
    picture[across, along] = picture[along, across] = 210
    picture = cv2.GaussianBlur(picture, (0, 0), blur * scale)
    mask = np.where(picture < (240 + picture.min()) / 2, 255, 0).astype(np.uint8)
    picture += np.random.default_rng(0).normal(0, 1, picture.shape)
    picture = picture.clip(0, 255).astype(np.uint8)
    assert is_ink(picture, mask, 200 * scale, 300 * scale) == expected


def test_no_real_letter_becomes_a_blank(shared):
    pictures = []
    with zipfile.ZipFile(shared / "amhcd_64.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpeg")][::9]
        pictures += [grey_levels(ImageFile(archive.read(name), name).page()) for name in names]
    with np.load(shared / "mnist.npz") as arrays:
        pictures += list(arrays["x_test"][::5])
    for path in sorted((shared / "outside").glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith((".png", ".jpg"))][::3]
            pictures += [grey_levels(ImageFile(archive.read(name), name).page()) for name in names]
    letters = Preprocessing().apply_all(pictures)
    assert len(letters) > 5000 and letters.any((1, 2)).all()
