"""Frames a letter the way AMHCD's images are framed.

AMHCD's letters are cropped to their ink and stretched to the whole frame, with two exceptions:
`yan`, a single bar, keeps its narrow shape in the middle, and `ya` keeps a blank upper half, which
is all that tells it from `yar`. Pictures as small as those of data sets are framed already: only
ink that is lost in such a picture is cut out.
"""

import numpy as np

from lenet_xp.pictures.sheet import shrunk
from lenet_xp.system.opencv import cv2

DATASET_SIDE = 64  # pixels: longer side up to which a picture counts as one of a data set
# of the picture's side: ink that spans less both ways is cut out; AMHCD's spans 0.51, MNIST's 0.46
MIN_EXTENT = 0.4
INK_THRESHOLD = 0.35  # of the range of levels: where ink begins

MIN_ASPECT = 1 / 3  # shorter side per longer side: a narrower shape is a bar
MAX_BAR_LENGTH = 2048  # pixels: a longer bar is shrunk, for the square around it grows with it

MIN_YA_TOP = 0.48  # of the picture's height: where the ring of a `ya` begins
MAX_YA_OFFSET = 1 / 8  # of the picture's width: distance of a `ya` from the middle
MIN_RING_SIDE = 8  # pixels: a smaller shape shows no ring
RING_SIDE = 32  # pixels: side of the square at which a shape is compared with a ring
RING_THRESHOLD = 40  # grey levels: where ink begins in that square
RING_MARGIN = 6  # pixels: blank rim around that square
RING_GAP = 5  # pixels: kernel that closes the gaps of a ring
MIN_HOLE = 0.3  # of that square: area that a ring encloses


def is_framed(inks: np.ndarray) -> np.ndarray:
    """Which of (N, H, W) uint8 pictures, ink bright, are certainly framed already: (N,) bool.

    Only small pictures can be framed, and only those without the proportions of a bar.
    """
    count, height, width = inks.shape
    if max(height, width) > DATASET_SIDE or min(height, width) < MIN_ASPECT * max(height, width):
        return np.zeros(count, bool)
    low = inks.min((1, 2)).astype(np.float32)
    threshold = low + INK_THRESHOLD * (inks.max((1, 2)) - low)
    mask = inks > threshold.astype(np.uint8)[:, None, None]
    extent = np.maximum(_extent(mask.any(2)) / height, _extent(mask.any(1)) / width)
    return np.asarray(extent >= MIN_EXTENT)


def _extent(rows: np.ndarray) -> np.ndarray:
    """The distance from the first to the last true value of each row of (N, L) bool; else L."""
    return np.asarray(rows.shape[1] - rows.argmax(1) - rows[:, ::-1].argmax(1))


def frame(ink: np.ndarray) -> np.ndarray:
    """A small picture with lost ink cut out and a bar padded to a square, (h, w) uint8.

    ink: (H, W) uint8, ink bright, up to 64 pixels a side.
    """
    height, width = ink.shape
    low, high, _, _ = cv2.minMaxLoc(ink)
    _, mask = cv2.threshold(ink, low + INK_THRESHOLD * (high - low), 255, cv2.THRESH_BINARY)
    left, top, wide, high = cv2.boundingRect(mask)
    if not wide or not high:
        return ink  # blank
    if wide < MIN_EXTENT * width and high < MIN_EXTENT * height:
        ink = crop_to_letter(ink, mask, (left, top, wide, high))
    return pad_bar(ink)


def crop_to_letter(ink: np.ndarray, mask: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The ink within a box; a centred ring low in the picture, a `ya`, keeps a blank upper half.

    ink, mask: (H, W) uint8. box: left, top, width, height of the mask's ink in pixels.
    """
    left, top, wide, high = box
    height, width = ink.shape
    centred = abs(left + wide / 2 - width / 2) < MAX_YA_OFFSET * width
    low = top >= MIN_YA_TOP * height
    if centred and low and is_ring(mask[top : top + high, left : left + wide]):
        top, high = max(0, top - high), high + min(top, high)
    return ink[top : top + high, left : left + wide]


def ink_under(levels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The levels, (H, W) uint8, under a mask (H, W) uint8 widened by a pixel; 0 elsewhere."""
    return cv2.bitwise_and(levels, cv2.dilate(mask, np.ones((3, 3), np.uint8)))


def is_ring(mask: np.ndarray) -> bool:
    """Whether a mask, (h, w) uint8 cropped to its ink, is an empty ring, closed or nearly."""
    if min(mask.shape) < MIN_RING_SIDE:
        return False
    small = cv2.resize(mask, (RING_SIDE, RING_SIDE), interpolation=cv2.INTER_AREA)
    binary = np.where(small > RING_THRESHOLD, 255, 0).astype(np.uint8)
    # Without a margin the closing would shut a ring's open side against the picture's edge.
    padded: np.ndarray = np.pad(binary, RING_MARGIN)
    ink = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((RING_GAP, RING_GAP), np.uint8))
    inside = ink.copy()
    cv2.floodFill(inside, None, (0, 0), 255)
    hole = np.count_nonzero(inside == 0)
    middle = slice(len(ink) // 2 - 4, len(ink) // 2 + 4)
    return bool(hole > MIN_HOLE * RING_SIDE**2 and not ink[middle, middle].any())


def pad_bar(ink: np.ndarray) -> np.ndarray:
    """A bar, (h, w) uint8, padded with 0 to a square; another shape as it is, to be stretched."""
    height, width = ink.shape
    if min(height, width) >= MIN_ASPECT * max(height, width):
        return ink
    ink = shrunk(ink, MAX_BAR_LENGTH)
    height, width = ink.shape
    down, across = max(0, width - height), max(0, height - width)
    return np.pad(ink, ((down // 2, down - down // 2), (across // 2, across - across // 2)))
