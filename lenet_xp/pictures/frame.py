"""Frames a letter the way AMHCD's images are framed.

AMHCD's letters are cropped to their ink and stretched to the whole frame, with two exceptions:
`yan`, a single bar, keeps its narrow shape in the middle, and `ya` keeps a blank upper half, which
is all that tells it from `yar`. Any other picture of a letter is cut to its ink, whatever its size.
"""

import numpy as np

from lenet_xp.pictures.sheet import shrunk
from lenet_xp.system.opencv import cv2

DATASET_SIDE = 64  # pixels: longer side up to which a picture counts as one of a data set
ENLARGED_SIDE = 96  # pixels: longer side to which a smaller picture is enlarged before it is cut
INK_THRESHOLD = 0.25  # of the range of levels: where ink begins
MIN_SPECK = 0.02  # of all ink: a smaller piece outside the letter is dirt
NEARBY = 0.12  # of the letter's longer side: a speck that is no further away is a part of it
NEARBY_ROUNDS = 3  # times that what is near the parts found so far is added

EDGE = 0.12  # of the picture's side: width of the strip along an edge where a cell's border runs
MIN_BORDER = 0.9  # of a piece's area within these strips: it may be such a border
MIN_ON_RIM = 0.8  # of its length: pixels that meet the picture's edge, which cuts a border
MIN_INNER_LEVEL = 0.4  # of the darkest ink: the darkest off the edges; then that is the letter's
MAX_OFF_MIDDLE = 0.25  # of the picture's width: how far from its middle a bar in a cell stands

MIN_ASPECT = 1 / 3  # shorter side per longer side: a narrower shape is a bar
MAX_BAR_ASPECT = 0.2  # of a bar that leans: across it per along it; the zigzag of `yay` is wider
MAX_BAR_LENGTH = 2048  # pixels: a longer bar is shrunk, for the square around it grows with it

# A `ya` as AMHCD frames it: how much of the sides its ink spans, how far from the middle it begins.
MIN_YA_WIDTH, MIN_YA_BOTTOM, MAX_YA_OFFSET = 0.85, 0.75, 0.12  # of the picture's sides

Box = tuple[int, int, int, int]  # left, top, width and height in pixels


def frame(ink: np.ndarray) -> np.ndarray:
    """The letter of a small picture, cut to its ink; a bar is padded to a square. (h, w) uint8.

    ink: (H, W) uint8, ink bright. A picture that is small even for a data set is enlarged first: a
    cut at whole pixels would cost a letter of 20 pixels a twentieth of its side.
    """
    factor = -(-ENLARGED_SIDE // max(ink.shape))
    if factor > 1:
        ink = cv2.resize(ink, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    margin = [max(1, int(EDGE * side)) for side in ink.shape]
    strip = np.ones(ink.shape, np.uint8)
    strip[margin[0] : -margin[0], margin[1] : -margin[1]] = 0
    low, high, _, _ = cv2.minMaxLoc(ink)
    inner = cv2.minMaxLoc(ink, 1 - strip)[1] - low
    high = inner if inner >= MIN_INNER_LEVEL * (high - low) else high - low
    _, mask = cv2.threshold(ink, low + INK_THRESHOLD * high, 255, cv2.THRESH_BINARY)
    box = _letter_box(mask, strip)
    if box is None:
        return ink
    (left, top, wide, high), (height, width) = box, ink.shape
    fills = wide >= MIN_YA_WIDTH * width and top + high >= MIN_YA_BOTTOM * height
    if fills and abs(top / height - 0.5) <= MAX_YA_OFFSET:
        return ink  # a `ya` of AMHCD
    return pad_bar(ink[top : top + high, left : left + wide])


def _letter_box(mask: np.ndarray, strip: np.ndarray) -> Box | None:
    """The box of the letter under a mask, without specks; None without ink.

    The borders of a table's cell stay outside, too: pieces within `strip`, 1 along the edges, that
    meet the picture's edge all along, if what is left is a letter that meets no edge. The bars of
    `yal` lie so, too, but neither stands in the middle.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask, connectivity=8, ltype=cv2.CV_16U
    )
    if count == 1:
        return None
    if count == 2:
        left, top, wide, high = stats[1, :4].tolist()
        return left, top, wide, high
    areas, boxes = stats[1:, cv2.CC_STAT_AREA], stats[1:, :4]
    large = areas >= MIN_SPECK * areas.sum()
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    on_rim = np.bincount(rim, minlength=count)[1:]
    sides = boxes[:, 2:]
    bent = sides.min(1) > EDGE * max(mask.shape)
    length = np.where(bent, sides.sum(1), sides.max(1))
    border = on_rim >= MIN_ON_RIM * length
    if border.any():  # seldom, and counting pixels takes long
        in_strip = np.bincount(labels.reshape(-1), strip.reshape(-1), count)[1:]
        border &= in_strip >= MIN_BORDER * areas
    inside = large & ~border
    if inside.any() and border.any():
        box = _around(boxes, inside, ~border)
        middle = abs(box[0] + box[2] / 2 - mask.shape[1] / 2) < MAX_OFF_MIDDLE * mask.shape[1]
        right, bottom = mask.shape[1] - box[0] - box[2], mask.shape[0] - box[1] - box[3]
        if min(box[0], box[1], right, bottom) > 0 and (middle or box[2] > MIN_ASPECT * box[3]):
            return box
    return _around(boxes, large, np.ones(len(boxes), bool))


def _around(boxes: np.ndarray, chosen: np.ndarray, others: np.ndarray) -> Box:
    """The box around the chosen of (N, 4) boxes and the others nearby; both are (N,) bool."""
    # A pen that skips leaves a stroke in pieces as small as dirt.
    start, end = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    low, high = start[chosen].min(0), end[chosen].max(0)
    for _ in range(NEARBY_ROUNDS if (others & ~chosen).any() else 0):
        gap = np.maximum(start - high, low - end).max(1)
        near = others & (gap <= NEARBY * (high - low).max())
        low, high = np.minimum(low, start[near].min(0)), np.maximum(high, end[near].max(0))
    (left, top), (width, height) = low.tolist(), (high - low).tolist()
    return left, top, width, height


def ink_under(levels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The levels, (H, W) uint8, under a mask (H, W) uint8 widened by a pixel; 0 elsewhere."""
    return cv2.bitwise_and(levels, cv2.dilate(mask, np.ones((3, 3), np.uint8)))


def pad_bar(ink: np.ndarray) -> np.ndarray:
    """A bar, (h, w) uint8, padded with 0 to a square; another shape as it is, to be stretched."""
    if min(ink.shape) >= MIN_ASPECT * max(ink.shape) and not _is_slanted_bar(ink):
        return ink
    ink = shrunk(ink, MAX_BAR_LENGTH)
    height, width = ink.shape
    down, across = max(0, width - height), max(0, height - width)
    return np.pad(ink, ((down // 2, down - down // 2), (across // 2, across - across // 2)))


def _is_slanted_bar(ink: np.ndarray) -> bool:
    """Whether the ink, (h, w) uint8, is one narrow stroke, whichever way it leans."""
    small = shrunk(ink, 2 * ENLARGED_SIDE)  # as it is, if it comes from a small picture
    mask = small > INK_THRESHOLD * small.max()
    rows = np.flatnonzero(mask.any(1))
    if not len(rows):
        return False
    first, last = mask[rows].argmax(1), mask.shape[1] - 1 - mask[rows, ::-1].argmax(1)
    ends = np.stack([np.concatenate([first, last]), np.concatenate([rows, rows])], axis=1)
    across, along = sorted(cv2.minAreaRect(ends.astype(np.int32))[1])  # the rows' ends are its hull
    return bool(across < MAX_BAR_ASPECT * along)
