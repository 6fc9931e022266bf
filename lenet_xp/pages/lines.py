"""Finds the pieces of ink on a page and the lines that they stand in.

A piece is a connected component of ink. Pieces are found twice, the second time with a kernel that
suits the width of the strokes found first. Each piece is linked to those right of it at its
height, and all that are linked form a line.
"""

from dataclasses import dataclass

import numpy as np

from lenet_xp.pages.paper import Flat, find_outline, lay_flat, straightening
from lenet_xp.pages.surroundings import find_rules, is_writing, slope_of_rows
from lenet_xp.pictures.ink import Ink, find_ink, stroke_width
from lenet_xp.pictures.no_ink import MIN_RANGE, is_ink
from lenet_xp.pictures.sheet import darkness, make_sheet, shrunk
from lenet_xp.system.opencv import cv2

PAGE_SIDE = 2400  # pixels: longer side at which a page is read
KERNEL_PER_STROKE = 10  # stroke widths: width of the kernel that tells strokes from paper
MIN_SLOPE = 1.0  # degrees: rows that rise or sink less are followed as they are
MAX_PIECES = 3000  # pieces: the heaviest that are kept; a page of noise has a million
MIN_PIECE_SIDE = 0.15  # typical heights: longer side of a piece; smaller ones are dirt
MIN_DOT_SIDE = 0.05  # typical heights: the same within another piece, as of the dot of `yas`
MIN_PIXELS = 4.0  # pixels: the same of any piece

MAX_GAP = 3.0  # typical heights: gap within a line, wider than the one between two words
MAX_NEIGHBOURS = 3  # pieces to the right that are linked; some may be specks at which links end
MIN_VERTICAL_OVERLAP = 0.5  # of the lower of two pieces: they are beside each other
MIN_HORIZONTAL_OVERLAP = 0.8  # of the narrower of two pieces: one is above the other or in it
MIN_LINE_HEIGHT = 0.6  # typical heights: a lower line is a part of another
MIN_CAPTION = 3  # pieces: so many low ones in a row above or below a line are no part of it
MAX_OFF_LINE = 0.1  # typical heights: from a line to the middle of such a row
VERTICAL_WEIGHT = 3  # times: how much more a vertical distance to a line counts


@dataclass(frozen=True)
class Pieces:
    """The pieces of ink on a page that are no dirt.

    levels: (H, W) uint8 ink, bright. labels: (H, W) int32, the component of each pixel, 0 for
    paper. boxes: (N, 4) left, top, right, bottom of the pieces. numbers: (N,) their labels.
    matrix: (3, 3), from the pixels of `levels` to those of the picture.
    """

    levels: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    numbers: np.ndarray
    matrix: np.ndarray


def find_pieces(grey: np.ndarray, polarity: str = "auto") -> Pieces:
    """The pieces of ink on a page, (H, W) uint8 grey levels, without specks.

    The sheet is laid flat first, and turned until its rows are level.
    """
    page = shrunk(grey, PAGE_SIDE)
    outline = find_outline(page)
    matrix = straightening(outline, page.shape)
    flat = lay_flat(page, outline, matrix)
    ink, lines = _find_ink(flat, polarity)
    slope = slope_of_rows(ink)
    if abs(slope) >= MIN_SLOPE:
        turn = np.vstack([cv2.getRotationMatrix2D((0, 0), slope, 1), (0, 0, 1)])
        flat = lay_flat(page, outline, turn @ matrix)
        ink, lines = _find_ink(flat, polarity)
    scale = max(grey.shape) / max(page.shape)
    matrix = np.diag((scale, scale, 1.0)) @ np.linalg.inv(flat.matrix)
    return _pieces(ink, lines, flat, matrix)


def _find_ink(flat: Flat, polarity: str) -> tuple[Ink, np.ndarray]:
    """The ink on a flat sheet, by the kernel that suits its writing, and where it has lines."""
    sheet = make_sheet(flat.levels, polarity)
    side = min(flat.levels.shape)
    kernel, levels = side // 3, darkness(sheet, side // 3)
    ink = find_ink(levels, kernel, sheet.ruled)
    writing = is_writing(ink, flat.inside)
    width = stroke_width(ink.mask(writing))
    suiting = max(int(KERNEL_PER_STROKE * width), side // 40)
    if suiting < side // 4:
        kernel, levels = suiting, darkness(sheet, suiting)
        ink = find_ink(levels, kernel, sheet.ruled)
    lines = find_rules(ink, typical_height(_boxes(ink, is_writing(ink, flat.inside))))
    if not lines.any():
        return ink, lines
    others = find_ink(np.where(lines > 0, 0, levels).astype(np.uint8), kernel, sheet.ruled)
    if not others.weights.any():  # the lines were the bars of a letter alone
        return ink, np.zeros_like(lines)
    return others, lines


def _boxes(ink: Ink, chosen: np.ndarray) -> np.ndarray:
    """Left, top, right and bottom of some components of ink, by index or (N,) bool."""
    start, size = ink.boxes[chosen, :2], ink.boxes[chosen, 2:]
    return np.concatenate([start, start + size], axis=1)


def _pieces(ink: Ink, lines: np.ndarray, flat: Flat, matrix: np.ndarray) -> Pieces:
    """The pieces of ink on a sheet that lies flat, by a matrix (3, 3) from it to the picture."""
    numbers = np.flatnonzero(is_writing(ink, flat.inside))
    numbers = numbers[np.argsort(-ink.weights[numbers], kind="stable")[:MAX_PIECES]]
    boxes = _boxes(ink, numbers)
    sides, height = (boxes[:, 2:] - boxes[:, :2]).max(1), typical_height(boxes)
    kept = sides >= max(MIN_PIXELS, MIN_PIECE_SIDE * height)
    larger = boxes[kept]
    inside = (boxes[:, None, :2] > larger[:, :2]) & (boxes[:, None, 2:] < larger[:, 2:])
    kept |= (sides >= max(MIN_PIXELS, MIN_DOT_SIDE * height)) & inside.all(2).any(1)
    mask = np.isin(ink.labels, numbers[kept]).astype(np.uint8) * 255 | lines
    side = min(flat.levels.shape)
    kept &= np.ptp(flat.levels) >= MIN_RANGE and is_ink(flat.levels, mask, int(height), side)
    return Pieces(ink.levels, ink.labels, boxes[kept], numbers[kept], matrix)


def typical_height(boxes: np.ndarray) -> float:
    """The height of the tall ones of (N, 4) boxes: the median, each weighted by its height squared.

    No boxes have height 0.
    """
    if not len(boxes):
        return 0.0
    heights = (boxes[:, 3] - boxes[:, 1]).astype(float)
    return float(np.quantile(heights, 0.5, weights=heights**2, method="inverted_cdf"))


def find_lines(boxes: np.ndarray) -> list[np.ndarray]:
    """The indices of (N, 4) boxes by line, lines from top to bottom.

    A line may rise or sink: links go from piece to piece, so that a slant adds up along the line.
    """
    height = typical_height(boxes)
    order = np.argsort(boxes[:, 0], kind="stable")
    line = np.arange(len(boxes))
    for place, index in enumerate(order):
        later = order[place + 1 :]
        near = later[boxes[later, 0] <= boxes[index, 2] + MAX_GAP * height]
        top, bottom = boxes[near][:, [1, 3]].T
        common = np.minimum(boxes[index, 3], bottom) - np.maximum(boxes[index, 1], top)
        lower = np.minimum(boxes[index, 3] - boxes[index, 1], bottom - top)
        for other in near[common >= MIN_VERTICAL_OVERLAP * lower][:MAX_NEIGHBOURS]:
            line[line == line[other]] = line[index]
    groups = [np.flatnonzero(line == number) for number in np.unique(line)]
    lines = _join_low_groups(groups, boxes, height)
    return sorted(lines, key=lambda group: float(np.median(boxes[group][:, [1, 3]])))


def _join_low_groups(
    groups: list[np.ndarray], boxes: np.ndarray, height: float
) -> list[np.ndarray]:
    """The groups of boxes; low ones, as the lower rings of a row of `yu`, join a line near them."""
    # A row of small print beyond a line stays alone.
    low = [np.ptp(boxes[group][:, [1, 3]]) < MIN_LINE_HEIGHT * height for group in groups]
    tall = [group for group, is_low in zip(groups, low, strict=True) if not is_low]
    if not tall:
        return groups
    owner = np.concatenate([np.full(len(group), number) for number, group in enumerate(tall)])
    tall_boxes = boxes[np.concatenate(tall)]
    lines, alone = [[group] for group in tall], []
    for group in (group for group, is_low in zip(groups, low, strict=True) if is_low):
        middle = boxes[group].mean(0)[[0, 1]] / 2 + boxes[group].mean(0)[[2, 3]] / 2
        gaps = np.maximum(np.maximum(tall_boxes[:, :2] - middle, middle - tall_boxes[:, 2:]), 0)
        distances = (gaps * (1, VERTICAL_WEIGHT)).sum(1)
        nearest = int(np.argmin(distances))
        caption = len(group) >= MIN_CAPTION and gaps[nearest, 1] > MAX_OFF_LINE * height
        if distances[nearest] <= MAX_GAP * height and not caption:
            lines[owner[nearest]].append(group)
        else:
            alone.append(group)
    return [np.concatenate(line) for line in lines] + alone


def group_stacked(boxes: np.ndarray, line: np.ndarray) -> list[np.ndarray]:
    """The indices of a line's boxes by part of a letter, parts from left to right.

    Boxes above, below or within each other are one part: no two letters stand so. Those
    of slanted neighbours overlap by less.
    """
    parts: list[np.ndarray] = []
    for index in line[np.argsort(boxes[line, 0], kind="stable")]:
        if parts:
            last = boxes[parts[-1]]
            common = last[:, 2].max() - boxes[index, 0]
            narrower = min(np.ptp(last[:, [0, 2]]), boxes[index, 2] - boxes[index, 0])
            if common >= MIN_HORIZONTAL_OVERLAP * narrower:
                parts[-1] = np.append(parts[-1], index)
                continue
        parts.append(np.array([index]))
    return parts
