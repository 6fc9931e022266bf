"""The parts of a line: pieces of ink above each other, cut where two letters may touch.

A cut is a column that crosses little ink. There are many more cuts than letters that touch: which
of them count is decided by what the network says of either side.
"""

from collections.abc import Container
from dataclasses import dataclass, replace

import numpy as np

from lenet_xp.pages.lines import Pieces, group_stacked, typical_height
from lenet_xp.pages.paper import box_in_picture
from lenet_xp.pictures.frame import ink_under
from lenet_xp.system.opencv import cv2

MIN_CUT_WIDTH = 0.5  # line heights: a narrower part is cut nowhere
MIN_PART_WIDTH = 0.1  # line heights: width of what a cut leaves on either side
MAX_CROSSED = 0.45  # line heights: ink that a cut crosses
FULL_INK = 90  # percentile: of a part's levels; as dark is full ink


@dataclass(frozen=True)
class Parts:
    """The M parts of a line, from left to right.

    levels: (H, W) uint8 of the line alone, ink bright. labels: (H, W) int32, the part of each pixel
    from 1, else 0. corner: (2,) left and top of both in the page. boxes: (M, 4) left, top, right,
    bottom there. crossed: (M,) line heights of ink that the cut before a part crosses; NaN where
    there is no cut. height: of the line in pixels. origins: (M,) the parts that these were before
    they were cut.
    """

    levels: np.ndarray
    labels: np.ndarray
    corner: np.ndarray
    boxes: np.ndarray
    crossed: np.ndarray
    height: float
    origins: np.ndarray

    def box(self, first: int, end: int) -> np.ndarray:
        """Left, top, right and bottom of the parts from `first` to before `end`, (4,)."""
        return enclosing_box(self.boxes[first:end])

    def ink(self, first: int, end: int) -> np.ndarray:
        """The ink of these parts alone, cropped to them, (h, w) uint8."""
        left, top, right, bottom = self.box(first, end) - np.tile(self.corner, 2)
        mask = self._mask(first, end).astype(np.uint8) * 255
        return ink_under(self.levels[top:bottom, left:right], mask)

    def place(self, first: int, end: int, matrix: np.ndarray) -> tuple[int, int, int, int]:
        """Left, top, width and height of these parts after a map (3, 3) to the picture."""
        left, top, _, _ = self.box(first, end).tolist()
        return box_in_picture(self._mask(first, end), left, top, matrix)

    def _mask(self, first: int, end: int) -> np.ndarray:
        """Where these parts are in their own box, (h, w) bool."""
        left, top, right, bottom = self.box(first, end) - np.tile(self.corner, 2)
        labels = self.labels[top:bottom, left:right]
        return np.asarray((labels > first) & (labels <= end))

    def cut(self, chosen: Container[int]) -> "Parts":
        """The same line with the chosen parts cut wherever letters may touch."""
        labels = np.zeros_like(self.labels)
        found: list[tuple[np.ndarray, float, int]] = []
        for part, (left, top, right, bottom) in enumerate(self.boxes - np.tile(self.corner, 2)):
            own = self.labels[top:bottom, left:right] == part + 1
            levels = self.levels[top:bottom, left:right] * own
            full = max(1.0, float(np.percentile(levels[own], FULL_INK))) * self.height
            profile = levels.sum(0) / full
            cuts = _cuts(profile, self.height) if part in chosen else []
            for start, end in zip([0, *cuts], [*cuts, right - left], strict=True):
                x, y, wide, high = cv2.boundingRect(own[:, start:end].astype(np.uint8))
                if wide:
                    x, y = x + start + left, y + top
                    box = np.array([x, y, x + wide, y + high]) + np.tile(self.corner, 2)
                    ink = float(profile[start - 1 : start + 1].min()) if start else np.nan
                    found.append((box, ink, part))
                    labels[top:bottom, left:right][:, start:end][own[:, start:end]] = len(found)
        boxes, crossed, origins = map(np.array, zip(*found, strict=True))
        return replace(self, labels=labels, boxes=boxes, crossed=crossed, origins=origins)


def find_parts(pieces: Pieces, line: np.ndarray) -> Parts:
    """The parts of a line, (N,) indices of pieces; none is cut."""
    stacked = group_stacked(pieces.boxes, line)
    boxes = np.array([enclosing_box(pieces.boxes[part]) for part in stacked])
    left, top, right, bottom = enclosing_box(boxes)
    number = np.zeros(pieces.labels.max() + 1, np.int32)
    for place, part in enumerate(stacked, 1):
        number[pieces.numbers[part]] = place
    labels = number[pieces.labels[top:bottom, left:right]]
    levels, uncut = pieces.levels[top:bottom, left:right], np.full(len(boxes), np.nan)
    height = max(typical_height(boxes), 1.0)
    whole = np.arange(len(boxes))
    return Parts(levels, labels, np.array([left, top]), boxes, uncut, height, whole)


def enclosing_box(boxes: np.ndarray) -> np.ndarray:
    """Left, top, right and bottom of (N, 4) boxes together, (4,)."""
    return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])


def _cuts(profile: np.ndarray, height: float) -> list[int]:
    """The columns before which a part may be cut, by the ink in each, (W,) line heights."""
    if len(profile) < MIN_CUT_WIDTH * height:
        return []
    margin = max(2, round(MIN_PART_WIDTH * height))
    ink = profile[:-1] + profile[1:]
    ink[: margin - 1] = ink[len(ink) - margin + 1 :] = np.inf
    cuts: list[int] = []
    while ink.min(initial=np.inf) < 2 * MAX_CROSSED:
        place = int(ink.argmin())
        cuts.append(place + 1)
        ink[max(0, place - margin) : place + margin + 1] = np.inf
    return sorted(cuts)
