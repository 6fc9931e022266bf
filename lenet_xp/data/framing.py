"""Finds the letter in a larger picture and frames it the way AMHCD's images are framed.

AMHCD's letters are cropped to their ink and stretched to the whole frame, with two exceptions:
`yan`, a single bar, keeps its narrow shape in the middle, and `ya` has a blank upper half, which
is all that tells it from `yar`.
"""

import numpy as np

from lenet_xp.data.paper import find_ink, shrunk
from lenet_xp.opencv import cv2

# Data sets come framed, in 64 pixels or less; there only ink that is lost in the picture is cut
# out. The smallest larger side of the ink is 0.51 of the picture in AMHCD and 0.46 in MNIST.
DATASET_SIDE = 64
SMALL = 0.4
LOOKED_AT = 1280  # pixels of the longer side at which a letter is looked for

INK_LEVEL = 0.35  # of the darkest level: where ink begins

# Of the largest connected piece's ink: what is no speck, and what may be its other half. Of the
# letter found so far: how far from it another part may lie.
SPECK, PARTNER = 0.02, 0.25
NEAR, FAR = 0.6, 1.6
MOST_PARTS = 8

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
        ink = _with_ya_in_its_place(ink, mask, (left, top, wide, high))
    return without_extreme_proportions(ink)


def find_letter(grey: np.ndarray, polarity: str = "auto") -> np.ndarray:
    """The one letter of a larger picture, framed, as (h, w) uint8 of any size, ink bright on 0.

    grey: (H, W) uint8. polarity: see `find_ink`. Where the picture holds several, the largest.
    The letter is looked for in an overview; one that is small there is looked at again.
    """
    overview = shrunk(grey, LOOKED_AT)
    ink = find_ink(overview, polarity)
    kept, box = main_pieces(ink.mask)
    scale = max(grey.shape) / max(overview.shape)
    if scale > 1 and 0 < max(box[2:]) < DATASET_SIDE:
        side = max(box[2:])
        left, top = (max(0, int((start - side) * scale)) for start in box[:2])
        right, bottom = (int((box[i] + box[2 + i] + side) * scale) for i in (0, 1))
        return find_letter(grey[top:bottom, left:right], polarity)
    levels = cv2.bitwise_and(ink.levels, cv2.dilate(kept, np.ones((3, 3), np.uint8)))
    if not box[2]:
        return levels  # blank
    return without_extreme_proportions(_with_ya_in_its_place(levels, kept, box))


def main_pieces(mask: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """The letter among the connected pieces of a mask: the largest, and what lies near it.

    mask: (H, W) uint8, 0 or 255. Returns the mask of those pieces, and their left, top, width and
    height; all 0 where there is nothing.
    """
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    stats[0] = 0  # the paper
    area = stats[:, cv2.CC_STAT_AREA]
    largest = int(area.argmax())
    start, size = stats[:, :2], stats[:, 2:4]
    low, high = start[largest], start[largest] + size[largest]
    chosen = np.arange(len(area)) == largest
    waiting = (area >= SPECK * area[largest]) & ~chosen
    reach = np.where(area >= PARTNER * area[largest], FAR, NEAR)
    for _ in range(MOST_PARTS):
        gap = np.maximum(start - high, low - start - size).max(1)
        near = waiting & (gap <= reach * (high - low).max())
        if not near.any():
            break
        chosen, waiting = chosen | near, waiting & ~near
        low = np.minimum(low, start[near].min(0))
        high = np.maximum(high, (start + size)[near].max(0))
    kept = np.where(chosen, 255, 0).astype(np.uint8)[pieces]
    return kept, (int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))


def _with_ya_in_its_place(
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
