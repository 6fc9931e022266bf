"""Finds the one letter of a larger picture, whatever paper and light it is on.

How wide its strokes are nobody knows beforehand, and with it what is stroke and what shadow. So it
is looked for at several widths, and the place on which they agree counts.
"""

from dataclasses import dataclass

import numpy as np

from lenet_xp.pictures.frame import with_ya_in_its_place, without_extreme_proportions
from lenet_xp.pictures.ink import RIM, WITH_RIM, Ink, find_ink
from lenet_xp.pictures.sheet import Sheet, darkness, sheet, shrunk, votes
from lenet_xp.system.opencv import cv2

LOOKED_AT = 1280  # pixels of the longer side at which a letter is looked for
SMALL = 64  # pixels of a letter that is looked at again, in the larger picture it was shrunk from
LARGER = 1.5  # times as large as it must be there

NARROWEST, WIDER, WIDEST = 18, 1.8, 0.43  # of the kernels: pixels, times, of the shorter side
ALIKE = 0.7  # common part of two places that are one
ENOUGH = 3  # kernels that agree
DOUBT = 0.25  # votes the other way from which a picture is tried both ways round
AT_ONE, CLEARLY = 0.6, 0.1  # of all kernels' places in common: enough; more than the other way
FITTING = 0.4  # of the letter: the kernel that suits it best

# Of the heaviest piece's weight: what is no speck, and what may be its other half. Of its size: how
# far from the letter found so far another part may lie.
SPECK, PARTNER = 0.03, 0.2
DOT = 0.01  # of that weight: what is no speck within the heaviest piece, as in `yas`
NEAR, FAR = 0.6, 1.6
MOST_PARTS = 8
AT_RIM = 0.2  # of the weight of what meets a larger picture's edge

Box = tuple[int, int, int, int]  # left, top, width and height in pixels


@dataclass(frozen=True)
class Found:
    """A letter. levels: (H, W) uint8 of the sheet. mask: (H, W) uint8, its own ink. box: of it."""

    kernel: float
    levels: np.ndarray
    mask: np.ndarray
    box: Box


def find_letter(grey: np.ndarray, polarity: str = "auto") -> np.ndarray:
    """The one letter of a larger picture, framed, as (h, w) uint8 of any size, ink bright on 0.

    grey: (H, W) uint8. polarity: see `sheet`. Where the picture holds several, that with the most
    ink. The letter is looked for in an overview; one that is small there is looked at again.
    """
    overview = shrunk(grey, LOOKED_AT)
    found = _agreed(_best_tries(overview, polarity))
    if found is None:
        return np.zeros((1, 1), np.uint8)
    scale = max(grey.shape) / max(overview.shape)
    side = max(found.box[2:])
    if scale >= LARGER and side < SMALL:
        left, top = (max(0, int((start - side) * scale)) for start in found.box[:2])
        right, bottom = (int((found.box[i] + found.box[2 + i] + side) * scale) for i in (0, 1))
        return find_letter(grey[top:bottom, left:right], polarity)
    levels = cv2.bitwise_and(found.levels, cv2.dilate(found.mask, np.ones((3, 3), np.uint8)))
    return without_extreme_proportions(with_ya_in_its_place(levels, found.mask, found.box))


def _best_tries(grey: np.ndarray, polarity: str) -> list[Found]:
    """What is found the way round that is asked for, or the one on which more agree."""
    if polarity != "auto":
        return _tried(sheet(grey, polarity))
    darker, lighter = votes(grey)
    ways = ["dark-on-light", "light-on-dark"]
    if lighter > darker:
        ways.reverse()
    likelier = _tried(sheet(grey, ways[0]))
    unity = _unity(likelier)
    if min(darker, lighter) < DOUBT and unity >= AT_ONE:
        return likelier
    other = _tried(sheet(grey, ways[1]))
    return other if _unity(other) > unity + CLEARLY else likelier


def _tried(even: Sheet) -> list[Found]:
    """What is found at each width of the kernel that tells ink from paper."""
    kernel = float(NARROWEST)
    found: list[Found] = []
    while kernel < WIDEST * min(even.levels.shape) or not found:
        ink = find_ink(darkness(even, int(kernel)), int(kernel), even.ruled)
        if ink.weights.any():
            found.append(Found(kernel, ink.levels, *main_pieces(ink)))
            if _settled(found):
                break
        elif kernel > max(even.levels.shape):
            break
        kernel *= WIDER
    return found


def _settled(found: list[Found]) -> bool:
    """Whether enough agree with the last one, and its kernel suits the letter."""
    last = found[-1]
    same = [each for each in found if intersection_over_union(each.box, last.box) >= ALIKE]
    return len(same) >= ENOUGH and last.kernel >= FITTING * max(last.box[2:])


def _agreement(found: list[Found]) -> list[float]:
    """How much of each place all have in common with it, 0 to 1."""
    return [
        float(np.mean([intersection_over_union(each.box, of.box) for of in found]))
        for each in found
    ]


def _unity(found: list[Found]) -> float:
    """How much they agree on one place: noise lies elsewhere at every width."""
    return max(_agreement(found), default=0.0)


def _agreed(found: list[Found]) -> Found | None:
    """Of those at the place on which most agree, the one whose kernel suits its size."""
    if not found:
        return None
    place = found[int(np.argmax(_agreement(found)))].box
    fitting = FITTING * max(place[2:])
    alike = [each for each in found if intersection_over_union(each.box, place) >= ALIKE]
    return min(alike, key=lambda each: abs(float(np.log(each.kernel / fitting))))


def intersection_over_union(first: Box, second: Box) -> float:
    """The common area of two boxes in parts of their area together."""
    sides = [
        min(first[i] + first[2 + i], second[i] + second[2 + i]) - max(first[i], second[i])
        for i in (0, 1)
    ]
    common = max(0, sides[0]) * max(0, sides[1])
    return common / (first[2] * first[3] + second[2] * second[3] - common)


def main_pieces(ink: Ink) -> tuple[np.ndarray, Box]:
    """The letter among the pieces of ink: the heaviest, and what lies near it.

    Returns the mask of those pieces, (H, W) uint8, and their box.
    """
    height, width = ink.levels.shape
    start, size = ink.boxes[:, :2], ink.boxes[:, 2:]
    weights = ink.weights.copy()
    if min(height, width) >= WITH_RIM:
        weights[((start <= RIM) | (start + size >= (width - RIM, height - RIM))).any(1)] *= AT_RIM
    heaviest = int(weights.argmax())
    low, high = start[heaviest], start[heaviest] + size[heaviest]
    chosen = np.arange(len(weights)) == heaviest
    within = ((start > low) & (start + size < high)).all(1)
    least = np.where(within, DOT, SPECK) * weights[heaviest]
    waiting = (weights > 0) & (weights >= least) & ~chosen
    reach = np.where(weights >= PARTNER * weights[heaviest], FAR, NEAR)
    side = (high - low).max()
    for _ in range(MOST_PARTS):
        gap = np.maximum(start - high, low - start - size).max(1)
        near = waiting & (gap <= reach * side)
        if not near.any():
            break
        chosen, waiting = chosen | near, waiting & ~near
        low = np.minimum(low, start[near].min(0))
        high = np.maximum(high, (start + size)[near].max(0))
    mask = np.where(chosen, 255, 0).astype(np.uint8)[ink.pieces]
    return mask, (int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
