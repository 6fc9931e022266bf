"""Reads the letters of a page, line by line.

A line is read as it stands first. Where a letter is doubtful it may be several that touch: its ink
is cut, and the line is read again. What does not fall into certain letters is one mark.
"""

from dataclasses import dataclass

import numpy as np

from lenet_xp.letters.alternatives import Reading, best_first
from lenet_xp.letters.ya_or_yar import shared_out
from lenet_xp.model_file import SavedModel
from lenet_xp.pages.grouping import Groups, likely_spans
from lenet_xp.pages.lines import PAGE_SIDE, find_lines, find_pieces, typical_height
from lenet_xp.pages.parts import Parts, find_parts
from lenet_xp.pages.spaces import spaces
from lenet_xp.pictures.frame import pad_bar
from lenet_xp.system.opencv import cv2

MIN_CERTAINTY = 0.9  # probability from which on a letter counts as certain
MIN_LINE_HEIGHT = 0.5  # of the page's typical height: a lower line is dirt
MIN_LETTER_HEIGHT = 60  # pixels: typical one; a page of smaller letters is enlarged
ENLARGEMENT = 2  # times
DOUBTFUL = 1.0  # score: a group below it is cut
MIN_CUT_OFF = 0.95  # probability of each letter that a cut leaves; else the mark is whole

TURNS = (-5.0, 0.0, 5.0)  # degrees: a letter is read turned so, and the mean counts
AMONG_LETTERS = 0.5  # of the threshold of "none of these": enough in a line mostly of letters


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
    page_height, matrix = typical_height(pieces.boxes), pieces.matrix
    if 0 < page_height < MIN_LETTER_HEIGHT and ENLARGEMENT * max(grey.shape) <= PAGE_SIDE:
        larger = (ENLARGEMENT * grey.shape[1], ENLARGEMENT * grey.shape[0])
        grey = cv2.resize(grey, larger, interpolation=cv2.INTER_CUBIC)
        pieces = find_pieces(grey, saved.preprocessing.polarity)
        page_height = typical_height(pieces.boxes)
        matrix = np.diag((1 / ENLARGEMENT, 1 / ENLARGEMENT, 1.0)) @ pieces.matrix
    letters: list[LetterOnPage] = []
    number = 0
    for line in find_lines(pieces.boxes):
        parts = find_parts(pieces, line)
        if parts.height >= MIN_LINE_HEIGHT * page_height:
            letters += _read_line(parts, number, saved, matrix)
            number += 1
    return letters


def _read_line(
    parts: Parts, number: int, saved: SavedModel, matrix: np.ndarray
) -> list[LetterOnPage]:
    """The letters of a line from left to right. matrix: (3, 3), from the sheet to the picture."""
    groups = read_groups(parts, saved)
    height, chosen = groups.best()
    scores = groups.scores(height or parts.height)
    doubtful = groups.parts_of(each for each in chosen if scores[each] < DOUBTFUL)
    while doubtful and len((cut := parts.cut(doubtful)).boxes) > len(parts.boxes):
        again = read_groups(cut, saved)
        known, letters_of_cut = again.best()
        unsure = again.parts_of(each for each in letters_of_cut if again.top(each) < MIN_CUT_OFF)
        if not doubtful & unsure:
            parts, groups, height, chosen = cut, again, known, letters_of_cut
            break
        doubtful -= unsure
    boxes = np.array([parts.box(*groups.spans[each]) for each in chosen])
    begins = spaces(boxes, height or parts.height)
    spans = [groups.spans[each] for each in chosen]
    images = _images(parts, spans, saved)
    rows = np.mean([saved.probabilities(_turned(images, turn), 1) for turn in TURNS], 0)
    least = saved.threshold
    if 2 * np.count_nonzero(rows.sum(1) < least) < len(rows):
        least *= AMONG_LETTERS
    refused = (rows.sum(1) < least).tolist()
    letters: list[LetterOnPage] = []
    for span, row, box, space, none in zip(
        spans, rows[:, None], boxes, begins, refused, strict=True
    ):
        size = (box[3] - box[1]) / height if height else None
        row = shared_out(row, size, saved.class_names)
        place = parts.place(*span, matrix), number, len(letters), bool(space)
        reading = best_first(row[0], saved.class_names)
        letters.append(LetterOnPage(reading, *place, refused=none))
    return letters


def _turned(images: np.ndarray, degrees: float) -> np.ndarray:
    """Images (N, S, S) uint8, turned about their middle."""
    side = images.shape[1]
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), degrees, 1)
    return np.array([cv2.warpAffine(image, matrix, (side, side)) for image in images])


def read_groups(parts: Parts, saved: SavedModel) -> Groups:
    """What the network says, as trained, of all groups of a line's parts that may be letters."""
    spans = likely_spans(parts)
    rows = saved.plain(_images(parts, spans, saved), 1)[:, : len(saved.class_names)]
    return Groups(parts, spans, rows, saved.class_names)


def _images(parts: Parts, spans: list[tuple[int, int]], saved: SavedModel) -> np.ndarray:
    """Each range of parts alone, as the network sees it, (G, S, S) uint8."""
    return np.array([saved.preprocessing.fit(pad_bar(parts.ink(*span))) for span in spans])
