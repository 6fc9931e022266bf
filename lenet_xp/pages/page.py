"""Reads the letters of a page; the network has a say in which parts make one letter.

The parts of a line are grouped in the way that is likeliest as a whole. The score of a group is the
network's probability, how well its size suits the letter on that line, and how wide its inner gaps
are. Dynamic programming finds the best grouping, as is usual for handwriting.
"""

from dataclasses import dataclass

import numpy as np

from lenet_xp.letters.alternatives import Reading, best_first
from lenet_xp.letters.ya_or_yar import RING, fit, shared_out
from lenet_xp.model_file import SavedModel
from lenet_xp.pages.lines import Pieces, find_lines, find_pieces, group_stacked, typical_height
from lenet_xp.pictures.frame import ink_under, pad_bar
from lenet_xp.pictures.preprocess import Preprocessing

MIN_CERTAINTY = 0.9  # probability from which on a letter counts as certain
MIN_LINE_HEIGHT = 0.5  # of the page's typical height: a lower line is dirt
MAX_PARTS = 4  # parts of a letter, side by side
MAX_WIDTH = 1.9  # line heights: width of a letter of several parts
WORD_GAP = 1.0  # line heights: letters further apart stand in two words
INNER_GAP = 0.16  # line heights: gap that is as likely within a letter as between two
GAP_SCALE = 0.04  # line heights: scale of the logistic function of the gap
MIN_LOG_FIT = -12.0  # log of a likelihood: lower bound, so that no height rules a letter out
MIN_PROBABILITY = 1e-6  # lower bound, so that the network alone rules no letter out
MIN_LETTERS = 2  # letters other than rings: so many give a line its height


@dataclass(frozen=True)
class LetterOnPage(Reading):
    """One letter of a page.

    box: left, top, width and height in pixels of the picture. line, position: from 0. space_before:
    whether a word begins with it, except on the left of a line.
    """

    box: tuple[int, int, int, int]
    line: int
    position: int
    space_before: bool

    @property
    def certain(self) -> bool:
        """Whether a letter is so probable that the text holds it alone."""
        return self.probability >= MIN_CERTAINTY


def read_page(grey: np.ndarray, saved: SavedModel) -> list[LetterOnPage]:
    """The letters of a page, (H, W) uint8 grey levels, line by line and from left to right."""
    pieces = find_pieces(grey, saved.preprocessing.polarity)
    page_height = typical_height(pieces.boxes)
    letters: list[LetterOnPage] = []
    number = 0
    for line in find_lines(pieces.boxes):
        found = _read_line(pieces, line, number, saved, page_height)
        letters += found
        number += bool(found)
    return letters


def _read_line(
    pieces: Pieces, line: np.ndarray, number: int, saved: SavedModel, page_height: float
) -> list[LetterOnPage]:
    """The letters of a line, (M,) indices of pieces, from left to right; none if it is dirt."""
    parts = group_stacked(pieces.boxes, line)
    boxes = np.array([_enclosing_box(pieces.boxes[part]) for part in parts], float)
    height = max(typical_height(boxes), 1.0)
    if height < MIN_LINE_HEIGHT * page_height:
        return []
    spans = _spans(boxes, height)
    images = np.array([_image(pieces, parts[a:b], saved.preprocessing) for a, b in spans])
    rows = saved.probabilities(images, threads=1)
    groups = _Groups(boxes, spans, rows, saved.class_names)
    known = groups.height(groups.best(height))
    height = known or height
    letters: list[LetterOnPage] = []
    right = np.inf
    for group in groups.best(height):
        box = groups.box(group)
        size = (box[3] - box[1]) / height if known else None
        row = shared_out(rows[group : group + 1], size, saved.class_names)[0]
        space = bool(box[0] - right > WORD_GAP * height)
        right = box[2]
        x, y, x1, y1 = (round(float(each) * pieces.scale) for each in box)
        place = (x, y, x1 - x, y1 - y), number, len(letters), space
        refused = bool(saved.refused(row[None])[0])
        best = best_first(row, saved.class_names)
        letters.append(LetterOnPage(best, *place, refused=refused))
    return letters


def _enclosing_box(boxes: np.ndarray) -> np.ndarray:
    """Left, top, right and bottom of (N, 4) boxes together, (4,)."""
    return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])


def _spans(boxes: np.ndarray, height: float) -> list[tuple[int, int]]:
    """The ranges of a line's parts, (M, 4) boxes, that may be one letter: first and last + 1."""
    count = len(boxes)
    return [
        (start, end)
        for start in range(count)
        for end in range(start + 1, min(start + MAX_PARTS, count) + 1)
        if end == start + 1 or boxes[end - 1, 2] - boxes[start, 0] <= MAX_WIDTH * height
    ]


def _image(pieces: Pieces, parts: list[np.ndarray], preprocessing: Preprocessing) -> np.ndarray:
    """The ink of some parts alone, as the network sees it: (S, S) uint8."""
    chosen = np.concatenate(parts)
    left, top, right, bottom = _enclosing_box(pieces.boxes[chosen])
    labels = pieces.labels[top:bottom, left:right]
    mask: np.ndarray = np.isin(labels, pieces.numbers[chosen]).astype(np.uint8) * 255
    return preprocessing.fit(pad_bar(ink_under(pieces.levels[top:bottom, left:right], mask)))


@dataclass(frozen=True)
class _Groups:
    """The G groups of a line's M parts that may be letters."""

    boxes: np.ndarray  # (M, 4), of the parts
    spans: list[tuple[int, int]]  # the range of parts in each group
    rows: np.ndarray  # (G, K) probabilities
    class_names: tuple[str, ...]

    def box(self, group: int) -> np.ndarray:
        """Left, top, right and bottom of a group."""
        return _enclosing_box(self.boxes[slice(*self.spans[group])])

    def best(self, height: float) -> list[int]:
        """The groups that make up a line of a height in pixels in the likeliest way, in order."""
        count = len(self.boxes)
        scores, last = np.full(count + 1, -np.inf), np.full(count + 1, -1)
        scores[0] = 0.0
        gaps = np.zeros(count)
        if count > 1:
            gaps[1:] = self.boxes[1:, 0] - np.maximum.accumulate(self.boxes[:, 2])[:-1]
            gaps[1:] = (gaps[1:] / height - INNER_GAP) / GAP_SCALE
        within, between = -np.logaddexp(0, gaps), -np.logaddexp(0, -gaps)
        for group, (a, b) in enumerate(self.spans):
            score = self._log_score(group, height)
            score += within[a + 1 : b].sum() + (between[a] if a else 0.0)
            if scores[a] + score > scores[b]:
                scores[b], last[b] = scores[a] + score, group
        chosen: list[int] = []
        while count:
            chosen.append(int(last[count]))
            count = self.spans[last[count]][0]
        return chosen[::-1]

    def _log_score(self, group: int, height: float) -> float:
        """The log-likelihood that a group is one letter, on a line of this height in pixels."""
        box = self.box(group)
        fits = np.maximum(fit((box[3] - box[1]) / height, self.class_names), MIN_LOG_FIT)
        return float(np.max(np.log(np.maximum(self.rows[group], MIN_PROBABILITY)) + fits))

    def height(self, chosen: list[int]) -> float | None:
        """The median height of the chosen letters but rings; None if these are too few to tell."""
        heights = [
            np.ptp(self.box(group)[[1, 3]])
            for group in chosen
            if self.class_names[int(self.rows[group].argmax())] not in RING
        ]
        return float(np.median(heights)) if len(heights) >= MIN_LETTERS else None
