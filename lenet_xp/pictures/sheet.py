"""A photographed sheet made even: which way round it is, its ruled lines out, its light evened.

Light falls off slowly and strokes are narrow, so paper is what is left when everything narrower
than some strokes is filled in (a morphological closing).
"""

from dataclasses import dataclass

import numpy as np

from lenet_xp.pictures.ruled_lines import without_rules
from lenet_xp.system.opencv import cv2

OVERVIEW = 400  # pixels of the longer side on which light is looked at


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
    """Ink on lighter paper. levels: (H, W) uint8, without ruled lines. ruled: 255 where they ran.

    dark: whether it is so by nature, or a board turned round.
    """

    levels: np.ndarray
    ruled: np.ndarray
    dark: bool


def sheet(grey: np.ndarray, polarity: str = "auto") -> Sheet:
    """A picture (H, W) uint8 as a sheet without ruled lines.

    polarity: "dark-on-light", "light-on-dark", or "auto" to decide.
    """
    dark = ink_is_darker(grey) if polarity == "auto" else polarity == "dark-on-light"
    return Sheet(*without_rules(grey if dark else cv2.bitwise_not(grey), dark), dark)


def ink_is_darker(grey: np.ndarray) -> bool:
    """Whether a sheet carries dark ink: whether what strays far from its surroundings is dark."""
    darker, lighter = votes(grey)
    return darker >= lighter


def votes(grey: np.ndarray) -> tuple[float, float]:
    """How much speaks for dark ink and how much for light ink on a sheet, each from 0 to 1.

    Narrow surroundings see no shadow's edge, wide ones a bold letter: of several, those count that
    are most of one mind.
    """
    small = cv2.GaussianBlur(shrunk(grey, OVERVIEW), (0, 0), 0.7)
    minds = [0.0]
    for part in (32, 16, 8, 2):
        around = cv2.medianBlur(small, max(2, min(small.shape) // part // 2) * 2 + 1)
        difference = small.astype(np.int16) - around
        far = max(4, 5 * _deviation(difference))
        darker = int(np.maximum(-difference - far, 0).sum())
        lighter = int(np.maximum(difference - far, 0).sum())
        if darker + lighter:
            minds.append((darker - lighter) / (darker + lighter))
    return max(minds), -min(minds)


def darkness(even: Sheet, kernel: int) -> np.ndarray:
    """How much darker than the paper around it each pixel of a sheet is, (H, W) uint8.

    kernel: pixels; what is wider counts as paper. On light paper darkness is in parts of the light,
    so that ink in a shadow counts as much.
    """
    paper = even.levels
    small = cv2.medianBlur(shrunk(paper, OVERVIEW), 3)
    across = max(3, round(kernel * max(small.shape) / max(paper.shape)) | 1)
    around = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((across, across), np.uint8))
    around = cv2.resize(around, paper.shape[::-1], interpolation=cv2.INTER_LINEAR)
    if even.dark:
        return cv2.bitwise_not(cv2.divide(paper, np.maximum(around, 1), scale=255))
    return cv2.subtract(around, paper)


def _deviation(values: np.ndarray) -> float:
    """The standard deviation of most values: what a few far away say does not count."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
