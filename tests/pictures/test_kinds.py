"""Content says what an image is, and a text that begins like one is none."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, features

from lenet_xp.pictures.kinds import START, kind_of, named_image

PICTURE = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))


def saved(kind, **options):
    buffer = BytesIO()
    PICTURE.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind, expected",
    [
        *(("JPEG", "jpeg"), ("PNG", "png"), ("BMP", "bmp"), ("DIB", None), ("GIF", "gif")),
        *(("TIFF", "tiff"), ("WEBP", "webp"), ("PPM", "pnm"), ("ICO", "ico"), ("TGA", None)),
        ("PDF", None),
    ],
)
def test_what_pillow_writes_is_recognised(kind, expected):
    data = saved(kind)
    assert kind_of(data[:START]) == expected
    assert kind_of(b"x" + data) is None


def test_avif_is_recognised():
    if not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    assert kind_of(saved("AVIF")[:START]) == "avif"


@pytest.mark.parametrize(
    "start, expected",
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heic"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heix", "heic"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "avif"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", None),  # a film
        (b"\0\0\0\x10ftypisom\0\0\0\0avif", None),  # the brand stands behind the box
        (b"MM\0*\0\0\0\x08", "tiff"),
        (b"II+\0\x08\0\0\0", "tiff"),
        (b"P2\n# a remark\n12 # another\n12\n255\n", "pnm"),
        (b"P5 is a dull name for a picture", None),
        (b"BM, said the note, is short for bitmap and for other things", None),
        (b"\xff\xd8", None),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"\0\0\x01\0\0\x01 font", None),
        (b"", None),
    ],
)
def test_only_whole_marks_count(start, expected):
    assert kind_of(start) == expected


def test_names():
    for name in ("a.JPG", "b/a.jfif", "a.jpe", "a.dib", "a.avif", "a.HEIC", "a.pgm"):
        assert named_image(name)
    for name in ("a", "jpg", "a.jpg.txt", "a.ico", "a.npz", "a.jpg~"):
        assert not named_image(name)
