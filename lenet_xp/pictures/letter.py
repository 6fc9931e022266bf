"""Finds the one letter of a larger picture, whatever paper and light it is on.

Strokes are told from shadows by their width, and the width of the letter's strokes is unknown. So
the letter is searched for at several kernel widths, and a place counts on which they agree: noise
lies elsewhere at every width. Where the polarity is in doubt, both polarities are tried. The letter
is the heaviest connected component of ink, together with the components near it.
"""

from dataclasses import dataclass

import numpy as np

from lenet_xp.pictures.frame import Box, ink_under, pad_bar
from lenet_xp.pictures.ink import MARGIN, MIN_AREA, MIN_SIDE_WITH_MARGIN, Ink, find_ink
from lenet_xp.pictures.no_ink import is_ink
from lenet_xp.pictures.sheet import Sheet, darkness, make_sheet, polarity_votes, shrunk
from lenet_xp.system.opencv import cv2

SEARCH_SIDE = 1024  # pixels: longer side of the overview in which a letter is searched for
MIN_LETTER_SIDE = 64  # pixels: a smaller letter is searched for again in the original picture
MIN_ENLARGEMENT = 1.5  # times: how much larger the letter is there

MIN_CLEAN_RANGE = 100  # grey levels: from clean paper to ink
CLEAN_SPREAD = 12  # grey levels: that clean paper varies
MIN_CLEAN_PAPER = 0.5  # of the picture's pixels
MAX_CLEAN_EDGES = 3.0  # times the ink's pixels: those off the paper; more are shadows or texture
MIN_RULED_SPAN = 0.97  # of the picture's side: a piece of ink as long may be a ruled line

MIN_KERNEL = 18  # pixels: narrowest kernel
KERNEL_RATIO = 1.8  # times: each kernel by the one before it
MAX_KERNEL = 0.43  # of the picture's shorter side: widest kernel
KERNEL_PER_LETTER = 0.4  # of the letter's longer side: kernel that suits it best

MIN_OVERLAP = 0.7  # intersection over union: two boxes are one place
MIN_AGREEMENT = 3  # kernels: so many that find one place end the search
MIN_CONTRARY_VOTE = 0.25  # votes for the less likely polarity: both are tried
MIN_MEAN_OVERLAP = 0.6  # mean overlap of the places found: the likelier polarity is certain
OVERLAP_MARGIN = 0.1  # mean overlap by which the other polarity must agree better

MIN_WEIGHT = 0.03  # of the heaviest component's weight: a lighter one is a speck
MIN_INNER_WEIGHT = 0.01  # the same within the heaviest component, as of the dot of `yas`
MIN_HALF_WEIGHT = 0.2  # of the heaviest component's weight: another half of the letter
MAX_GAP = 0.6  # of the heaviest component's longer side: distance of another part
MAX_HALF_GAP = 1.6  # the same of another half
MAX_ROUNDS = 8  # rounds in which what lies near the parts found so far is added
MIN_MIDDLE_WEIGHT = 0.1  # of the heaviest component's: a part of a letter beside neighbours
MAX_INNER = 16  # components: the heaviest of which the middle letter may consist
GAP_COST = 0.35  # times: gaps within the middle letter, compared with its distance from the middle
MAX_OFFSET = 0.25  # of the picture's width: that distance
MAX_SURROUNDINGS = 3.5  # of the letter's longer side: longer side of a picture cut out of writing
MIN_HEADROOM = 1.5  # letter heights: least height of such a picture
MARGIN_FACTOR = 0.2  # factor: on the weight of components that touch a larger picture's margin


@dataclass(frozen=True)
class Candidate:
    """What one kernel finds for the letter.

    kernel: pixels. levels: (H, W) uint8 darkness of the sheet. mask: (H, W) uint8, 255 on the
    letter's ink. box: of that ink.
    """

    kernel: float
    levels: np.ndarray
    mask: np.ndarray
    box: Box


def find_letter(grey: np.ndarray, polarity: str = "auto", inked: bool = False) -> np.ndarray:
    """The one letter of a larger picture, framed: (h, w) uint8 of any size, ink bright on 0.

    grey: (H, W) uint8. polarity: see `make_sheet`. Among several letters, the one with the most ink
    counts, or the one in the middle where the edge cuts neighbours off. A picture without ink gives
    a single 0. inked: whether it is known to hold ink.
    """
    overview = shrunk(grey, SEARCH_SIDE)
    found = _on_clean_paper(overview, polarity)
    inked = inked or found is not None
    found = found or _best_candidate(overview, polarity)
    if found is None:
        return np.zeros((1, 1), np.uint8)
    left, top, wide, high = found.box
    side, spans = max(wide, high), ((top, high), (left, wide))
    near = tuple(slice(max(0, start - side), start + size + side) for start, size in spans)
    if not (inked or is_ink(overview[near], found.mask[near], side, min(overview.shape))):
        return np.zeros((1, 1), np.uint8)
    scale = max(grey.shape) / max(overview.shape)
    if scale >= MIN_ENLARGEMENT and side < MIN_LETTER_SIDE:
        near = tuple(slice(int(each.start * scale), int(each.stop * scale)) for each in near)
        return find_letter(grey[near], polarity, inked=True)
    ink = ink_under(found.levels, found.mask)
    return pad_bar(ink[top : top + high, left : left + wide])


def _on_clean_paper(grey: np.ndarray, polarity: str) -> Candidate | None:
    """The letter of a picture, (H, W) uint8, whose paper has one level, as in drawings; else None.

    One threshold is enough there, in a tenth of the time.
    """
    low, high = int(grey.min()), int(grey.max())
    if high - low < MIN_CLEAN_RANGE:
        return None
    dark = polarity == "dark-on-light"
    if polarity == "auto":
        dark = float(np.median(grey)) > (low + high) / 2
    levels = high - grey if dark else grey - low
    below = np.cumsum(np.bincount(levels.reshape(-1), minlength=256))
    paper, ink = below[CLEAN_SPREAD], levels.size - below[(high - low) // 2]
    if paper < MIN_CLEAN_PAPER * levels.size or levels.size - paper > MAX_CLEAN_EDGES * ink:
        return None
    _, mask = cv2.threshold(levels, (high - low) // 3, 255, cv2.THRESH_BINARY)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    weights = stats[:, cv2.CC_STAT_AREA].astype(float)
    spans = np.any(stats[:, 2:4] >= MIN_RULED_SPAN * np.array(grey.shape[::-1]), axis=1)
    weights[(weights < MIN_AREA) | (np.arange(len(weights)) == 0)] = 0
    if not weights.any() or np.any(spans & (weights > 0)):
        return None
    if dark:  # the share of the light that ink takes, as `darkness` has it
        levels = cv2.convertScaleAbs(levels, alpha=255 / high)
    return Candidate(0.0, levels, *letter_mask(Ink(levels, labels, stats[:, :4], weights)))


def _best_candidate(grey: np.ndarray, polarity: str) -> Candidate | None:
    """The most agreed candidate; with "auto", of the polarity whose kernels agree more."""
    if polarity != "auto":
        return _most_agreed(_candidates(make_sheet(grey, polarity)))[1]
    darker, lighter = polarity_votes(grey)
    polarities = ["dark-on-light", "light-on-dark"]
    if lighter > darker:
        polarities.reverse()
    agreement, likelier = _most_agreed(_candidates(make_sheet(grey, polarities[0])))
    if min(darker, lighter) < MIN_CONTRARY_VOTE and agreement >= MIN_MEAN_OVERLAP:
        return likelier
    better, other = _most_agreed(_candidates(make_sheet(grey, polarities[1])))
    return other if better > agreement + OVERLAP_MARGIN else likelier


def _candidates(sheet: Sheet) -> list[Candidate]:
    """What each kernel finds, from the narrowest to one that suits and with which enough agree."""
    kernel = float(MIN_KERNEL)
    found: list[Candidate] = []
    while kernel < MAX_KERNEL * min(sheet.levels.shape) or not found:
        ink = find_ink(darkness(sheet, int(kernel)), int(kernel), sheet.ruled)
        if ink.weights.any():
            found.append(Candidate(kernel, ink.levels, *letter_mask(ink)))
            box = found[-1].box
            suits = kernel >= KERNEL_PER_LETTER * max(box[2:])
            if suits and len(_at_place(found, box)) >= MIN_AGREEMENT:
                break
        elif kernel > max(sheet.levels.shape):
            break
        kernel *= KERNEL_RATIO
    return found


def _at_place(found: list[Candidate], box: Box) -> list[Candidate]:
    """The candidates at the place of a box."""
    return [each for each in found if intersection_over_union(each.box, box) >= MIN_OVERLAP]


def _most_agreed(found: list[Candidate]) -> tuple[float, Candidate | None]:
    """The highest mean overlap of a box with all, and the candidate there that suits it best."""
    if not found:
        return 0.0, None
    overlaps = [np.mean([intersection_over_union(a.box, b.box) for b in found]) for a in found]
    box = found[int(np.argmax(overlaps))].box
    best = KERNEL_PER_LETTER * max(box[2:])
    near = min(_at_place(found, box), key=lambda each: abs(float(np.log(each.kernel / best))))
    return float(max(overlaps)), near


def intersection_over_union(first: Box, second: Box) -> float:
    """The common area of two boxes in parts of their area together."""
    sides = [
        min(first[i] + first[2 + i], second[i] + second[2 + i]) - max(first[i], second[i])
        for i in (0, 1)
    ]
    common = max(0, sides[0]) * max(0, sides[1])
    return common / (first[2] * first[3] + second[2] * second[3] - common)


def letter_mask(ink: Ink) -> tuple[np.ndarray, Box]:
    """Return the mask, (H, W) uint8, and the box of the heaviest component and its neighbours."""
    height, width = ink.levels.shape
    start, size = ink.boxes[:, :2], ink.boxes[:, 2:]
    weights = ink.weights.copy()
    at_edge = ((start <= MARGIN) | (start + size >= (width - MARGIN, height - MARGIN))).any(1)
    if min(height, width) >= MIN_SIDE_WITH_MARGIN:
        weights[at_edge] *= MARGIN_FACTOR
    weights *= _in_the_middle(ink, at_edge)
    heaviest = int(weights.argmax())
    low, high = start[heaviest], start[heaviest] + size[heaviest]
    chosen = np.arange(len(weights)) == heaviest
    inside = ((start > low) & (start + size < high)).all(1)
    min_weights = np.where(inside, MIN_INNER_WEIGHT, MIN_WEIGHT) * weights[heaviest]
    waiting = (weights > 0) & (weights >= min_weights) & ~chosen
    is_half = weights >= MIN_HALF_WEIGHT * weights[heaviest]
    reach = np.where(is_half, MAX_HALF_GAP, MAX_GAP) * (high - low).max()
    for _ in range(MAX_ROUNDS):
        gap = np.maximum(start - high, low - start - size).max(1)
        near = waiting & (gap <= reach)
        if not near.any():
            break
        chosen, waiting = chosen | near, waiting & ~near
        low = np.minimum(low, start[near].min(0))
        high = np.maximum(high, (start + size)[near].max(0))
    (left, top), (wide, high) = low.tolist(), (high - low).tolist()
    return ink.mask(chosen), (left, top, wide, high)


def _in_the_middle(ink: Ink, at_edge: np.ndarray) -> np.ndarray:
    """Which components may be the letter's, (N,) bool: all, unless neighbours stand beside it.

    Ink `at_edge`, with a letter in the middle, is that of neighbours. The letter is then what is
    from one component to another, such that its middle is the picture's, and its gaps are narrow.
    """
    height, width = ink.levels.shape
    start, end = ink.boxes[:, :2], ink.boxes[:, :2] + ink.boxes[:, 2:]
    (low, top), (high, bottom) = start.T, end.T
    weights = np.where(ink.weights >= MIN_MIDDLE_WEIGHT * ink.weights.max(), ink.weights, 0)
    best, least = np.ones(len(weights), bool), MAX_OFFSET * width
    inner = np.argsort(-weights * ~at_edge, kind="stable")[:MAX_INNER]
    inner = inner[(weights * ~at_edge)[inner] > 0]
    strong = weights[inner].max(initial=0) >= MARGIN_FACTOR * weights.max()
    for left in low[inner] if strong and weights[at_edge].any() else ():
        for right in high[inner]:
            within = inner[(low[inner] >= left) & (high[inner] <= right)]
            columns = np.arange(left, right)[:, None]
            gaps = (~((columns >= low[within]) & (columns < high[within])).any(1)).sum()
            cost = abs(left + right - width) / 2 + GAP_COST * gaps
            if len(within) and cost < least:
                tall = bottom[within].max() - top[within].min()
                side = max(tall, right - left)
                if height >= MIN_HEADROOM * tall and max(height, width) <= MAX_SURROUNDINGS * side:
                    middle = (low + high) / 2
                    best, least = (middle >= left) & (middle <= right) & ~at_edge, cost
    return best
