"""The formats of image files: which are read, how many pages they hold, why others are not."""

from importlib import import_module
from io import BytesIO
from typing import Any

from PIL import Image, UnidentifiedImageError, features

from lenet_xp.pictures.kinds import START, kind_of

# Pillow's whole list has formats that start another program, that need many times the memory of
# their pixels, or whose header does not tell their size.
FORMATS = ("PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "AVIF")
KINDS = "JPEG, PNG, BMP, GIF, TIFF, WebP, AVIF or PGM"
UNREAD = {
    "heic": "is a HEIC picture, which needs pip install pillow-heif; or save it as JPEG",
    "avif": "is an AVIF picture, which needs pip install -U pillow; or save it as JPEG",
    "pdf": "is a PDF, not an image; save its pages as PNG or TIFF",
}


def open_picture(data: bytes) -> Image.Image:
    """The picture of an image file's bytes, of which only the header is read.

    Raises UnidentifiedImageError for another format, or one that lacks its library.
    """
    if kind_of(data[:START]) == "heic":
        try:
            heif = import_module("pillow_heif")  # Pillow itself is not told of it
        except ImportError as error:
            raise UnidentifiedImageError from error
        picture: Image.Image = heif.HeifImageFile(BytesIO(data))
        return picture
    avif = "avif" in features.modules and features.check("avif")  # an older Pillow warns of it
    known = FORMATS if avif else FORMATS[:-1]
    return Image.open(BytesIO(data), formats=known)


def why_unread(data: bytes) -> str:
    """What is wrong with a file that is no picture that can be read, and what to do."""
    kind = "pdf" if data.startswith(b"%PDF") else kind_of(data[:START])
    return UNREAD.get(kind or "", f"is not an image that can be read; give {KINDS}")


def count_frames(picture: Any, limit: int) -> tuple[int, int]:
    """The number of a picture's pages or frames, up to `limit`, and the pixels of all together."""
    if picture.format != "TIFF":
        count = min(getattr(picture, "n_frames", 1), limit)
        return count, count * picture.width * picture.height
    count, pixels, now = 0, 0, picture.tell()
    try:
        while count < limit:
            picture.seek(count)
            count, pixels = count + 1, pixels + picture.width * picture.height
    except EOFError:
        pass
    except Exception:  # a damaged page, which its reading will report
        count += 1
    picture.seek(now)
    return count, pixels
