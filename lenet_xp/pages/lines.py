"""The connected pieces of ink on a page, and the lines that they stand in."""

from dataclasses import dataclass

import numpy as np

from lenet_xp.pictures.ink import find_ink, stroke_width
from lenet_xp.pictures.sheet import darkness, sheet, shrunk

STROKES = 10  # of their widths: the kernel that tells strokes from paper
PAGE_SIDE = 2400  # pixels of the longer side at which a page is read
MOST_PIECES = 3000  # the largest are kept: a page of noise has a million
SPECK = 0.15  # of the letters' height: pieces that are smaller in both directions are dirt
DOT = 0.05  # of it: the same within another piece, as in `yas`
APART = 3.0  # letters' heights: a gap that may be wider than the one between two words
NEIGHBOURS = 3  # to the right of a piece, one of which may be a speck that ends a line
BESIDE = 0.5  # of the lower of two pieces: how much of it is at the height of the other
STACKED = 0.5  # of the narrower of two pieces: how much of it is above or in the other


@dataclass(frozen=True)
class Pieces:
    """levels: (H, W) uint8 ink, bright. labels: (H, W) int32, the piece of each pixel, 0 for paper.

    boxes: (N, 4) left, top, right, bottom of the pieces kept. numbers: (N,) their labels.
    scale: pixels of the picture for one of these.
    """

    levels: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    numbers: np.ndarray
    scale: float


def find_pieces(grey: np.ndarray, polarity: str = "auto") -> Pieces:
    """The pieces of ink of a page, (H, W) uint8 grey levels, without specks."""
    page = shrunk(grey, PAGE_SIDE)
    even = sheet(page, polarity)
    side = min(page.shape)
    ink = find_ink(darkness(even, side // 3), side // 3, even.ruled)
    kernel = max(int(STROKES * stroke_width(ink.mask())), side // 40)
    if kernel < side // 4:
        ink = find_ink(darkness(even, kernel), kernel, even.ruled)
    numbers = np.flatnonzero(ink.weights)
    numbers = numbers[np.argsort(-ink.weights[numbers], kind="stable")[:MOST_PIECES]]
    boxes = np.concatenate(
        [ink.boxes[numbers, :2], ink.boxes[numbers].reshape(-1, 2, 2).sum(1)], axis=1
    )
    sizes = (boxes[:, 2:] - boxes[:, :2]).max(1)
    height = typical_height(boxes)
    kept = sizes >= max(4.0, SPECK * height)
    kept |= (sizes >= max(4.0, DOT * height)) & _within(boxes, boxes[kept])
    scale = max(grey.shape) / max(page.shape)
    return Pieces(ink.levels, ink.pieces, boxes[kept], numbers[kept], scale)


def _within(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of (N, 4) boxes lie within one of (M, 4) others, (N,) bool."""
    inside: np.ndarray = np.ones((len(boxes), len(others)), bool)
    for low, high in ((0, 2), (1, 3)):  # one side at a time: a page may have thousands of both
        inside &= boxes[:, low, None] > others[:, low]
        inside &= boxes[:, high, None] < others[:, high]
    return np.asarray(inside.any(1))


def typical_height(boxes: np.ndarray) -> float:
    """The height of the tall boxes among (N, 4): half of all ink's height is in taller ones."""
    if not len(boxes):
        return 0.0
    heights = np.sort((boxes[:, 3] - boxes[:, 1]).astype(float))
    sums = np.cumsum(heights**2)
    return float(heights[np.searchsorted(sums, sums[-1] / 2)])


def find_lines(boxes: np.ndarray) -> list[np.ndarray]:
    """The indices of (N, 4) boxes by line, lines from top to bottom; lines may rise or sink.

    Each box is tied to the nearest ones to its right that stand beside it, so that a slant adds up
    from letter to letter without leaving the line.
    """
    height = typical_height(boxes)
    order = np.argsort(boxes[:, 0], kind="stable")
    line = np.arange(len(boxes))
    for place, index in enumerate(order):
        later = order[place + 1 :]
        near = later[boxes[later, 0] <= boxes[index, 2] + APART * height]
        beside = near[_beside(boxes[index], boxes[near])]
        for other in beside[:NEIGHBOURS]:
            line[line == line[other]] = line[index]
    groups = [np.flatnonzero(line == number) for number in np.unique(line)]
    groups = _with_strays(groups, boxes, height)
    return sorted(groups, key=lambda group: float(np.median(boxes[group][:, [1, 3]])))


def _beside(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of (M, 4) boxes are at the height of one."""
    common = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    lower = np.minimum(box[3] - box[1], others[:, 3] - others[:, 1])
    beside: np.ndarray = common >= BESIDE * lower
    return beside


def _with_strays(groups: list[np.ndarray], boxes: np.ndarray, height: float) -> list[np.ndarray]:
    """Groups lower than letters, the lower rings of a row of `yu` for one, go where they belong."""
    tall = [g for g in groups if np.ptp(boxes[g][:, [1, 3]]) >= 0.6 * height]
    if not tall:
        return groups
    owner = np.concatenate([np.full(len(group), number) for number, group in enumerate(tall)])
    settled = boxes[np.concatenate(tall)]
    lines, alone = [[group] for group in tall], []
    for group in (g for g in groups if np.ptp(boxes[g][:, [1, 3]]) < 0.6 * height):
        middle = boxes[group].mean(0)[[0, 1]] / 2 + boxes[group].mean(0)[[2, 3]] / 2
        gaps = _distances(middle, settled)
        nearest = int(np.argmin(gaps))
        if gaps[nearest] <= APART * height:
            lines[owner[nearest]].append(group)
        else:
            alone.append(group)
    return [np.concatenate(line) for line in lines] + alone


def _distances(point: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """From a point to each of (N, 4) boxes; up and down counts three times."""
    gaps = np.maximum(np.maximum(boxes[:, :2] - point, point - boxes[:, 2:]), 0)
    distances: np.ndarray = (gaps * (1, 3)).sum(1)
    return distances


def stacked(boxes: np.ndarray, line: np.ndarray) -> list[np.ndarray]:
    """The indices of a line's boxes in parts of letters, from left to right.

    What stands above, below or within another is one part with it, and no letter stands so.
    """
    parts: list[np.ndarray] = []
    for index in line[np.argsort(boxes[line, 0], kind="stable")]:
        if parts:
            last = boxes[parts[-1]]
            common = last[:, 2].max() - boxes[index, 0]
            narrower = min(np.ptp(last[:, [0, 2]]), boxes[index, 2] - boxes[index, 0])
            if common >= STACKED * narrower:
                parts[-1] = np.append(parts[-1], index)
                continue
        parts.append(np.array([index]))
    return parts
