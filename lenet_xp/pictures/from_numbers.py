"""Rows of any numbers as images, so that a network can read pictures and tables alike.

Pictures share one range of levels; the columns of a table, which need not have a unit in common,
have a range each.
"""

import math
from dataclasses import dataclass

import numpy as np

from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2

SIDE = 32  # pixels
PIECE = 2048  # rows: converted at a time, for their floating-point copies are large


@dataclass(frozen=True)
class FeatureImages:
    """The grid that the numbers of a row fill, and the range that becomes grey levels.

    shape: (H, W) of the grid, filled row by row. low, high: the numbers that become level 0 and
    level 255, one for all columns or one each. picture: whether the grid is a picture, no table.
    side: of the images, in pixels. channels: numbers of each place of the grid, 1 or 3.
    framed: the preprocessing of a model that was started from; it then frames the pictures.
    """

    shape: tuple[int, int]
    low: np.ndarray
    high: np.ndarray
    picture: bool
    side: int = SIDE
    channels: int = 1
    framed: Preprocessing | None = None

    @staticmethod
    def fitted(
        rows: np.ndarray, shape: tuple[int, int] | None = None, side: int = SIDE, channels: int = 1
    ) -> "FeatureImages":
        """The conversion of rows (N, F) of finite numbers; shape: (H, W) if they are pictures.

        Without a shape, side * side columns are pictures, and any other number of columns fills
        the nearest square from its first row on. Rows of uint8 keep their levels; the range of
        others is what they span here, over a whole picture or for each column of a table.
        """
        count = rows.shape[1]
        if shape is None and count == side * side:
            shape = side, side
        picture = shape is not None
        if shape is None:
            width = math.isqrt(count - 1) + 1
            shape = -(-count // width), width
        if rows.dtype == np.uint8:
            low, high = np.array(0.0), np.array(255.0)
        else:
            axis = None if picture else 0
            low, high = (np.asarray(f(axis=axis), np.float64) for f in (rows.min, rows.max))
        return FeatureImages(shape, low, high, picture, side, channels)

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Rows (N, F) as (N, side, side[, 3]) uint8, each by itself; others are clipped to range.

        Grids of up to the side are enlarged by a whole number, each entry a square, and centred on
        level 0; larger ones are reduced by area until their longer side fits.
        """
        colours = (3,) if self.channels == 3 else ()
        span = self.high / 2 - self.low / 2
        images = np.zeros((len(rows), self.side, self.side, *colours), np.uint8)
        for start in range(0, len(rows), PIECE):
            # Halves, for a difference of whole numbers may overflow; what does not vary is 0.
            half = rows[start : start + PIECE].astype(np.float64) / 2 - self.low / 2
            part = half / np.where(span > 0, span, np.inf)
            levels = np.rint(255 * part.clip(0, 1)).astype(np.uint8)
            grids = np.zeros((len(levels), math.prod(self.shape) * self.channels), np.uint8)
            grids[:, : levels.shape[1]] = levels
            grids = grids.reshape(-1, *self.shape, *colours)
            framed = self.framed.apply_all(grids) if self.framed else _centred(grids, self.side)
            images[start : start + PIECE] = framed
        return images


def _centred(grids: np.ndarray, size: int) -> np.ndarray:
    """Grids (N, H, W) or (N, H, W, 3) uint8 as (N, size, size) or (N, size, size, 3)."""
    longer = max(grids.shape[1:3])
    if longer > size:
        height, width = (max(1, round(side * size / longer)) for side in grids.shape[1:3])
        how = cv2.INTER_AREA
        grids = np.stack([cv2.resize(g, (width, height), interpolation=how) for g in grids])
    else:
        times = size // longer
        grids = grids.repeat(times, axis=1).repeat(times, axis=2)
    height, width = grids.shape[1:3]
    top, left = (size - height) // 2, (size - width) // 2
    around = ((0, 0), (top, size - height - top), (left, size - width - left), (0, 0))
    return np.pad(grids, around[: grids.ndim])
