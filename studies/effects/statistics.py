"""What can be said of a set of letter pictures without showing one."""

import numpy as np

from lenet_xp.system.opencv import cv2

INK = 128  # the level from which a stretched pixel counts as ink


def picture_statistics(images: np.ndarray) -> dict[str, np.ndarray]:
    """Statistics of each of (N, S, S) uint8 pictures, ink 255 on paper 0: name -> (N,) array.

    ink_share: of the pixels. stroke_width: pixels, twice the mean depth of the ink's ridge.
    rows_with_ink, columns_with_ink: of S. grey_share: neither ink nor paper, the softness of the
    edges. touches_all_borders: yes or no.
    """
    ink: np.ndarray = images >= INK
    rows, columns = np.any(ink, axis=2), np.any(ink, axis=1)
    touches = rows[:, 0] & rows[:, -1] & columns[:, 0] & columns[:, -1]
    return {
        "ink_share": ink.mean(axis=(1, 2)),
        "stroke_width": np.array([_stroke_width(each) for each in ink]),
        "grey_share": ((images > 32) & (images < 224)).mean(axis=(1, 2)),
        "rows_with_ink": rows.sum(axis=1),
        "columns_with_ink": columns.sum(axis=1),
        "touches_all_borders": touches,
    }


def _stroke_width(ink: np.ndarray) -> float:
    depth = cv2.distanceTransform(ink.astype(np.uint8), cv2.DIST_L2, 3)
    ridge = depth[(depth == cv2.dilate(depth, np.ones((3, 3), np.uint8))) & (depth > 0)]
    return 2.0 * float(ridge.mean()) - 1.0 if ridge.size else 0.0
