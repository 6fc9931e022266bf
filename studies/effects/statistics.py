"""Statistics of letter pictures, which describe a data set without showing an image of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lenet_xp.system.opencv import cv2

MIN_INK = 128  # grey level: a stretched pixel of at least this counts as ink
GREY = (32, 224)  # grey levels: between them a pixel is neither paper nor ink
PERCENTILES = (5, 50, 95)


def picture_statistics(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the statistics of pictures by name, each an (N,) array with a value per picture.

    images: (N, S, S) uint8, ink 255 on paper 0.
    ink_share: share of the pixels that are ink. stroke_width: pixels, twice the mean distance of
    the strokes' centre lines from the paper. rows_with_ink, columns_with_ink: numbers from 0 to S.
    grey_share: share of the pixels between ink and paper, which measures the softness of edges.
    touches_all_borders: bool.
    """
    ink: np.ndarray = images >= MIN_INK
    rows, columns = np.any(ink, axis=2), np.any(ink, axis=1)
    touches = rows[:, 0] & rows[:, -1] & columns[:, 0] & columns[:, -1]
    return {
        "ink_share": ink.mean(axis=(1, 2)),
        "stroke_width": np.array([_stroke_width(each) for each in ink]),
        "grey_share": ((images > GREY[0]) & (images < GREY[1])).mean(axis=(1, 2)),
        "rows_with_ink": rows.sum(axis=1),
        "columns_with_ink": columns.sum(axis=1),
        "touches_all_borders": touches,
    }


def percentiles(sides: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
    """Return the percentiles of each number in the statistics of several data sets.

    sides: data set -> statistics. The record is
    {"percentiles": [5, 50, 95], "statistics": {statistic: {data set: [three values]}}}.
    """
    (first, *_) = sides.values()
    return {
        "percentiles": list(PERCENTILES),
        "statistics": {
            key: {
                name: [round(float(q), 4) for q in np.percentile(side[key], PERCENTILES)]
                for name, side in sides.items()
            }
            for key, values in first.items()
            if values.dtype != bool
        },
    }


def _stroke_width(ink: np.ndarray) -> float:
    depth = cv2.distanceTransform(ink.astype(np.uint8), cv2.DIST_L2, 3)
    ridge = depth[(depth == cv2.dilate(depth, np.ones((3, 3), np.uint8))) & (depth > 0)]
    return 2.0 * float(ridge.mean()) - 1.0 if ridge.size else 0.0
