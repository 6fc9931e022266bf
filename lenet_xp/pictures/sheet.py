"""Evens out a photographed sheet: its ink made dark, its ruled lines removed, its light levelled.

A sheet is a picture of ink on paper. Light falls off slowly and strokes are narrow, so a
morphological closing, which fills in all that is narrower than its kernel, leaves the paper alone.
The difference from it (the black top-hat transform) is the darkness of the ink.
"""

from dataclasses import dataclass

import numpy as np

from lenet_xp.pictures.ink import MAD_TO_SIGMA
from lenet_xp.pictures.ruled_lines import remove_ruled_lines
from lenet_xp.system.opencv import cv2

OVERVIEW_SIDE = 400  # pixels: longer side at which light and polarity are measured
VOTE_SIGMA = 0.7  # pixels: Gaussian smoothing before levels are compared with their surroundings
VOTE_WINDOWS = (32, 16, 8, 2)  # windows to the picture's shorter side: sizes of surroundings
MIN_VOTE_STEP = 4  # grey levels: smallest difference from the surroundings that votes
MIN_BOARD = 12  # grey levels: a darker board shows no light
MIN_VOTE_SIGMAS = 5  # standard deviations: the same in noise


def shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture reduced by area so that neither side exceeds `side`; a smaller one as it is."""
    height, width = picture.shape
    scale = side / max(height, width)
    if scale >= 1:
        return picture
    smaller = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA)


@dataclass(frozen=True)
class Sheet:
    """Dark ink on lighter paper.

    levels: (H, W) uint8 without ruled lines. ruled: (H, W) uint8, 255 where lines ran.
    dark: whether the photographed ink is dark; else the picture was inverted, as of a blackboard.
    """

    levels: np.ndarray
    ruled: np.ndarray
    dark: bool


def make_sheet(grey: np.ndarray, polarity: str = "auto") -> Sheet:
    """A picture (H, W) uint8 as a sheet.

    polarity: "dark-on-light", "light-on-dark", or "auto" to decide.
    """
    dark = polarity == "dark-on-light"
    if polarity == "auto":
        darker, lighter = polarity_votes(grey)
        dark = darker >= lighter
    return Sheet(*remove_ruled_lines(grey if dark else cv2.bitwise_not(grey), dark), dark)


def polarity_votes(grey: np.ndarray) -> tuple[float, float]:
    """How much speaks for dark ink and how much for light ink, each from 0 to 1.

    The pixels that differ most from the median of their surroundings vote. Narrow surroundings
    ignore the edge of a shadow and wide ones hold a bold letter, so several sizes are tried, and
    the clearest result for each polarity counts.
    """
    small = cv2.GaussianBlur(shrunk(grey, OVERVIEW_SIDE), (0, 0), VOTE_SIGMA)
    balances = [0.0]
    for windows in VOTE_WINDOWS:
        around = cv2.medianBlur(small, max(2, min(small.shape) // windows // 2) * 2 + 1)
        difference = small.astype(np.int16) - around
        deviations = np.abs(difference - np.median(difference))
        sigma = MAD_TO_SIGMA * float(np.median(deviations))
        threshold = max(MIN_VOTE_STEP, MIN_VOTE_SIGMAS * sigma)
        darker = int(np.maximum(-difference - threshold, 0).sum())
        lighter = int(np.maximum(difference - threshold, 0).sum())
        if darker + lighter:
            balances.append((darker - lighter) / (darker + lighter))
    return max(balances), -min(balances)


def darkness(sheet: Sheet, kernel: int) -> np.ndarray:
    """How much darker than the paper around it each pixel of a sheet is, (H, W) uint8.

    kernel: pixels; what is wider counts as paper. It is relative to the light on the paper, so that
    ink in a shadow counts as much; chalk on a board is, too.
    """
    levels = sheet.levels
    small = cv2.medianBlur(shrunk(levels, OVERVIEW_SIDE), 3)
    side = max(3, round(kernel * max(small.shape) / max(levels.shape)) | 1)
    paper = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    paper = cv2.resize(paper, levels.shape[::-1], interpolation=cv2.INTER_LINEAR)
    if sheet.dark:
        return cv2.bitwise_not(cv2.divide(levels, np.maximum(paper, 1), scale=255))
    board = np.maximum(cv2.bitwise_not(paper), MIN_BOARD).astype(np.float32)
    found = cv2.subtract(paper, levels).astype(np.float32) * (np.median(board) / board)
    return np.rint(found).clip(0, 255).astype(np.uint8)
