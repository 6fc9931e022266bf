"""Finds the ink of an even sheet: connected components that stand out of the noise of the paper.

Pixels are thresholded with hysteresis: every pixel of a component exceeds a low threshold and at
least one exceeds a high one. Both thresholds follow the noise, which is measured tile by tile: it
is stronger in a shadow and on grained paper, so that a level that is ink in one corner is noise in
another. A component must also have a sharp rim, or it is a shadow.
"""

from dataclasses import dataclass

import numpy as np

from lenet_xp.system.opencv import cv2

MAD_TO_SIGMA = 1.4826  # standard deviation per median absolute deviation of normal noise

MIN_TILE = 48  # pixels: smallest side of a tile in which noise is measured
SMOOTHING_SIGMA = 0.8  # pixels: Gaussian smoothing before the thresholds
NOISE_SIGMA = 4.0  # pixels: Gaussian smoothing that leaves no noise
MIN_NOISE = 0.4  # grey levels: noise that rounding alone makes
MAX_PAPER_BIAS = 4.0  # noise sigmas: median darkness of a tile that is still paper

HIGH_THRESHOLD = 5.0  # noise sigmas: some pixel of a component exceeds it
LOW_THRESHOLD = 2.2  # noise sigmas: every pixel of a component exceeds it
MIN_HIGH_LEVEL = 8  # grey levels: lower bound of the high threshold
MIN_LOW_LEVEL = 4  # grey levels: lower bound of the low threshold
FULL_INK_RANK = 100  # pixels: so many are at least as dark as full ink
MIN_HIGH_SHARE = 0.25  # of full ink: lower bound of the high threshold
LOW_DIVISOR = 2.5  # times: the high threshold divided by it is a lower bound of the low one

MIN_AREA = 12  # pixels: area of a component
MIN_RULED_SHARE = 0.9  # of a component's area on ruled lines: it is a remainder of them
MIN_RULED_LEVEL = 0.6  # of full ink: unless one of its pixels is darker than this
MIN_RIM_STEP = 0.15  # of a component's mean level: rise of its rim over 2 pixels
RIM_SIGMA = 2.0  # pixels: Gaussian smoothing before that rise is measured
MIN_SIDE_WITH_MARGIN = 200  # pixels: shorter side from which a picture's margin is ignored
MARGIN = 4  # pixels: width of that margin
MAX_PIXEL_WEIGHT = 40.0  # noise sigmas: weight of one pixel


@dataclass(frozen=True)
class Ink:
    """The connected components of a sheet's ink, number 0 being its paper.

    levels: (H, W) uint8 darkness of all pixels. labels: (H, W) int32, the component of each pixel.
    boxes: (N, 4) left, top, width, height. weights: (N,) evidence for ink, in noise sigmas summed
    over a component's pixels; 0 for what is no ink.
    """

    levels: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    weights: np.ndarray

    def mask(self, weights: np.ndarray | None = None) -> np.ndarray:
        """(H, W) uint8, 255 where there is ink, or where the components' (N,) weights are not 0."""
        weights = self.weights if weights is None else weights
        return np.asarray(np.where(weights > 0, 255, 0).astype(np.uint8)[self.labels])


def find_ink(levels: np.ndarray, kernel: int, ruled: np.ndarray) -> Ink:
    """The ink among levels of darkness, (H, W) uint8.

    kernel: pixels, as in `darkness`; strokes are much narrower. ruled: (H, W) uint8, 255 where
    lines ran: a faint component that lies there alone is a remainder of them.
    """
    smooth = cv2.GaussianBlur(levels.astype(np.float32), (0, 0), SMOOTHING_SIGMA)
    tile = max(MIN_TILE, min(kernel, min(smooth.shape) // 4))
    fine = np.abs(smooth - cv2.GaussianBlur(smooth, (0, 0), NOISE_SIGMA))
    noise = np.maximum(MAD_TO_SIGMA * _tile_medians(fine, tile, widened=True), MIN_NOISE)
    # The closing makes paper somewhat too light. A tile that is darker by more is wide ink.
    bias = np.minimum(_tile_medians(smooth, tile), MAX_PAPER_BIAS * noise)
    smooth -= bias
    weight = smooth / noise
    certain = smooth[weight > HIGH_THRESHOLD]
    full = 0.0
    if len(certain) > FULL_INK_RANK:
        full = float(np.partition(certain, -FULL_INK_RANK)[-FULL_INK_RANK])
    high = np.maximum(HIGH_THRESHOLD * noise, max(MIN_HIGH_SHARE * full, MIN_HIGH_LEVEL))
    low = np.maximum(np.maximum(LOW_THRESHOLD * noise, high / LOW_DIVISOR), MIN_LOW_LEVEL)
    mask: np.ndarray = np.where(smooth > low, 255, 0).astype(np.uint8)
    if min(mask.shape) >= MIN_SIDE_WITH_MARGIN:
        mask[:MARGIN] = mask[-MARGIN:] = mask[:, :MARGIN] = mask[:, -MARGIN:] = 0
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    inked, area = mask > 0, stats[:, cv2.CC_STAT_AREA]
    own = labels[inked]

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(own, values[inked], count)

    weights = sums(np.minimum(weight, MAX_PIXEL_WEIGHT))
    on_lines = sums(ruled > 0) >= MIN_RULED_SHARE * area
    is_ink = (sums(smooth > high) > 0) & (area >= MIN_AREA)
    is_ink &= ~on_lines | (sums(smooth > MIN_RULED_LEVEL * full) > 0)
    # A stroke has a sharp rim; a shadow fades out. The paper's own gradient does not count.
    smooth, square = cv2.GaussianBlur(levels - bias, (0, 0), RIM_SIGMA), np.ones((3, 3), np.uint8)
    gradient = cv2.morphologyEx(smooth, cv2.MORPH_GRADIENT, square)
    gradient -= _tile_medians(gradient, tile)
    rim = inked & (cv2.erode(mask, square) == 0)
    pixels = np.bincount(labels[rim], minlength=count).clip(1)
    rise = np.bincount(labels[rim], gradient[rim], count) / pixels
    is_ink &= rise > MIN_RIM_STEP * (sums(smooth) / area.clip(1))
    is_ink[0] = False
    return Ink(levels, labels, stats[:, :4], weights * is_ink)


def stroke_width(mask: np.ndarray) -> float:
    """The width of a mask's strokes in pixels, (H, W) uint8: the upper quartile along their ridges.

    A mask without ink has width 0.
    """
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    ridge = depth[(depth >= cv2.dilate(depth, np.ones((3, 3)))) & (depth > 0)]
    return 2 * float(np.percentile(ridge, 75)) if len(ridge) else 0.0


def _tile_medians(values: np.ndarray, tile: int, widened: bool = False) -> np.ndarray:
    """The medians of tiles, or if `widened` the largest nearby, at each pixel of (H, W) float32."""
    height, width = values.shape
    down, across = height // tile, width // tile
    if min(down, across) < 2:  # a letter may fill the picture: medians tell nothing of the paper
        return np.zeros_like(values)
    high, wide = height // down, width // across
    cut = values[: down * high, : across * wide].reshape(down, high, across, wide)
    # Every third pixel either way is sample enough.
    samples = cut[:, ::3, :, ::3].transpose(0, 2, 1, 3).reshape(down, across, -1)
    medians: np.ndarray = np.median(samples, axis=2).astype(np.float32)
    if min(down, across) >= 3:
        medians = cv2.medianBlur(medians, 3)
        if widened:
            medians = cv2.dilate(medians, np.ones((3, 3), np.uint8))
    return cv2.resize(medians, (width, height), interpolation=cv2.INTER_LINEAR)
