"""The ink of an even sheet: connected pieces that stand out of the paper's noise and have a rim.

Noise is measured tile by tile, for it is stronger in a shadow and on grained paper, and a level
that is ink in one corner is none in another.
"""

from dataclasses import dataclass

import numpy as np

from lenet_xp.system.opencv import cv2

TILE = 48  # pixels of the side of a tile in which noise is alike, at least
SOFT = 0.8  # pixels: sigma by which levels are smoothed before they are looked at
COARSE = 4.0  # pixels: sigma of what is no noise
QUIET = 0.4  # grey levels: the least noise, that of whole numbers
PAPER = 4.0  # deviations by which filling in makes paper lighter than it is, at most

SURE, FAINT = 5.0, 2.2  # deviations: what a piece of ink has somewhere, and everywhere
FAINTEST, FAINTEST_FAINT = 8, 4  # the same in grey levels, where there is no noise
DARKEST = 100  # pixels: as dark as these is full ink
INK_LEVEL = 0.3  # of full ink: what a piece has somewhere; everywhere, a third of it
SMALLEST = 12  # pixels of a piece
SHARP, RIM_SOFT = 0.15, 2.0  # of a piece's level: what its rim rises by in 2 pixels, smoothed
ON_RULES, DARK = 0.9, 0.6  # of a piece, on ruled lines: no ink unless it is so dark, of full ink
WITH_RIM, RIM = 200, 4  # pixels: what is so near a larger picture's edge is no ink
MOST_WEIGHT = 40.0  # deviations that a pixel weighs


@dataclass(frozen=True)
class Ink:
    """The pieces of ink of a sheet, piece 0 being its paper.

    levels: (H, W) uint8, how dark, without regard to pieces. pieces: (H, W) int32, that of each
    pixel. boxes: (N, 4) left, top, width, height. weights: (N,) how much stands for a piece being
    ink, in deviations of noise over its pixels; 0 for what is none.
    """

    levels: np.ndarray
    pieces: np.ndarray
    boxes: np.ndarray
    weights: np.ndarray

    def mask(self) -> np.ndarray:
        """(H, W) uint8, 255 where there is ink."""
        ink: np.ndarray = np.where(self.weights > 0, 255, 0).astype(np.uint8)[self.pieces]
        return ink


def find_ink(levels: np.ndarray, kernel: int, ruled: np.ndarray) -> Ink:
    """The ink among darknesses (H, W) uint8; faint ink counts where it hangs on certain ink.

    kernel: pixels that strokes are much narrower than, as in `darkness`. ruled: (H, W) uint8, 255
    where lines ran: what is faint and lies there alone is left of them.
    """
    soft = cv2.GaussianBlur(levels.astype(np.float32), (0, 0), SOFT)
    tile = max(TILE, min(kernel, min(soft.shape) // 4))
    fine = np.abs(soft - cv2.GaussianBlur(soft, (0, 0), COARSE))
    noise = np.maximum(1.4826 * _medians(fine, tile, widened=True), QUIET)
    # Paper that is darker than filling in can make it is ink, wider than a tile.
    paper = np.minimum(_medians(soft, tile), PAPER * noise)
    soft -= paper
    weight = soft / noise
    certain = soft[weight > SURE]
    full = float(np.partition(certain, -DARKEST)[-DARKEST]) if len(certain) > DARKEST else 0.0
    edge = np.maximum(SURE * noise, max(INK_LEVEL * full, FAINTEST))
    faint = np.maximum(np.maximum(FAINT * noise, edge / 3), FAINTEST_FAINT)
    mask: np.ndarray = np.where(soft > faint, 255, 0).astype(np.uint8)
    if min(mask.shape) >= WITH_RIM:
        mask[:RIM] = mask[-RIM:] = mask[:, :RIM] = mask[:, -RIM:] = 0
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    inked, area = mask > 0, stats[:, cv2.CC_STAT_AREA]
    there = pieces[inked]
    weights = np.bincount(there, np.minimum(weight[inked], MOST_WEIGHT), count)
    on_rules = np.bincount(there, ruled[inked] > 0, count) >= ON_RULES * area
    is_ink = _somewhere(soft > edge, pieces, count) & (area >= SMALLEST)
    is_ink &= ~on_rules | _somewhere(soft > DARK * full, pieces, count)
    is_ink &= _sharp(levels - paper, mask, pieces, count, tile)
    is_ink[0] = False
    return Ink(levels, pieces, stats[:, :4], weights * is_ink)


def stroke_width(mask: np.ndarray) -> float:
    """The width of the strokes of a mask, (H, W) uint8, in pixels: wider than three in four."""
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    ridge = depth[(depth >= cv2.dilate(depth, np.ones((3, 3)))) & (depth > 0)]
    return 2 * float(np.percentile(ridge, 75)) if len(ridge) else 0.0


def _medians(values: np.ndarray, tile: int, widened: bool = False) -> np.ndarray:
    """The median of (H, W) float32 around each pixel, from tiles; widened: the largest nearby."""
    height, width = values.shape
    down, across = height // tile, width // tile
    if min(down, across) < 2:
        return np.zeros_like(values)  # a letter fills so small a picture: no telling what is paper
    medians: np.ndarray = np.median(_tiles(values, down, across), axis=2).astype(np.float32)
    if min(down, across) >= 3:
        medians = cv2.medianBlur(medians, 3)
        if widened:
            medians = cv2.dilate(medians, np.ones((3, 3), np.uint8))
    return cv2.resize(medians, (width, height), interpolation=cv2.INTER_LINEAR)


def _tiles(values: np.ndarray, down: int, across: int) -> np.ndarray:
    """Every third pixel of (H, W) either way, by tile: (down, across, pixels)."""
    height, width = values.shape[0] // down, values.shape[1] // across
    cut = values[: down * height, : across * width].reshape(down, height, across, width)
    tiles: np.ndarray = cut[:, ::3, :, ::3].transpose(0, 2, 1, 3).reshape(down, across, -1)
    return tiles


def _somewhere(true: np.ndarray, pieces: np.ndarray, count: int) -> np.ndarray:
    """Which pieces have a pixel where it is true, (count,) bool."""
    found = np.zeros(count, bool)
    found[pieces[true]] = True
    return found


def _sharp(
    levels: np.ndarray, mask: np.ndarray, pieces: np.ndarray, count: int, tile: int
) -> np.ndarray:
    """Which pieces have the rim of a stroke, (count,) bool: a shadow's fades out.

    What rises beside them, too, is noise or the shadow itself.
    """
    small = np.ones((3, 3), np.uint8)
    soft = cv2.GaussianBlur(levels, (0, 0), RIM_SOFT)
    steps = cv2.morphologyEx(soft, cv2.MORPH_GRADIENT, small)
    steps -= _medians(steps, tile)
    inked = mask > 0
    outer = inked & (cv2.erode(mask, small) == 0)
    rim = pieces[outer]
    rise = np.bincount(rim, steps[outer], count) / np.maximum(np.bincount(rim, minlength=count), 1)
    area = np.maximum(np.bincount(pieces[inked], minlength=count), 1)
    level = np.bincount(pieces[inked], soft[inked], count) / area
    sharp: np.ndarray = rise > SHARP * level
    return sharp
