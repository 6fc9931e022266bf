"""Finds the letter in a larger picture and frames it the way AMHCD's images are framed.

AMHCD's letters are cropped to their ink and stretched to the whole frame, with two exceptions:
`yan`, a single bar, keeps its narrow shape in the middle, and `ya` has a blank upper half, which
is all that tells it from `yar`.
"""

from collections.abc import Sequence

import numpy as np

from lenet_xp.opencv import cv2

# Data sets come framed, in 64 pixels or less; there only ink that is lost in the picture is cut
# out. The smallest larger side of the ink is 0.51 of the picture in AMHCD and 0.46 in MNIST.
DATASET_SIDE = 64
SMALL_IN_DATASET = 0.4
SMALL_IN_LARGER = 0.75

# Of the darkest level: where ink begins. Of the largest connected piece: what is still ink and
# not a speck.
INK_LEVEL = 0.35
SPECK = 0.02

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
    framed: np.ndarray = extent >= SMALL_IN_DATASET
    return framed


def _extent(lines: np.ndarray) -> np.ndarray:
    """From the first to the last true value of each row of (N, L) bool; L where there is none."""
    extent: np.ndarray = lines.shape[1] - lines.argmax(1) - lines[:, ::-1].argmax(1)
    return extent


def frame(ink: np.ndarray) -> np.ndarray:
    """A picture's ink brought to AMHCD's framing; a picture that is framed already is returned.

    ink: (H, W) uint8, ink bright on paper. Returns (h, w) uint8, of any size.
    Pictures over 64 pixels also lose the slow shading of a photographed sheet.
    """
    height, width = ink.shape
    larger = max(height, width) > DATASET_SIDE
    if larger:
        ink = _without_shading(ink)
    left, top, box_width, box_height = _ink_box(ink, larger)
    if not box_width or not box_height:
        return ink  # blank
    small = SMALL_IN_LARGER if larger else SMALL_IN_DATASET
    if box_width < small * width and box_height < small * height:
        # `ya` by itself: ink below the middle of the picture and centred, as AMHCD shows it.
        centred = abs(left + box_width / 2 - width / 2) < width / 8
        if centred and top >= 0.48 * height:
            top, box_height = max(0, top - box_height), box_height + min(top, box_height)
        ink = ink[top : top + box_height, left : left + box_width]
    return _without_extreme_proportions(ink)


def shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture reduced by area so that neither side exceeds `side`; a smaller one as it is."""
    height, width = picture.shape
    scale = side / max(height, width)
    if scale >= 1:
        return picture
    smaller = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA)


def _without_shading(ink: np.ndarray) -> np.ndarray:
    """Ink minus its morphological opening: what is left is finer than a third of the picture."""
    overview = shrunk(ink, 256)
    kernel = np.ones((max(overview.shape) // 3,) * 2, np.uint8)
    paper = cv2.morphologyEx(overview, cv2.MORPH_OPEN, kernel)
    paper = cv2.resize(paper, ink.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.subtract(ink, paper)


def _ink_box(ink: np.ndarray, larger: bool) -> Sequence[int]:
    """Left, top, width and height of the ink in pixels; specks do not count in larger pictures."""
    overview = shrunk(ink, 256) if larger else ink
    low, high, _, _ = cv2.minMaxLoc(overview)
    _, mask = cv2.threshold(overview, low + INK_LEVEL * (high - low), 255, cv2.THRESH_BINARY)
    if not larger:
        return cv2.boundingRect(mask)
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    area = stats[:, cv2.CC_STAT_AREA]
    kept = area >= SPECK * area[1:].max(initial=1)
    kept[0] = False  # piece 0 is the paper
    left, top, width, height = cv2.boundingRect(kept[pieces].astype(np.uint8))
    across, down = ink.shape[1] / overview.shape[1], ink.shape[0] / overview.shape[0]
    x, y = int(left * across), int(top * down)
    return x, y, int((left + width) * across) - x, int((top + height) * down) - y


def _without_extreme_proportions(ink: np.ndarray) -> np.ndarray:
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
