"""Tells writing from what is around it: frames, things at the edges; and the slope of its rows."""

import numpy as np

from lenet_xp.pictures.ink import MARGIN, MIN_SIDE_WITH_MARGIN, Ink, stroke_width
from lenet_xp.system.opencv import cv2

MAX_SPAN = 0.5  # of a page's longer side: a larger piece is no letter
MAX_STRIP = 0.4  # of a page's shorter side: letters that are higher may meet its edges
MIN_FRAMED = 3  # pieces: so many within a hollow one make it a frame
MAX_FRAMES = 100  # pieces: the largest, which may be frames
MAX_FILL = 0.35  # of its box: ink of a frame

LONG = 2.2  # typical heights: longer straight runs are lines of a table or of a frame
MIN_LINE = 0.1  # of the page's shorter side: the same
DRIFT = 0.04  # of such a run: how far it may rise or sink
BORDER = 0.9  # typical heights: shorter runs from one such line to another are borders of a cell

MAX_SLOPE = 35.0  # degrees: rows are not looked for beyond
SLOPE_STEP = 0.5  # degrees
MIN_IN_ROWS = 4  # components: fewer show no slope
MIN_CROSSING = 0.9  # of the page's longer side: unless they are its ruled lines
MAX_PIXELS = 20_000  # pixels of ink: sample enough for a slope
MIN_GAIN = 1.15  # times: how much better than a level page it must fit


def is_writing(ink: Ink, inside: np.ndarray) -> np.ndarray:
    """Which components of ink, (N,) bool, may be letters: no frames, nothing at a sheet's edge.

    inside: (H, W) uint8, 255 on the sheet. Letters that fill a narrow strip may meet its edges.
    """
    start, size = ink.boxes[:, :2], ink.boxes[:, 2:]
    found = (ink.weights > 0) & (size.max(1) <= MAX_SPAN * max(inside.shape))
    if min(inside.shape) >= MIN_SIDE_WITH_MARGIN:
        kernel = np.ones((2 * MARGIN + 3, 2 * MARGIN + 3), np.uint8)
        off_edge = cv2.erode(inside, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        free = found.copy()
        free[ink.labels[off_edge == 0]] = False
        if free.any() and np.median(size[free, 1]) <= MAX_STRIP * min(inside.shape):
            found = free
    largest = np.argsort(-size.max(1) * found, kind="stable")[:MAX_FRAMES]
    for place in largest[found[largest]]:
        within = found & ((start > start[place]) & (start + size < (start + size)[place])).all(1)
        if np.count_nonzero(within) >= MIN_FRAMED:
            left, top, width, height = ink.boxes[place]
            own = ink.labels[top : top + height, left : left + width] == place
            found[place] = own.mean() > MAX_FILL
    return found if found.any() else ink.weights > 0


def find_rules(ink: Ink, height: float) -> np.ndarray:
    """Where lines of tables, frames and ruled paper run, (H, W) uint8: 255 there.

    height: typical of letters, in pixels.
    """
    length = max(LONG * height, MIN_LINE * min(ink.levels.shape))
    long = (ink.weights > 0) & (ink.boxes[:, 2:].max(1) >= length)
    mask = ink.mask(long)
    if not long.any():
        return mask
    level, upright = _level_runs(mask, length), _level_runs(mask.T, length).T
    near = cv2.dilate(level | upright, np.ones((7, 7), np.uint8))
    lines = level | _borders(mask & ~upright, near, BORDER * height)
    lines |= upright | _borders((mask & ~lines).T, near.T, BORDER * height).T
    return cv2.dilate(lines, np.ones((3, 3), np.uint8))


def _level_runs(mask: np.ndarray, length: float) -> np.ndarray:
    """The pixels of a mask, (H, W) uint8, on level runs of a length in pixels."""
    thick = cv2.dilate(mask, np.ones((2 * int(DRIFT * length / 2) + 1, 1), np.uint8))
    runs = cv2.morphologyEx(thick, cv2.MORPH_OPEN, np.ones((1, max(3, int(length))), np.uint8))
    return cv2.bitwise_and(runs, np.ascontiguousarray(mask))


def _borders(mask: np.ndarray, near: np.ndarray, length: float) -> np.ndarray:
    """The level runs of a mask (H, W) uint8 that start and end near lines, (H, W) uint8."""
    runs = _level_runs(mask, length)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(runs, connectivity=8)
    found = np.zeros(len(stats), np.uint8)
    for number, (left, top, wide, high, _) in enumerate(stats[1:], 1):
        ends = near[top : top + high, left], near[top : top + high, left + wide - 1]
        found[number] = 255 * (ends[0].any() and ends[1].any())
    return np.asarray(found[labels])


def slope_of_rows(ink: Ink) -> float:
    """The slope in degrees, downwards, of a page's rows and lines; 0 if none shows.

    It is the one at which ink gathers in the fewest rows of pixels.
    """
    crossing = ink.boxes[ink.weights > 0, 2:].max(1) >= MIN_CROSSING * max(ink.levels.shape)
    if np.count_nonzero(ink.weights) < MIN_IN_ROWS and not crossing.any():
        return 0.0
    mask = ink.mask()
    y, x = np.nonzero(mask)
    y, x = (each[:: 1 + len(x) // MAX_PIXELS] for each in (y, x))
    thickness = max(2.0, stroke_width(mask))

    def fit(slope: float) -> float:
        turn = np.radians(slope)
        rows = (y * np.cos(turn) - x * np.sin(turn)) / thickness
        return float((np.bincount((rows - rows.min()).astype(int)).astype(float) ** 2).sum())

    slopes = np.arange(-MAX_SLOPE, MAX_SLOPE + SLOPE_STEP, SLOPE_STEP)
    fits = [fit(slope) for slope in slopes]
    best = int(np.argmax(fits))
    return float(slopes[best]) if fits[best] >= MIN_GAIN * fit(0.0) else 0.0
