"""Reads the letters of a page: which parts make one letter, the network has a say in.

A line's parts are grouped in the way that is likeliest over all: the network's probability of each
group, how well the group's size suits that letter on that line, and how wide its inner gaps are.
The best grouping of a line is found by dynamic programming, as is usual for handwriting.
"""

from dataclasses import dataclass, field

import numpy as np

from lenet_xp.letters.ya_or_yar import RING, fit, shared_out
from lenet_xp.model_file import SavedModel
from lenet_xp.pages.lines import Pieces, find_lines, find_pieces, stacked, typical_height
from lenet_xp.pictures.frame import without_extreme_proportions
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2

MIN_CERTAINTY = 0.9  # a letter is certain from this probability on
MOST_PARTS = 4  # of a letter, side by side
WIDEST = 1.9  # of the line's height
WORD_GAP = 1.0  # of the line's height: two letters further apart stand in two words
INNER_GAP, GAP_SLOPE = 0.16, 0.04  # of the height: as often within a letter as between two
WORST, SMALLEST = -12.0, 1e-6  # of a height's fit, and of a probability: one alone rules none out
ENOUGH = 2  # letters that are no rings tell the height of a line


@dataclass(frozen=True)
class PageLetter:
    """One letter: its box in pixels of the picture, left, top, width, height; its line from 0; its
    position on the line from 0; whether a space stands before it; probabilities (K,).
    """

    box: tuple[int, int, int, int]
    line: int
    position: int
    space_before: bool
    probabilities: np.ndarray = field(repr=False)

    @property
    def certain(self) -> bool:
        return bool(self.probabilities.max() >= MIN_CERTAINTY)


def read_page(grey: np.ndarray, saved: SavedModel, threads: int | None = 1) -> list[PageLetter]:
    """The letters of a page, (H, W) uint8 grey levels, line by line and from left to right."""
    pieces = find_pieces(grey, saved.preprocessing.polarity)
    letters: list[PageLetter] = []
    page_height = typical_height(pieces.boxes)
    number = 0
    for line in find_lines(pieces.boxes):
        found = _read_line(pieces, line, saved, page_height, threads)
        for position, (box, space, row) in enumerate(found):
            letters.append(PageLetter(box, number, position, space, row))
        number += bool(found)
    return letters


def _read_line(
    pieces: Pieces, line: np.ndarray, saved: SavedModel, page_height: float, threads: int | None
) -> list[tuple[tuple[int, int, int, int], bool, np.ndarray]]:
    """The box, whether a space stands before it, and the probabilities of each letter."""
    parts = stacked(pieces.boxes, line)
    boxes = np.array([_around(pieces.boxes[part]) for part in parts], float)
    height = max(typical_height(boxes), 1.0)
    if height < 0.5 * page_height:
        return []  # dirt
    spans = [
        (start, end)
        for start in range(len(parts))
        for end in range(start + 1, min(start + MOST_PARTS, len(parts)) + 1)
        if end == start + 1 or boxes[end - 1, 2] - boxes[start, 0] <= WIDEST * height
    ]
    images = np.array([_image(pieces, parts[a:b], saved.preprocessing) for a, b in spans])
    rows = saved.probabilities(images, threads)
    chosen = _best(spans, boxes, rows, height, saved.class_names)
    height, known = _line_height(spans, chosen, boxes, rows, saved.class_names, height)
    chosen = _best(spans, boxes, rows, height, saved.class_names)
    letters, right = [], np.inf
    for number in chosen:
        a, b = spans[number]
        box = _around(boxes[a:b])
        size = (box[3] - box[1]) / height if known else None
        row = shared_out(rows[number : number + 1], size, saved.class_names)[0]
        space = bool(box[0] - right > WORD_GAP * height)
        right = box[2]
        x, y, x1, y1 = (round(float(each) * pieces.scale) for each in box)
        letters.append(((x, y, x1 - x, y1 - y), space, row))
    return letters


def _around(boxes: np.ndarray) -> np.ndarray:
    """Left, top, right and bottom of (N, 4) boxes together."""
    return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])


def _image(pieces: Pieces, parts: list[np.ndarray], preprocessing: Preprocessing) -> np.ndarray:
    """The ink of some parts alone, as the network sees it."""
    chosen = np.concatenate(parts)
    left, top, right, bottom = _around(pieces.boxes[chosen])
    labels = pieces.labels[top:bottom, left:right]
    mask: np.ndarray = np.isin(labels, pieces.numbers[chosen]).astype(np.uint8) * 255
    ink = cv2.bitwise_and(
        pieces.levels[top:bottom, left:right], cv2.dilate(mask, np.ones((3, 3), np.uint8))
    )
    return preprocessing.fit(without_extreme_proportions(ink))


def _best(
    spans: list[tuple[int, int]],
    boxes: np.ndarray,
    rows: np.ndarray,
    height: float,
    class_names: tuple[str, ...],
) -> list[int]:
    """The numbers of the spans that make up the line in the likeliest way, from left to right."""
    count = len(boxes)
    best, came = np.full(count + 1, -np.inf), np.full(count + 1, -1)
    best[0] = 0.0
    inner = np.zeros(count)
    if count > 1:
        gaps = (boxes[1:, 0] - np.maximum.accumulate(boxes[:, 2])[:-1]) / height
        inner[1:] = (gaps - INNER_GAP) / GAP_SLOPE
    within, between = -np.logaddexp(0, inner), -np.logaddexp(0, -inner)
    for number, (a, b) in enumerate(spans):
        box = _around(boxes[a:b])
        score = _log_score(rows[number], (box[3] - box[1]) / height, class_names)
        score += within[a + 1 : b].sum() + (between[a] if a else 0.0)
        if best[a] + score > best[b]:
            best[b], came[b] = best[a] + score, number
    chosen: list[int] = []
    while count:
        chosen.append(int(came[count]))
        count = spans[came[count]][0]
    return chosen[::-1]


def _log_score(row: np.ndarray, height: float, class_names: tuple[str, ...]) -> float:
    """The logarithm of how likely a group is a letter of that height, in lines' heights."""
    fits = np.maximum(fit(height, class_names), WORST)
    return float(np.max(np.log(np.maximum(row, SMALLEST)) + fits))


def _line_height(
    spans: list[tuple[int, int]],
    chosen: list[int],
    boxes: np.ndarray,
    rows: np.ndarray,
    class_names: tuple[str, ...],
    height: float,
) -> tuple[float, bool]:
    """The height of a line's letters, and whether letters that are no rings tell it."""
    heights = [
        np.ptp(_around(boxes[slice(*spans[number])])[[1, 3]])
        for number in chosen
        if class_names[int(rows[number].argmax())] not in RING
    ]
    if len(heights) < ENOUGH:
        return height, False
    return float(np.median(heights)), True
