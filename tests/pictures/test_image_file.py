"""Image files: what is read, and what is refused with the file's name."""

import io
import resource
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, features

from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import MAX_PAGES, ImageFile, read_image
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2


def letter(height=64, width=48):
    """An L: every rotation and mirror image of it differs."""
    picture = np.full((height, width), 255, np.uint8)
    picture[:, :10] = 20
    picture[-10:] = 20
    return picture


def saved(path, picture, **options):
    Image.fromarray(picture).save(path, **options)
    return path


def assert_refused(path, *words):
    with pytest.raises(InputError) as caught:
        read_image(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tiff", "webp", "pgm", "jpeg"])
def test_every_format_gives_the_same_picture(tmp_path, suffix):
    options = {"quality": 100} if suffix == "jpeg" else {"lossless": True}
    options = options if suffix in ("jpeg", "webp") else {}
    image = read_image(saved(tmp_path / f"a.{suffix}", letter(), **options))
    found = Preprocessing(framing="keep").apply(image).astype(int)
    assert np.abs(found - Preprocessing(framing="keep").apply(letter())).max() <= 4


def test_a_name_does_not_decide_the_format(tmp_path):
    path = saved(tmp_path / "a.png", letter())
    path.rename(tmp_path / "a.jpeg")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpeg"), letter())


@pytest.mark.parametrize("suffix", ["jpeg", "png", "tiff"])
@pytest.mark.parametrize("tag, turns", [(3, 2), (6, 3), (8, 1)])
def test_exif_rotation_is_applied(tmp_path, suffix, tag, turns):
    exif = Image.Exif()
    exif[0x0112] = tag
    path = saved(tmp_path / f"a.{suffix}", letter(), exif=exif)
    expected = np.rot90(letter(), turns).astype(int)
    assert np.abs(read_image(path).astype(int) - expected).max() < 60


def test_transparency_is_white_in_rgba_and_in_a_palette(tmp_path):
    ink = 255 - letter()
    black = np.zeros((*ink.shape, 3), np.uint8)
    rgba = saved(tmp_path / "a.png", np.dstack([black, ink]))
    palette = tmp_path / "p.png"
    picture = Image.fromarray((letter() < 128).astype(np.uint8), "P")
    picture.putpalette([0, 0, 0, 10, 10, 10])  # both dark: only transparency tells them apart
    picture.save(palette, transparency=0)
    expected = Preprocessing().apply(letter())
    for path in (rgba, palette):
        found = Preprocessing().apply(read_image(path)).astype(int)
        assert np.abs(found - expected).max() <= 6


def test_a_coloured_palette_and_one_bit_are_resolved(tmp_path):
    colour = np.dstack([letter(), letter(), np.full_like(letter(), 255)])
    Image.fromarray(colour).quantize(8).save(tmp_path / "p.png")
    Image.fromarray(letter()).point(lambda level: level > 128, "1").save(tmp_path / "b.png")
    for name in ("p.png", "b.png"):
        found = Preprocessing().apply(read_image(tmp_path / name)).astype(int)
        assert np.abs(found - Preprocessing().apply(letter())).max() <= 6


def test_16_bit_grey_keeps_its_proportions(tmp_path):
    path = saved(tmp_path / "a.png", letter().astype(np.uint16) * 257)
    image = read_image(path)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(Preprocessing().apply(image), Preprocessing().apply(letter()))


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("suffix", ["jpeg", "png", "bmp"])
def test_a_file_cut_short_is_refused(tmp_path, suffix, kept):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    path = saved(tmp_path / f"a.{suffix}", noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    assert_refused(path)


def test_a_cut_jpeg_is_refused_although_its_thumbnail_has_an_end(tmp_path):
    path = saved(tmp_path / "a.jpeg", letter())
    data = path.read_bytes()
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + len(data)) + data
    path.write_bytes(data[:2] + thumbnail + data[2:])
    assert read_image(path).shape == (64, 48)
    path.write_bytes((data[:2] + thumbnail + data[2:])[:-200])
    assert_refused(path, "cut short")


@pytest.mark.parametrize(
    "data, word",
    [
        (b"", "empty"),
        (b"this is a text\n", "not an image"),
        (b"\xff\xd8\xff", "damaged"),
        (b"\xff\xd8\xff\xe0\x00\x00\xff\xd9", "damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, data, word):
    path = tmp_path / "a.jpeg"
    path.write_bytes(data)
    assert_refused(path, word)


def test_a_damaged_png_is_refused(tmp_path):
    path = saved(tmp_path / "a.png", letter())
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 8] ^= 255
    path.write_bytes(data)
    assert_refused(path, "damaged")


@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.parametrize("suffix", ["png", "jpeg"])
def test_too_small(tmp_path, side, suffix):
    assert_refused(saved(tmp_path / f"a.{suffix}", letter(side, 40)), "too small")


def png_header(width, height):
    """A PNG that claims a size and holds no pixels."""
    chunks = [
        b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0),
        b"IDAT" + zlib.compress(b"\0" * 100),
        b"IEND",
    ]
    body = b"".join(
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [7_500, 10_000, 20_000, 100_000])
def test_too_large_is_told_from_the_header(tmp_path, side):
    path = tmp_path / "a.png"
    path.write_bytes(png_header(side, side))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert_refused(path, "megapixels")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB
    jpeg = bytearray(saved(tmp_path / "a.jpeg", letter()).read_bytes())
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", min(side, 65535), min(side, 65535))
    (tmp_path / "a.jpeg").write_bytes(jpeg)
    assert_refused(tmp_path / "a.jpeg", "megapixels")


def test_paths_that_are_no_file(tmp_path):
    assert_refused(tmp_path / "missing.png", "cannot be read")
    assert_refused(tmp_path, "cannot be read")


def test_opencv_prints_nothing_of_its_own(capfd):
    for data in (b"", b"text", b"\xff\xd8\xff\xe0\x00\x04ab\xff\xd9"):
        with pytest.raises(InputError):
            ImageFile(data, "a").page()
    assert capfd.readouterr() == ("", "")


def test_without_opencvs_libraries_one_line_says_what_to_install():
    code = "import sys; sys.modules['cv2'] = None; import lenet_xp.system.opencv"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode and last.startswith("lenet_xp.errors.InputError: OpenCV cannot be")
    assert "apt-get install" in last and "opencv-python-headless" in last


def encoded(picture, suffix, **options):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, suffix, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("height, width", [(64, 48), (203, 301), (900, 700)])
@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"restart_marker_blocks": 5}, {"quality": 100}, {"optimize": True}],
    ids=str,
)
def test_a_jpeg_that_lacks_only_its_end_mark_is_read(height, width, options):
    noise = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4), np.uint8)
    picture = cv2.resize(noise, (width, height))
    data = encoded(picture, "jpeg", **options)
    whole = ImageFile(data, "a").page()
    np.testing.assert_array_equal(ImageFile(data[:-2], "a").page(), whole)
    np.testing.assert_array_equal(ImageFile(data[:-1], "a").page(), whole)
    for kept in (0.97, 0.9, 0.6, 0.3):
        with pytest.raises(InputError, match="cut short"):
            ImageFile(data[: int(kept * len(data))], "a").page()


def test_a_progressive_jpeg_that_lacks_scans_is_cut_short():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    data = encoded(picture, "jpeg", progressive=True)
    scans = [place for place in range(len(data)) if data[place : place + 2] == b"\xff\xda"]
    for end in scans[1:]:
        with pytest.raises(InputError, match="cut short"):
            ImageFile(data[:end], "a").page()


def test_avif_and_heic_are_read(monkeypatch):
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    picture = Image.fromarray(letter()).convert("RGB")
    pillow_heif.from_pillow(picture).save(buffer, quality=100)
    assert np.abs(ImageFile(buffer.getvalue(), "a").grey().astype(int) - letter()).max() < 40
    assert "HEIF" not in Image.OPEN  # Pillow was not told of it
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match=r"a\.jpg: is a HEIC picture, which needs pip install pil"):
        ImageFile(buffer.getvalue(), "a.jpg").page()


def test_avif_is_read_where_pillow_can(monkeypatch):
    if not features.check("avif"):
        pytest.skip("needs Pillow with AVIF")
    data = encoded(letter(), "avif", quality=100)
    assert np.abs(ImageFile(data, "a").grey().astype(int) - letter()).max() < 40
    monkeypatch.setattr(features, "check", lambda name: False)
    with pytest.raises(InputError, match="is an AVIF picture, which needs pip install -U pillow"):
        ImageFile(data, "a").page()


@pytest.mark.parametrize(
    "data, words",
    [
        (b"%PDF-1.7\n%...", "is a PDF, not an image; save its pages as PNG"),
        (b"8BPS\0\1" + b"\0" * 40, "is not an image that can be read; give JPEG, PNG"),
    ],
)
def test_a_format_that_is_not_read_is_told(data, words):
    with pytest.raises(InputError, match=words):
        ImageFile(data, "a").page()


def pages(*pictures, suffix):
    """A file of several pages or frames."""
    first, *others = (Image.fromarray(each) for each in pictures)
    buffer = io.BytesIO()
    options = {"lossless": True} if suffix == "webp" else {}
    first.save(buffer, suffix, save_all=True, append_images=others, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["tiff", "gif", "png", "webp"])
def test_each_page_or_frame_is_read(suffix):
    turned = [letter(), letter()[::-1].copy(), letter()[:, ::-1].copy()]
    file = ImageFile(pages(*turned, suffix=suffix), "a")
    assert file.pages == 3
    for number in (0, 1, 2, 1):
        assert np.abs(file.grey(number).astype(int) - turned[number]).max() <= 4
    assert ImageFile(encoded(letter(), suffix), "a").pages == 1
    np.testing.assert_array_equal(ImageFile(file.data, "a").page(), file.page(0))  # the first


def test_pages_are_bounded():
    small = [np.full((8, 8), level, np.uint8) for level in range(MAX_PAGES + 1)]
    for suffix in ("tiff", "gif"):
        ImageFile(pages(*small[:-1], suffix=suffix), "a").check_pages()
        file = ImageFile(pages(*small, suffix=suffix), "a.tif")
        assert file.page().shape[:2] == (8, 8)
        with pytest.raises(InputError, match=r"a\.tif: has over 200 pages; split it"):
            file.check_pages()


def test_a_file_of_huge_frames_is_refused_before_they_are_decoded():
    data = bytearray(pages(*(np.full((8, 8), n, np.uint8) for n in range(150)), suffix="gif"))
    data[6:10] = struct.pack("<HH", 7000, 7000)
    file = ImageFile(bytes(data), "a.gif")
    assert file.pages == 150
    with pytest.raises(InputError, match=r"its pages have over 1,000 megapixels"):
        file.check_pages()


def test_a_damaged_second_page_does_not_hide_the_first():
    data = pages(letter(), letter(), suffix="tiff")
    file = ImageFile(data[: len(data) * 3 // 4], "a")
    assert np.array_equal(file.grey(0), letter())
    assert file.pages == 2
    with pytest.raises(InputError, match="a: is damaged"):
        file.grey(1)
