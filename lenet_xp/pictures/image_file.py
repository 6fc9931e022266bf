"""Reads image files: from bytes to a checked array of pixels.

Every limit is checked on the header, before any pixel is decoded. OpenCV decodes JPEG and Pillow
the other formats. A file that cannot be read raises InputError, one line with the file's name.
"""

import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lenet_xp.errors import InputError
from lenet_xp.system.opencv import cv2, stderr_muted

MIN_SIDE = 4  # pixels: shorter side
MAX_PIXELS = 50_000_000  # pixels: width times height
MAX_BYTES = 256 * 2**20  # bytes: size of a file
_TOO_LARGE = f"at most {MAX_PIXELS // 1_000_000} megapixels are read, give a smaller image"

# pixels: size of a PGM or PPM whose levels are text or do not end at 255; Pillow decodes those in
# Python, 1.5 microseconds a value
MAX_SLOW_PIXELS = 2_000_000
_SLOW_DECODERS = ("ppm", "ppm_plain")

# Each scan of a progressive JPEG covers its whole area, however few bytes it has: 400 KB can take
# minutes. Encoders write 10 scans.
MAX_SCANS = 100  # scans of a JPEG
MAX_SCANNED_PIXELS = 1_000_000_000  # pixels: over all scans of a JPEG

# pixels: converted at a time; Pillow's own conversion to an array holds a picture three times
_STRIP_PIXELS = 2**20

# Pillow's whole list has formats that start another program.
_FORMATS = ("PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")

_JPEG_START = b"\xff\xd8\xff"
_JPEG_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a segment
_JPEG_SEGMENT = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]")
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers: start of frame
_JPEG_END = 0xD9  # marker: end of image
_JPEG_SCAN = 0xDA  # marker: start of scan


def read_image(path: str | os.PathLike[str], admit: Callable[[int], object] = bool) -> np.ndarray:
    """The pixels of an image file, an array that `Preprocessing.apply` takes; see `decode`.

    A path that is missing, a folder, a device, unreadable or no usable image raises InputError.
    """
    name = os.fspath(path)
    try:
        data = read_file(name)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{name}: cannot be read ({reason}); give an image file") from error
    return decode(data, name, admit)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file.

    A folder, a device or pipe, which may never end, and a file over MAX_BYTES raise OSError.
    """
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise OSError("it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is a device or a pipe, no file")
    if status.st_size > MAX_BYTES:
        raise OSError(f"it has over {MAX_BYTES >> 20} MiB")
    with open(path, "rb") as file:
        return file.read(status.st_size)  # no more: files such as those in /proc never end


def decode(data: bytes, name: str, admit: Callable[[int], object] = bool) -> np.ndarray:
    """The pixels of an image file's bytes: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA.

    The dtype is uint8, or uint16 for 16-bit grey. EXIF rotation is applied, palettes are resolved,
    JPEGs become grey. Bytes that are cut short or no image, and images under 4 pixels a side or
    over 50 megapixels raise InputError with `name` in front.
    admit: called with the number of pixels before they are decoded.
    """
    if not data:
        raise InputError(f"{name}: is empty; copy or download it again")
    with stderr_muted:
        if data.startswith(_JPEG_START):
            return _decode_jpeg(data, name, admit)
        return _decode_other(data, name, admit)


def _decode_jpeg(data: bytes, name: str, admit: Callable[[int], object]) -> np.ndarray:
    """The grey levels of a JPEG, (H, W) uint8."""
    width, height, position = _jpeg_frame(data, name)
    _check_size(width, height, name)
    # OpenCV decodes JPEG three times as fast as Pillow, but fills missing parts with grey.
    scans = _jpeg_scans(data, position, name)
    limit = min(MAX_SCANS, MAX_SCANNED_PIXELS // (width * height))
    if scans > limit:
        raise InputError(f"{name}: has {scans:,} scans, at most {limit} are read; save it anew")
    admit(width * height)
    image = None
    with suppress(cv2.error):
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise InputError(f"{name}: its JPEG data are damaged; copy or download it again")
    return image


def _jpeg_frame(data: bytes, name: str) -> tuple[int, int, int]:
    """Width, height and position of a JPEG's frame header."""
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
            position += 2 + int.from_bytes(data[position + 2 : position + 4])
    raise InputError(f"{name}: its JPEG header is damaged; copy or download it again")


def _jpeg_scans(data: bytes, position: int, name: str) -> int:
    """The number of scans between a position and the end of the image."""
    scans = 0
    while found := _JPEG_SEGMENT.search(data, position):
        marker, position = data[found.end() - 1], found.end()
        if marker == _JPEG_END:
            return scans
        scans += marker == _JPEG_SCAN
        # The segment is skipped, for it may hold a thumbnail with scans and an end of its own.
        position += int.from_bytes(data[position : position + 2])
    raise InputError(f"{name}: is cut short; copy or download it again")


def _decode_other(data: bytes, name: str, admit: Callable[[int], object]) -> np.ndarray:
    """The pixels of an image in one of `_FORMATS`, as `decode` returns them."""
    try:
        picture = Image.open(BytesIO(data), formats=_FORMATS)  # reads the header only
        _check_size(*picture.size, name)
        _check_kind(picture, name)
        admit(picture.width * picture.height)
        ImageOps.exif_transpose(picture, in_place=True)
        return _pixels(picture)
    except (InputError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name}: is not an image that can be read; give JPEG, PNG, BMP, GIF, TIFF, WebP or PGM"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{name}: {_TOO_LARGE}") from error
    except Exception as error:  # each of six decoders has exceptions of its own for damaged data
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: is damaged ({reason}); copy or download it again") from error


def _pixels(picture: Image.Image) -> np.ndarray:
    """The pixels of a picture, as `decode` returns them."""
    if picture.mode.startswith("I"):  # 16-bit grey, held in 16 or 32 bits
        return _by_strips(picture, np.uint16, lambda strip: np.asarray(strip).clip(0, 65535))
    transparent = picture.mode.endswith(("A", "a")) or "transparency" in picture.info
    mode = "RGBA" if transparent else "L" if picture.mode in ("1", "L") else "RGB"
    if picture.mode == mode:  # `convert` would make a copy
        return _by_strips(picture, np.uint8, np.asarray)
    return _by_strips(picture, np.uint8, lambda strip: np.asarray(strip.convert(mode)))


def _by_strips(
    picture: Image.Image, dtype: type, convert: Callable[[Image.Image], np.ndarray]
) -> np.ndarray:
    """The pixels of a picture, converted some rows at a time."""
    width, height = picture.size
    rows = max(1, _STRIP_PIXELS // width)
    if rows >= height:
        return convert(picture).astype(dtype)
    result: np.ndarray = np.empty(0, dtype)
    for top in range(0, height, rows):
        strip = convert(picture.crop((0, top, width, min(top + rows, height))))
        if top == 0:
            result = np.empty((height, *strip.shape[1:]), dtype)
        result[top : top + rows] = strip
    return result


def _check_kind(picture: Image.Image, name: str) -> None:
    """Raise InputError for a kind of picture that cannot be decoded, or only slowly."""
    if picture.mode == "F":
        raise InputError(f"{name}: its pixels are floating-point numbers; give whole ones")
    slow = any(tile[0] in _SLOW_DECODERS for tile in getattr(picture, "tile", ()))
    if slow and picture.width * picture.height > MAX_SLOW_PIXELS:
        raise InputError(
            f"{name}: is {picture.width}x{picture.height} pixels, too large where levels are text "
            "or do not end at 255; save it as PNG"
        )


def _check_size(width: int, height: int, name: str) -> None:
    """Raise InputError for a picture that is too small or too large."""
    if min(width, height) < MIN_SIDE:
        raise InputError(
            f"{name}: is {width}x{height} pixels, too small; give at least {MIN_SIDE} a side"
        )
    if width * height > MAX_PIXELS:
        raise InputError(f"{name}: is {width}x{height} pixels; {_TOO_LARGE}")
