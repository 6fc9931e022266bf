"""Frames a letter the way AMHCD's images are framed.

AMHCD's letters are cropped to their ink and stretched to the whole frame, with two exceptions:
`yan`, a single bar, keeps its narrow shape in the middle, and `ya` has a blank upper half, which
is all that tells it from `yar`.
"""

import numpy as np

from lenet_xp.pictures.sheet import shrunk
from lenet_xp.system.opencv import cv2

# Data sets come framed, in 64 pixels or less; there only ink that is lost in the picture is cut
# out. The smallest larger side of the ink is 0.51 of the picture in AMHCD and 0.46 in MNIST.
DATASET_SIDE = 64
SMALL = 0.4

INK_LEVEL = 0.35  # of the darkest level: where ink begins

# A shape narrower than this part of its length is a bar and keeps its proportions. One that is
# longer than this is reduced first: the square that it is padded to grows with its length.
BAR = 1 / 3
LONGEST_BAR = 2048


def is_framed(inks: np.ndarray) -> np.ndarray:
    """Which of (N, H, W) uint8 pictures, ink bright, are certainly framed already: (N,) bool.

    Only small pictures can be, and only those without the proportions of a bar.
    """
    count, height, width = inks.shape
    if max(height, width) > DATASET_SIDE or min(height, width) < BAR * max(height, width):
        return np.zeros(count, bool)
    low = inks.min((1, 2)).astype(np.float32)
    level = low + INK_LEVEL * (inks.max((1, 2)) - low)
    mask = inks > level.astype(np.uint8)[:, None, None]
    extent = np.maximum(_extent(mask.any(2)) / height, _extent(mask.any(1)) / width)
    framed: np.ndarray = extent >= SMALL
    return framed


def _extent(lines: np.ndarray) -> np.ndarray:
    """From the first to the last true value of each row of (N, L) bool; L where there is none."""
    extent: np.ndarray = lines.shape[1] - lines.argmax(1) - lines[:, ::-1].argmax(1)
    return extent


def frame(ink: np.ndarray) -> np.ndarray:
    """A small picture's ink cut out where it is lost in the picture, and a bar padded to a square.

    ink: (H, W) uint8, ink bright on paper, up to 64 pixels a side. Returns (h, w) uint8.
    """
    height, width = ink.shape
    low, high, _, _ = cv2.minMaxLoc(ink)
    _, mask = cv2.threshold(ink, low + INK_LEVEL * (high - low), 255, cv2.THRESH_BINARY)
    left, top, wide, high = cv2.boundingRect(mask)
    if not wide or not high:
        return ink  # blank
    if wide < SMALL * width and high < SMALL * height:
        ink = with_ya_in_its_place(ink, mask, (left, top, wide, high))
    return without_extreme_proportions(ink)


def with_ya_in_its_place(
    ink: np.ndarray, mask: np.ndarray, box: tuple[int, int, int, int]
) -> np.ndarray:
    """The ink of a box, with a blank upper half above a ring that lies low in its picture: `ya`."""
    left, top, wide, high = box
    centred = abs(left + wide / 2 - ink.shape[1] / 2) < ink.shape[1] / 8
    if (
        centred
        and top >= 0.48 * ink.shape[0]
        and is_ring(mask[top : top + high, left : left + wide])
    ):
        top, high = max(0, top - high), high + min(top, high)
    return ink[top : top + high, left : left + wide]


def is_ring(mask: np.ndarray) -> bool:
    """Whether a mask, (h, w) uint8 cut to its ink, is an empty ring, closed or nearly."""
    height, width = mask.shape
    if min(height, width) < 8:
        return False
    side = 32
    small = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)
    # Room for the closing to end in, or it would shut an open side against the rim.
    padded: np.ndarray = np.pad(np.where(small > 40, 255, 0).astype(np.uint8), 6)
    ink = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    inside = ink.copy()
    cv2.floodFill(inside, None, (0, 0), 255)
    hollow = np.count_nonzero(inside == 0)
    middle = ink[side // 2 + 2 : side // 2 + 10, side // 2 + 2 : side // 2 + 10]
    return bool(hollow > 0.3 * side * side and not middle.any())


def without_extreme_proportions(ink: np.ndarray) -> np.ndarray:
    """A bar padded with paper to a square; anything else as it is, to be stretched."""
    height, width = ink.shape
    if min(height, width) >= BAR * max(height, width):
        return ink
    ink = shrunk(ink, LONGEST_BAR)
    height, width = ink.shape
    down, across = max(0, width - height), max(0, height - width)
    return cv2.copyMakeBorder(
        ink,
        down // 2,
        down - down // 2,
        across // 2,
        across - across // 2,
        cv2.BORDER_CONSTANT,
        value=0,
    )
