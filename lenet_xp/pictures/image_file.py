"""Reads image files: from bytes to a checked array of pixels.

Every limit is checked on the header, before any pixel is decoded. OpenCV decodes JPEG and Pillow
the other formats; content decides which it is. A file of several pages or frames gives any of them.
A file that cannot be read raises InputError, one line with the file's name.
"""

import os
import stat
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from lenet_xp.errors import InputError
from lenet_xp.pictures import jpeg
from lenet_xp.pictures.formats import count_frames, open_picture, why_unread
from lenet_xp.pictures.levels import MIN_SIDE as MIN_SIDE
from lenet_xp.pictures.levels import grey_levels
from lenet_xp.system.opencv import cv2

MAX_PIXELS = 50_000_000  # pixels: width times height
MAX_BYTES = 256 * 2**20  # bytes: size of a file
_ORIENTATION, _SAMPLE_FORMAT = 0x0112, 339  # tags of EXIF and of TIFF
_TOO_LARGE = f"at most {MAX_PIXELS // 1_000_000} megapixels are read, give a smaller image"

# pixels: size of a PGM or PPM whose levels are text or do not end at 255; Pillow decodes those in
# Python, 1.5 microseconds a value
MAX_SLOW_PIXELS = 2_000_000

MAX_PAGES = 200  # pages or frames of a file
MAX_ALL_PIXELS = 1_000_000_000  # pixels: over all pages of a file

Result = TypeVar("Result")


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """The pixels of an image file, an array that `Preprocessing.apply` takes; see `page`.

    A path that is missing, a folder, a device, unreadable or no usable image raises InputError.
    """
    return ImageFile.open(path).page()


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


class ImageFile:
    """An image file's bytes: their pages, or frames of an animation, one at a time.

    data: the bytes. name: of the file, which begins every InputError.
    """

    def __init__(self, data: bytes, name: str):
        self.data, self.name = data, name
        self._is_jpeg = data.startswith(jpeg.START)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "ImageFile":
        """The file at a path, read whole; InputError as `read_image` raises it."""
        name = os.fspath(path)
        try:
            data = read_file(name)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{name}: cannot be read ({reason}); give an image file") from error
        return cls(data, name)

    @cached_property
    def pages(self) -> int:
        """The number of pages or frames; they are counted up to MAX_PAGES + 1."""
        return self._counted[0]

    def check_pages(self) -> None:
        """Raise InputError where there are too many pages to read them all."""
        pages, pixels = self._counted
        if pages > MAX_PAGES:
            raise InputError(f"{self.name}: has over {MAX_PAGES} pages; split it")
        if pages > 1 and pixels > MAX_ALL_PIXELS:
            most = MAX_ALL_PIXELS // 1_000_000
            raise InputError(f"{self.name}: its pages have over {most:,} megapixels; split it")

    def page(self, number: int = 0, colour: bool = False) -> np.ndarray:
        """The pixels of a page, from 0: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA.

        The dtype is uint8, or that of the file's numbers: uint16, int32, uint32 or float32. EXIF
        rotation is applied, palettes are resolved. Later pages cost less in their order: frames of
        an animation build on one another. Bytes that are cut short or no image, and images under 4
        pixels a side or over 50 megapixels raise InputError.
        colour: whether a JPEG keeps its colours.
        """
        if self._is_jpeg:
            return jpeg.decode_jpeg(self.data, self.name, _check_size, colour)
        return self._guarded(lambda: self._decoded(number))

    def grey(self, number: int = 0) -> np.ndarray:
        """The grey levels of a page, (H, W) uint8; see `page`."""
        return grey_levels(self.page(number))

    @cached_property
    def _counted(self) -> tuple[int, int]:
        """The number of pages and the pixels of all."""
        if self._is_jpeg:
            return 1, 0
        return self._guarded(lambda: count_frames(self._picture, MAX_PAGES + 1))

    @cached_property
    def _picture(self) -> Image.Image:
        if not self.data:
            raise InputError(f"{self.name}: is empty; copy or download it again")
        return open_picture(self.data)  # reads the header only

    def _decoded(self, number: int) -> np.ndarray:
        picture, name = self._picture, self.name
        if number != picture.tell():
            picture.seek(number)
        width, height = picture.size
        _check_size(width, height, name)
        tiles = getattr(picture, "tile", ())
        if width * height > MAX_SLOW_PIXELS and any("ppm" in each[0] for each in tiles):
            problem = "too large where levels are text or do not end at 255; save it as PNG"
            raise InputError(f"{name}: is {width}x{height} pixels, {problem}")
        # Of colours of 16 bits Pillow takes the upper eight.
        deep = picture.mode[0] in "RL" and any(";16" in str(each[3]) for each in tiles)
        picture.load()
        pixels = _pixels(picture)
        if deep and int(pixels[..., :3].max()) < 128:  # else eight bits hold the range well enough
            pixels = self._deep_pixels(number, pixels)
        if pixels.dtype == np.float32 and not np.isfinite(pixels).all():
            raise InputError(f"{name}: holds NaN or infinities; give finite numbers")
        return _turned(pixels, picture.getexif().get(_ORIENTATION, 1))

    def _deep_pixels(self, number: int, pixels: np.ndarray) -> np.ndarray:
        """The 16 bits of colours of which Pillow took the upper eight, `pixels`."""
        data = np.frombuffer(self.data, np.uint8)
        _, found = cv2.imdecodemulti(data, cv2.IMREAD_UNCHANGED, None, (number, number + 1))
        if not found or found[0].shape[:2] != pixels.shape[:2] or found[0].ndim != 3:
            return pixels
        order = [2, 1, 0, 3][: found[0].shape[2]]
        return np.ascontiguousarray(found[0][:, :, order])

    def _guarded(self, work: Callable[[], Result]) -> Result:
        """What some work on the picture returns; its errors as InputError with the file's name."""
        name = self.name
        try:
            return work()
        except (InputError, MemoryError):
            raise
        except UnidentifiedImageError as error:
            raise InputError(f"{name}: {why_unread(self.data)}") from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise InputError(f"{name}: {_TOO_LARGE}") from error
        except Exception as error:  # each decoder has exceptions of its own for damaged data
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{name}: is damaged ({reason}); copy or download it again") from error


def _pixels(picture: Image.Image) -> np.ndarray:
    """The pixels of a picture, as `ImageFile.page` returns them."""
    if picture.mode == "I" and picture.format == "TIFF":  # as signed, whatever they are
        unsigned = 1 in np.atleast_1d(getattr(picture, "tag_v2", {}).get(_SAMPLE_FORMAT, 2))
        return np.asarray(picture).view(np.uint32 if unsigned else np.int32)
    if picture.mode.startswith("I"):  # 16-bit grey, held in 16 or 32 bits
        return np.asarray(picture).clip(0, 65535).astype(np.uint16)
    if picture.mode == "F":
        return np.asarray(picture)
    transparent = picture.mode.endswith(("A", "a")) or "transparency" in picture.info
    mode = "RGBA" if transparent else "L" if picture.mode in ("1", "L") else "RGB"
    return np.asarray(picture if picture.mode == mode else picture.convert(mode))


def _turned(pixels: np.ndarray, orientation: object) -> np.ndarray:
    """Pixels (H, W, ...) turned and mirrored upright, as the number of an EXIF orientation says."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _check_size(width: int, height: int, name: str) -> None:
    """Raise InputError for a picture that is too small or too large."""
    if min(width, height) < MIN_SIDE:
        raise InputError(
            f"{name}: is {width}x{height} pixels, too small; give at least {MIN_SIDE} a side"
        )
    if width * height > MAX_PIXELS:
        raise InputError(f"{name}: is {width}x{height} pixels; {_TOO_LARGE}")
