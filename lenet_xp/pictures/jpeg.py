"""Decodes JPEG to grey levels or colours.

It tells a file that is cut short from one that lacks its end mark alone.
"""

import re
from collections.abc import Callable, Iterator
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

_SEGMENT = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]")  # its marker; others have no segment
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers: start of frame
_END, _SCAN = 0xD9, 0xDA  # markers: end of image, start of scan
_RESTARTS = [bytes((0xFF, marker)) for marker in range(0xD0, 0xD8)]


def decode_jpeg(
    data: bytes,
    name: str,
    check_size: Callable[[int, int, str], None],
    colour: bool = False,
) -> np.ndarray:
    """The grey levels of a JPEG, (H, W) uint8, or in colour red, green and blue, (H, W, 3).

    check_size: called with its sides before it is decoded.
    A JPEG that is damaged or cut short raises InputError; one without its end mark alone is read.
    """
    width = height = scans = 0
    ended, exact = False, set[int]()  # exact: coefficients of the light that have their last bit
    for marker, content in _segments(data):
        if marker in _FRAMES and not scans:
            height, width = int.from_bytes(content[1:3]), int.from_bytes(content[3:5])
        elif marker == _SCAN:
            scans += 1
            if len(content) >= 6 and content[1] <= 1 and content[-1] & 15 == 0:
                exact.update(range(content[-3], content[-2] + 1))
        ended = marker == _END
    if not width:
        raise InputError(f"{name}: its JPEG header is damaged; copy or download it again")
    check_size(width, height, name)
    limit = min(MAX_SCANS, MAX_SCANNED_PIXELS // (width * height))
    if scans > limit:
        raise InputError(f"{name}: has {scans:,} scans, at most {limit} are read; save it anew")
    # OpenCV decodes JPEG three times as fast as Pillow, but fills missing parts with grey.
    image = _pixels(data if ended else data.rstrip(b"\xff") + b"\xff\xd9", colour)
    if not ended and not (len(exact) == 64 and image is not None and _is_whole(data)):
        raise InputError(f"{name}: is cut short; copy or download it again")
    if image is None:
        raise InputError(f"{name}: its JPEG data are damaged; copy or download it again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if colour else image


def _pixels(data: bytes, colour: bool = False) -> np.ndarray | None:
    how = cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE
    with suppress(cv2.error):
        return cv2.imdecode(np.frombuffer(data, np.uint8), how)
    return None


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The marker and the content of each segment, up to the end mark."""
    position = marker = 0
    while marker != _END and (found := _SEGMENT.search(data, position)):
        marker, start = data[found.end() - 1], found.end()
        # Its content is passed over, for it may hold a thumbnail with an end of its own.
        position = start + int.from_bytes(data[start : start + 2]) * (marker != _END)
        yield marker, data[start + 2 : position]


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
