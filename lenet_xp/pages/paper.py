"""Finds the sheet of paper in a photo, and lays it flat.

The sheet is a large, even region with straight, sharp sides, lighter than what is around it; a
blackboard, which is darker, fills much of its picture. What lies outside becomes blank paper. Where
all four corners are in the picture, they also show the perspective.
"""

from typing import NamedTuple

import numpy as np

from lenet_xp.pictures.sheet import OVERVIEW_SIDE, shrunk
from lenet_xp.system.opencv import cv2

MIN_SIDE = 120  # pixels: a smaller picture shows no sheet with something around it
STROKE_WINDOW = 0.05  # of the overview's shorter side: median window that no stroke survives
STEPS = (0.03, 0.06, 0.12, 0.24)  # natural logarithms of light: steps that may part two regions
NECK = 0.03  # of the overview's shorter side: narrower links between regions are none
MIN_AREA, MAX_AREA = 0.15, 0.97  # of the picture: a sheet that needs an outline
MIN_DARK_AREA = 0.4  # of the picture: a smaller dark region is a shadow, or a thing on the sheet
MIN_SOLIDITY = 0.9  # of its convex hull: a sheet's region
STRAIGHT = 0.02  # of its length: how far an outline may be from straight sides
MAX_CORNERS = 8  # corners of a sheet's outline; the edges of the picture may cut four off
REACH = 6  # pixels of the overview: distance from a side at which light is compared
MIN_STEP = 0.1  # natural logarithm of light: step at a side of a sheet
MIN_SHARP = 0.5  # of that step: what a sharp side has within 2 pixels; a shadow fades out
MIN_SEEN = 0.1  # of an outline: off the picture's edges
MIN_SUPPORT = 0.6  # of an outline off the picture's edges: has that step, all one way
RIM = 0.008  # of the picture's longer side: rim of a sheet that counts as outside


class Flat(NamedTuple):
    """A sheet laid flat.

    levels: (H, W) uint8, blank outside the sheet. inside: (H, W) uint8, 255 on the sheet.
    matrix: (3, 3), from the picture's pixels to those of `levels`.
    """

    levels: np.ndarray
    inside: np.ndarray
    matrix: np.ndarray


def find_outline(grey: np.ndarray) -> np.ndarray | None:
    """The corners (N, 2) float32 of the sheet in a picture, (H, W) uint8; None if it fills it."""
    small = shrunk(grey, OVERVIEW_SIDE)
    if min(small.shape) < MIN_SIDE:
        return None
    light = np.log(np.maximum(_without_strokes(small), 8).astype(np.float32))
    rise = cv2.morphologyEx(light, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    neck = np.ones((max(3, int(NECK * min(small.shape))),) * 2, np.uint8)
    best, most = None, 0.0
    for step in STEPS:
        mask = cv2.morphologyEx((rise < step).astype(np.uint8), cv2.MORPH_OPEN, neck)
        for region in cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]:
            hull = cv2.convexHull(region)
            corners = cv2.approxPolyDP(hull, STRAIGHT * cv2.arcLength(hull, True), True)[:, 0]
            area = cv2.contourArea(hull) / small.size
            even = cv2.contourArea(region) >= MIN_SOLIDITY * area * small.size
            if MIN_AREA < area < MAX_AREA and even and len(corners) <= MAX_CORNERS:
                lighter, darker = _support(light, corners)
                support = max(lighter, darker * (area > MIN_DARK_AREA))
                if support >= MIN_SUPPORT and area * support**2 > most:
                    best, most = corners + 0.5, area * support**2
    scale = max(grey.shape) / max(small.shape)
    return None if best is None else np.asarray(best * scale, np.float32)


def _without_strokes(small: np.ndarray) -> np.ndarray:
    return cv2.medianBlur(small, int(STROKE_WINDOW * min(small.shape)) // 2 * 2 + 1)


def _support(light: np.ndarray, corners: np.ndarray) -> tuple[float, float]:
    """The shares of an outline (N, 2) within which it is sharply lighter, or darker, than beyond.

    light: (H, W). Only what is off the picture's edges counts.
    """
    ends = np.roll(corners, -1, 0)
    count = np.abs(ends - corners).max(1)
    along = np.concatenate([np.linspace(*each) for each in zip(corners, ends, count, strict=True)])
    across = np.repeat((ends - corners)[:, ::-1] * (1.0, -1.0), count, 0)
    across *= np.sign(cv2.contourArea(corners, True)) / np.hypot(*across.T)[:, None]
    points = along[:, None] + across[:, None] * np.arange(-REACH, REACH + 1)[:, None]
    seen = ((points >= 0) & (points <= np.array(light.shape[::-1]) - 1)).all((1, 2))
    if seen.sum() < MIN_SEEN * len(along):
        return 0.0, 0.0
    x, y = np.rint(points[seen]).astype(int).transpose(2, 0, 1)
    profile = light[y, x]
    step = profile[:, 0] - profile[:, -1]
    sharp = np.abs(profile[:, :-2] - profile[:, 2:]).max(1) > MIN_SHARP * np.abs(step)
    return float((sharp & (step > MIN_STEP)).mean()), float((sharp & (step < -MIN_STEP)).mean())


def straightening(outline: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """The matrix (3, 3) that makes an outline (N, 2) in a picture (H, W) a rectangle.

    One that has not four corners, all off the edges of the picture, gives no perspective.
    """
    edge = RIM * max(shape)
    inner = outline is not None and len(outline) == 4 and outline.min() > edge
    if outline is None or not inner or (outline > np.array(shape[::-1]) - edge).any():
        return np.eye(3)
    corners = outline if cv2.contourArea(outline, True) > 0 else outline[::-1]
    corners = np.roll(corners, -int(corners.sum(1).argmin()), 0)  # from the upper left one
    sides = np.hypot(*(np.roll(corners, -1, 0) - corners).T)
    width, height = (sides[0] + sides[2]) / 2, (sides[1] + sides[3]) / 2
    target = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    return cv2.getPerspectiveTransform(np.ascontiguousarray(corners), target)


def lay_flat(grey: np.ndarray, outline: np.ndarray | None, matrix: np.ndarray) -> Flat:
    """A picture (H, W) uint8 after a map (3, 3), blank outside the outline (N, 2) of its sheet."""
    height, width = grey.shape
    if outline is None:
        if (matrix == np.eye(3)).all():
            return Flat(grey, np.full_like(grey, 255), matrix)
        outline = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    corners = cv2.perspectiveTransform(outline[:, None], matrix)[:, 0]
    left, top, *size = cv2.boundingRect(corners)
    matrix = np.array([(1, 0, -left), (0, 1, -top), (0, 0, 1)]) @ matrix
    levels = cv2.warpPerspective(grey, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    inside, rim = np.zeros_like(levels), 2 * int(RIM * max(size)) + 1
    cv2.fillConvexPoly(inside, np.rint(corners - (left, top)).astype(np.int32), 255)
    inside = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inner = cv2.erode(inside, np.ones((rim, rim), np.uint8))
    inside = (inner if inner.any() else inside)[1:-1, 1:-1]  # a strip may be all rim
    x, y, wide, high = cv2.boundingRect(inside)
    matrix = np.array([(1, 0, -x), (0, 1, -y), (0, 0, 1)]) @ matrix
    levels, inside = levels[y : y + high, x : x + wide], inside[y : y + high, x : x + wide]
    # Outside is the level of the nearest paper.
    small, known = shrunk(levels, OVERVIEW_SIDE), shrunk(inside, OVERVIEW_SIDE) == 255
    outside: np.ndarray = np.where(known, 0, 255).astype(np.uint8)
    nearest = cv2.distanceTransformWithLabels(
        outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )[1]
    level = np.zeros(nearest.max() + 1, np.uint8)
    level[nearest[known]] = _without_strokes(small)[known]
    paper = cv2.resize(level[nearest], (wide, high), interpolation=cv2.INTER_LINEAR)
    return Flat(np.where(inside > 0, levels, paper), inside, matrix)


def box_in_picture(
    ink: np.ndarray, left: int, top: int, matrix: np.ndarray
) -> tuple[int, int, int, int]:
    """Left, top, width and height in a picture of ink, (h, w) bool cropped to it, on a flat sheet.

    left, top: its place on the sheet in pixels. matrix: (3, 3), from the sheet to the picture.
    """
    rows, columns = np.nonzero(ink)
    points = np.stack([columns + left + 0.5, rows + top + 0.5], 1)
    if (matrix == np.diag(np.diag(matrix))).all():  # neither turned nor moved
        points = np.array([(left, top), (left + ink.shape[1], top + ink.shape[0])], float)
    moved = cv2.perspectiveTransform(points[:, None], matrix)[:, 0]
    low, high = np.rint(moved.min(0)).astype(int), np.rint(moved.max(0)).astype(int)
    return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])
