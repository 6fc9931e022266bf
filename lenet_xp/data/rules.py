"""Ruled and squared paper: its lines found and taken out, letters across them left whole."""

import numpy as np

from lenet_xp.opencv import cv2

SPANS = 0.6  # of the picture: how far a ruled line goes at least
RUN = 40  # pixels that it goes straight ahead, at least
SLACK = 5  # pixels that it may rise or sink on such a run
GAP = 9  # pixels where it may be lost
THICKEST = 1 / 60  # of the picture: the thickest line
RIM = 2  # pixels beside a line that its blur reaches
DARKER = 1.5  # times as dark as the line: ink that runs along it
MOST = 200  # lines, of each way


def without_rules(levels: np.ndarray, floor: float) -> np.ndarray:
    """Ink levels (H, W) uint8 without lines that run through most of the picture, either way.

    floor: the level from which on there might be ink.
    """
    levels = _without_level_ones(levels, floor)
    return np.ascontiguousarray(_without_level_ones(np.ascontiguousarray(levels.T), floor).T)


def _without_level_ones(levels: np.ndarray, floor: float) -> np.ndarray:
    height, width = levels.shape
    if min(height, width) < 3 * RUN:
        return levels
    soft = cv2.GaussianBlur(levels, (0, 0), 0.8)
    mask: np.ndarray = np.where(soft > floor, 255, 0).astype(np.uint8)
    runs = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((1, GAP), np.uint8))
    runs = cv2.dilate(runs, np.ones((SLACK, 1), np.uint8))
    runs = cv2.morphologyEx(runs, cv2.MORPH_OPEN, np.ones((1, RUN), np.uint8))
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(runs, connectivity=8)
    long = stats[1:, cv2.CC_STAT_WIDTH] >= SPANS * width
    result = levels.copy()
    for number in np.flatnonzero(long)[:MOST] + 1:
        left, top, wide, high, _ = stats[number]
        piece = pieces[top : top + high, left : left + wide] == number
        if np.median(piece.sum(0)) <= SLACK + THICKEST * height:
            _take_out(levels, result, _track(piece, left, top), mask)
    return result


def _track(piece: np.ndarray, left: int, top: int) -> tuple[np.ndarray, np.ndarray]:
    """The middle of a line by column, (columns,) and (rows,): a parabola, for sheets bend."""
    rows, columns = np.nonzero(piece)
    count = np.bincount(columns, minlength=piece.shape[1])
    there = np.flatnonzero(count)
    middle = np.bincount(columns, rows, minlength=piece.shape[1])[there] / count[there]
    kept = count[there] <= np.median(count[there]) + 1
    for _ in range(3):  # where a letter's bar lies along it, the middle is off
        bent = np.polynomial.Polynomial.fit(there[kept], middle[kept], 2)
        off = np.abs(middle - bent(there))
        kept = off <= max(1.0, 2 * float(np.median(off)))
    across = np.arange(piece.shape[1])
    return left + across, top + bent(across)


def _take_out(
    levels: np.ndarray,
    result: np.ndarray,
    track: tuple[np.ndarray, np.ndarray],
    mask: np.ndarray,
) -> None:
    """Fill one line with what stands above and below it, but where darker ink runs along it."""
    columns, rows = track
    height = len(levels)
    around = np.arange(-8, 9)[:, None]
    band = np.clip(np.floor(rows + 0.5).astype(np.int64) + around, 0, height - 1)
    inked = mask[band, columns].mean(1) > 0.5 * 255
    if not inked.any():
        return
    first, last = np.flatnonzero(inked)[[0, -1]] + (-RIM, RIM)
    first, last = max(first, 1), min(last, len(band) - 2)
    line = np.median(levels[band[first : last + 1], columns].max(0))
    filling = np.minimum(levels[band[first - 1], columns], levels[band[last + 1], columns])
    for row in band[first : last + 1]:
        there = levels[row, columns]
        beside = np.minimum(there, filling)
        along = np.maximum(there - line, beside).astype(np.uint8)
        result[row, columns] = np.where(there > DARKER * line, along, beside)
