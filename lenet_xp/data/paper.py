"""From a photographed sheet to its ink: the light evened out, ink bright on paper 0.

Light falls off slowly and strokes are narrow, so paper is what is left when everything narrower
than some strokes is filled in (a morphological closing). How wide a stroke is, the first try says;
the second follows shadows that the first took for ink.
"""

from dataclasses import dataclass

import numpy as np

from lenet_xp.data.rules import without_rules
from lenet_xp.opencv import cv2

OVERVIEW = 400  # pixels of the longer side on which light is looked at
NOISES = 5.0  # deviations of the paper's own noise that are no ink
FAINTEST = 8  # grey levels that are no ink where there is no noise
DARKEST = 100  # pixels: as dark as these is full ink
WITH_RIM, RIM = 200, 2  # pixels: what is so near a larger picture's edge is no ink
SHARP = 0.25  # of a piece's level: what its rim rises by from pixel to pixel and one more
INK_LEVEL = 0.3  # of full ink: where ink begins


@dataclass(frozen=True)
class Ink:
    """levels: (H, W) uint8, ink bright. mask: (H, W) uint8, 255 where ink is certain, else 0."""

    levels: np.ndarray
    mask: np.ndarray


def shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture reduced by area so that neither side exceeds `side`; a smaller one as it is."""
    height, width = picture.shape
    scale = side / max(height, width)
    if scale >= 1:
        return picture
    smaller = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA)


def find_ink(grey: np.ndarray, polarity: str = "auto") -> Ink:
    """The ink of a sheet, (H, W) uint8 grey levels, without its ruled lines.

    polarity: "dark-on-light", "light-on-dark", or "auto" to decide.
    """
    dark = ink_is_darker(grey) if polarity == "auto" else polarity == "dark-on-light"
    paper = grey if dark else cv2.bitwise_not(grey)
    levels = _inked(paper, min(grey.shape) // 3, dark)
    stroke = stroke_width(_certain(levels)[0])
    kernel = max(int(10 * stroke), min(grey.shape) // 40)
    if kernel < min(grey.shape) // 4:
        levels = _inked(paper, kernel, dark)
    _, floor = _certain(levels)
    levels = without_rules(levels, floor)
    mask = _certain(levels)[0]
    if min(grey.shape) >= WITH_RIM:
        mask[:RIM] = mask[-RIM:] = mask[:, :RIM] = mask[:, -RIM:] = 0
    return Ink(levels, mask)


def ink_is_darker(grey: np.ndarray) -> bool:
    """Whether a sheet carries dark ink: whether what strays far from its surroundings is dark.

    Narrow surroundings see no shadow's edge, wide ones a bold letter: those decide that are most
    of one mind.
    """
    small = cv2.GaussianBlur(shrunk(grey, OVERVIEW), (0, 0), 0.7)
    votes = [0.0]
    for part in (32, 16, 8, 2):
        around = cv2.medianBlur(small, max(2, min(small.shape) // part // 2) * 2 + 1)
        difference = small.astype(np.int16) - around
        far = max(4, 5 * _deviation(difference))
        darker = int(np.maximum(-difference - far, 0).sum())
        lighter = int(np.maximum(difference - far, 0).sum())
        if darker + lighter:
            votes.append((darker - lighter) / (darker + lighter))
    return max(votes) >= -min(votes)


def stroke_width(mask: np.ndarray) -> float:
    """The width of the strokes of a mask, in pixels: that of the middle ink pixel's stroke."""
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    ridge = depth[(depth >= cv2.dilate(depth, np.ones((3, 3)))) & (depth > 0)]
    return 2 * float(np.percentile(ridge, 75)) if len(ridge) else 0.0


def _inked(paper: np.ndarray, kernel: int, dark: bool) -> np.ndarray:
    """How much darker than the paper around it each pixel is, (H, W) uint8.

    On light paper in parts of its brightness, so that ink in a shadow counts as much.
    """
    small = cv2.medianBlur(shrunk(paper, OVERVIEW), 3)
    across = max(3, round(kernel * max(small.shape) / max(paper.shape)) | 1)
    around = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((across, across), np.uint8))
    around = cv2.resize(around, paper.shape[::-1], interpolation=cv2.INTER_LINEAR)
    if dark:
        return cv2.bitwise_not(cv2.divide(paper, np.maximum(around, 1), scale=255))
    return cv2.subtract(around, paper)


def _certain(levels: np.ndarray) -> tuple[np.ndarray, float]:
    """The mask of what is ink for certain, and the level from which on it might be.

    Faint ink counts where it hangs together with certain ink.
    """
    soft = cv2.GaussianBlur(levels, (0, 0), 0.8)
    paper = float(np.median(soft))
    noise = _deviation(soft[soft < np.percentile(soft, 90) + 1])
    floor = paper + max(FAINTEST, NOISES * noise)
    few = min(DARKEST, soft.size - 1)
    level = float(np.partition(soft, -few, axis=None)[-few])
    edge = max(floor, paper + INK_LEVEL * (level - paper))
    faint = paper + max(FAINTEST, NOISES / 2 * noise, (edge - paper) / 3)
    mask: np.ndarray = np.where(soft > faint, 255, 0).astype(np.uint8)
    count, pieces = cv2.connectedComponents(mask, connectivity=8)
    certain = np.zeros(count, np.uint8)
    certain[pieces[soft > edge]] = 255
    certain[~_sharp(soft, mask, pieces, count)] = 0
    return certain[pieces], floor


def _sharp(soft: np.ndarray, mask: np.ndarray, pieces: np.ndarray, count: int) -> np.ndarray:
    """Which pieces have the rim of a stroke, (count,) bool: a shadow's fades out."""
    small = np.ones((3, 3), np.uint8)
    steps = cv2.morphologyEx(soft, cv2.MORPH_GRADIENT, small)
    inked = mask > 0
    outer = inked & (cv2.erode(mask, small) == 0)
    rim = pieces[outer]
    around = np.maximum(np.bincount(rim, minlength=count), 1)
    steps = np.bincount(rim, steps[outer], count) / around
    area = np.maximum(np.bincount(pieces[inked], minlength=count), 1)
    levels = np.bincount(pieces[inked], soft[inked], count) / area
    sharp: np.ndarray = steps > SHARP * levels
    return sharp


def _deviation(values: np.ndarray) -> float:
    """The standard deviation of most values: what a few far away say does not count."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
