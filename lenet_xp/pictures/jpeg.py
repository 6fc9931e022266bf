"""Decodes JPEG to grey levels or colours.

It tells a file that is cut short from one that lacks its end mark alone.
"""

import re
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.system.opencv import cv2

START = b"\xff\xd8\xff"

# Each scan of a progressive JPEG covers its whole area, however few bytes it has: 400 KB can take
# minutes. Encoders write 10 scans.
MAX_SCANS = 100  # scans of a JPEG
MAX_SCANNED_PIXELS = 1_000_000_000  # pixels: over all scans of a JPEG

# Of a JPEG without its end mark: pixels that its data lack.
MAX_LACKING_PIXELS = 256
MAX_LACKING_SHARE = 0.001  # of all pixels

_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a segment
_SEGMENT = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers: start of frame
_END, _SCAN = 0xD9, 0xDA  # markers: end of image, start of scan
_RESTARTS = [bytes((0xFF, marker)) for marker in range(0xD0, 0xD8)]


def decode_jpeg(
    data: bytes,
    name: str,
    check_size: Callable[[int, int, str], None],
    admit: Callable[[int], object],
    colour: bool = False,
) -> np.ndarray:
    """The grey levels of a JPEG, (H, W) uint8, or in colour red, green and blue, (H, W, 3).

    check_size, admit: called before it is decoded, with its sides, and with its pixels.
    A JPEG that is damaged or cut short raises InputError; one without its end mark alone is read.
    """
    width, height, position = _frame(data, name)
    check_size(width, height, name)
    scans, ended, whole = _scans(data, position)
    limit = min(MAX_SCANS, MAX_SCANNED_PIXELS // (width * height))
    if scans > limit:
        raise InputError(f"{name}: has {scans:,} scans, at most {limit} are read; save it anew")
    admit(width * height)
    # OpenCV decodes JPEG three times as fast as Pillow, but fills missing parts with grey.
    image = _pixels(data if ended else data.rstrip(b"\xff") + b"\xff\xd9", colour)
    if not ended and not (whole and image is not None and _is_whole(data)):
        raise InputError(f"{name}: is cut short; copy or download it again")
    if image is None:
        raise InputError(f"{name}: its JPEG data are damaged; copy or download it again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if colour else image


def _pixels(data: bytes, colour: bool = False) -> np.ndarray | None:
    how = cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE
    with suppress(cv2.error):
        return cv2.imdecode(np.frombuffer(data, np.uint8), how)
    return None


def _frame(data: bytes, name: str) -> tuple[int, int, int]:
    """Width, height and position of a JPEG's frame header."""
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in _FRAMES:
            height = int.from_bytes(data[position + 5 : position + 7])
            width = int.from_bytes(data[position + 7 : position + 9])
            return width, height, position
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in _NO_LENGTH:
            position += 2
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4])
    raise InputError(f"{name}: its JPEG header is damaged; copy or download it again")


def _scans(data: bytes, position: int) -> tuple[int, bool, bool]:
    """The number of scans from a position on, whether the end mark follows, whether all are there.

    All are there if each coefficient of the first component, the light, has its last bit.
    """
    scans, exact = 0, set[int]()  # exact: the coefficients to whose last bit a header brings it
    while found := _SEGMENT.search(data, position):
        marker, position = data[found.end() - 1], found.end()
        if marker == _END:
            return scans, True, True
        # The segment is skipped, for it may hold a thumbnail with scans and an end of its own.
        length = int.from_bytes(data[position : position + 2])
        if marker == _SCAN:
            scans += 1
            scan = data[position + 2 : position + length]
            if len(scan) >= 6 and scan[1] <= 1 and scan[-1] & 15 == 0:
                exact.update(range(scan[-3], scan[-2] + 1))
        position += length
    return scans, False, len(exact) == 64


def _is_whole(data: bytes) -> bool:
    """Whether nearly all pixels of a JPEG without an end mark are in its data."""
    # Other data after them change what is missing, and leave what is there as it is.
    rng = np.random.default_rng(0)
    images = []
    for _ in range(2):
        pieces = [rng.integers(1, 255, 4096, np.uint8).tobytes() for _ in range(9)]
        after = b"".join(a + b for a, b in zip(pieces, [*_RESTARTS, b"\xff\xd9"], strict=True))
        images.append(_pixels(data.rstrip(b"\xff") + after))
    if images[0] is None or images[1] is None:
        return False
    lacking = np.count_nonzero(images[0] != images[1])
    return bool(lacking <= min(MAX_LACKING_PIXELS, MAX_LACKING_SHARE * images[0].size))
