"""Tells writing from what is around it: frames, things at the edges; and the slope of its rows."""

import numpy as np

from lenet_xp.pictures.ink import MARGIN, MIN_SIDE_WITH_MARGIN, Ink
from lenet_xp.system.opencv import cv2

MAX_SPAN = 0.5  # of a page's longer side: a larger piece is no letter
MAX_STRIP = 0.4  # of a page's shorter side: letters that are higher may meet its edges
MIN_FRAMED = 3  # pieces: so many within a hollow one make it a frame
MAX_FILL = 0.35  # of its box: ink of a frame

MAX_SLOPE = 35.0  # degrees: rows are not looked for beyond
MIN_IN_ROWS = 4  # pieces: fewer show no slope
MAX_IN_ROWS = 400  # pieces: the largest show the slope
NEIGHBOURHOOD = 0.7, 8.0  # typical heights: distances along a row of pieces that show its slope
ROW_SPREAD = 0.12  # typical heights: how far pieces stand from the middle of their row
MIN_GAIN = 1.15  # times: how much better rows must fit than level ones


def is_writing(ink: Ink, inside: np.ndarray) -> np.ndarray:
    """Which components of ink, (N,) bool, may be letters: no frames, nothing at a sheet's edge.

    inside: (H, W) uint8, 255 on the sheet. Letters that fill a narrow strip may meet its edges.
    """
    found = ink.weights > 0
    start, size = ink.boxes[:, :2], ink.boxes[:, 2:]
    found &= size.max(1) <= MAX_SPAN * max(inside.shape)
    side = min(inside.shape)
    if side >= MIN_SIDE_WITH_MARGIN:
        reach = 2 * MARGIN + 3
        kernel = np.ones((reach, reach), np.uint8)
        inner = cv2.erode(inside, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        free = found.copy()
        free[ink.labels[inner == 0]] = False
        if free.any() and np.median(size[free, 1]) <= MAX_STRIP * side:
            found = free
    end = start + size
    for place in np.flatnonzero(found & (ink.weights > 0)):
        within = found & ((start > start[place]) & (end < end[place])).all(1)
        if np.count_nonzero(within) >= MIN_FRAMED:
            left, top, width, height = ink.boxes[place]
            own = ink.labels[top : top + height, left : left + width] == place
            found[place] = own.mean() > MAX_FILL
    return found


def slope_of_rows(boxes: np.ndarray, height: float) -> float:
    """The slope in degrees of the rows in which (N, 4) boxes stand, downwards; 0 if none shows.

    height: typical, in pixels. At the right slope the most pairs of neighbours stand at one height.
    """
    if len(boxes) < MIN_IN_ROWS:
        return 0.0
    sizes = (boxes[:, 2:] - boxes[:, :2]).max(1)
    chosen = boxes[np.argsort(-sizes, kind="stable")[:MAX_IN_ROWS]]
    middle = (chosen[:, :2] + chosen[:, 2:]) / (2 * height)
    x, y = (middle[:, None] - middle[None]).transpose(2, 0, 1)
    near = (x > NEIGHBOURHOOD[0] / 2) & (x < NEIGHBOURHOOD[1]) & (np.abs(y) < NEIGHBOURHOOD[1])
    x, y = x[near], y[near]

    def fit(slope: float) -> float:
        along, across = np.cos(np.radians(slope)), np.sin(np.radians(slope))
        return float(np.exp(-(((y * along - x * across) / ROW_SPREAD) ** 2) / 2).sum())

    slopes = np.arange(-MAX_SLOPE, MAX_SLOPE + 0.5, 0.5)
    fits = [fit(slope) for slope in slopes]
    best = int(np.argmax(fits))
    return float(slopes[best]) if fits[best] >= MIN_GAIN * fit(0.0) else 0.0
