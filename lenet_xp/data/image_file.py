"""Image files: from bytes to a checked array of pixels."""

import threading
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lenet_xp.errors import InputError
from lenet_xp.opencv import cv2

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
MIN_SIDE = 4
MAX_PIXELS = 50_000_000
MAX_BYTES = 256 * 2**20

# Never Pillow's whole list: among its formats are some that start another program.
_FORMATS = ("PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")

_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_JPEG_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_warnings_lock = threading.Lock()


def read_image(path) -> np.ndarray:
    """One image file as an array that `Preprocessing.apply` takes; see `decode`.

    A path that is missing, a folder, unreadable or no usable image raises InputError.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: has over {MAX_BYTES >> 20} MiB; give a smaller image")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}); give an image file") from error
    return decode(data, str(path))


def decode(data: bytes, name: str) -> np.ndarray:
    """The bytes of an image file as pixels: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA.

    The dtype is uint8, or uint16 for 16-bit grey. EXIF rotation is applied, palettes are
    resolved, JPEGs come as grey. Whatever is cut short, no image, under 4 pixels a side or over
    50 megapixels (told from the header, before any pixel is decoded) raises InputError with
    `name` in front.
    """
    if not data:
        raise InputError(f"{name}: is empty; copy or download it again")
    if data.startswith(_JPEG_START):
        return _decode_jpeg(data, name)
    return _decode_other(data, name)


def _decode_jpeg(data, name):
    """OpenCV decodes JPEG three times as fast as Pillow, but fills what is missing with grey."""
    width, height, position = _jpeg_frame(data)
    if position is None:
        raise InputError(f"{name}: its JPEG header is damaged; copy or download it again")
    _check_size(width, height, name)
    # Looked for behind the header, which may hold a thumbnail with an end of its own.
    if data.find(_JPEG_END, position) < 0:
        raise InputError(f"{name}: is cut short; copy or download it again")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        image = None
    if image is None:
        raise InputError(f"{name}: its JPEG data are damaged; copy or download it again")
    return image


def _jpeg_frame(data):
    """Width, height and position of the frame header; (0, 0, None) without one."""
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in _JPEG_FRAMES:
            height = int.from_bytes(data[position + 5 : position + 7])
            width = int.from_bytes(data[position + 7 : position + 9])
            return width, height, position
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in _JPEG_NO_LENGTH:
            position += 2
        else:
            position += 2 + (data[position + 2] << 8) + data[position + 3]
    return 0, 0, None


def _decode_other(data, name):
    try:
        picture = _opened(data)
        _check_size(*picture.size, name)
        return _pixels(ImageOps.exif_transpose(picture))
    except InputError:
        raise
    except Image.UnidentifiedImageError as error:
        raise InputError(
            f"{name}: is not an image that can be read; give JPEG, PNG, BMP, GIF, TIFF, WebP or PGM"
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: {_too_large()}") from error
    except Exception as error:  # each of six decoders has its own exceptions for damaged data
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: is damaged ({reason}); copy or download it again") from error


def _opened(data):
    """The picture with its header read; its pixels are decoded when they are asked for."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # _check_size is stricter
        return Image.open(BytesIO(data), formats=_FORMATS)


def _pixels(picture):
    if picture.mode.startswith("I"):  # 16-bit grey, held in 16 or 32 bits
        return np.asarray(picture).clip(0, 65535).astype(np.uint16)
    if picture.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if picture.mode.endswith(("A", "a")) or "transparency" in picture.info:
        return np.asarray(picture.convert("RGBA"))
    return np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))


def _check_size(width, height, name):
    if min(width, height) < MIN_SIDE:
        raise InputError(
            f"{name}: is {width}x{height} pixels, too small; give at least {MIN_SIDE} a side"
        )
    if width * height > MAX_PIXELS:
        raise InputError(f"{name}: is {width}x{height} pixels; {_too_large()}")


def _too_large():
    return f"at most {MAX_PIXELS // 1_000_000} megapixels are read, give a smaller image"
