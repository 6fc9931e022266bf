"""Printed letters: skeletons of print, drawn in type designs that the program makes up."""

from functools import partial

import numpy as np

from lenet_xp.letters import synthetic
from lenet_xp.letters.handwriting import SIZE, interpolation
from lenet_xp.letters.strokes import PRINTED, SHAPES, Stroke
from lenet_xp.pictures.frame import pad_bar
from lenet_xp.system.opencv import cv2

_BOX = 128  # drawn pixels: side of a skeleton's box
_RIM = 80  # drawn pixels: around it, for nibs and serifs
_POINTS = 48  # points: along a stroke
_SHIFT = 4  # bits: fraction of OpenCV's drawing coordinates
_HANDS = 0.2  # of the letters: built as hands build them, for designs differ in such ways, too
_MAX_INK = 0.75  # boxes: the product of a letter's length and pen, but in fat designs
_FREE = 0.1  # boxes: distance from all other strokes at which an end is free
_EFFECTS = ("outline", "inline", "shadow", "pattern")
_POWERS = (1.2, 2, 2, 8, 8)  # of a nib's superellipse: two discs, two slabs, a diamond


class Design:
    """A type design drawn at random: how all its letters look. Lengths are in boxes."""

    def __init__(self, rng: np.random.Generator):
        chance, normal = iter(rng.random(20)), iter(rng.standard_normal(8))

        def rarely(share: float) -> float:
            """0 but in a share of the designs, where it is 0 to 1."""
            return max(0.0, 1 - next(chance) / share)

        self.fat = next(chance) < 0.12  # only slits stay open
        pen = min(0.2, (0.13 if self.fat else 0.055) * np.exp(0.5 * next(normal)))
        self.effect = _EFFECTS[int(3.999 * e)] if (e := rarely(0.3)) else ""
        self.depth = next(chance)  # of the effect, 0 to 1
        # Thick stems and thin bars; or a broad pen at an angle, in radians.
        contrast = np.exp(0.15 + 0.4 * next(normal))
        if broad := rarely(0.25):
            pen, contrast = pen * 1.3, 2 + 4 * broad
        self.nib = pen * np.array([contrast**0.5, contrast**-0.5])  # half width, half height
        self.angle = (0.3 * next(normal) - 0.6) * (broad > 0)
        self.power = _POWERS[int(5 * next(chance))]
        if self.effect:
            self.nib = np.maximum(self.nib, 0.06)
        self.ring = 2 + 5 * rarely(0.4) ** 2 - 0.7 * rarely(0.1)  # power of rings: 2 is round
        self.corners = 8 if next(chance) < 0.12 else 64  # of rings
        self.rounding = rarely(0.4)  # of a path's corners, 0 to 1
        self.jitter = 0.03 * rarely(0.4)  # deviation of corners
        self.slant = 0.25 * next(normal) * (next(chance) < 0.4)  # tangent
        self.warp = 0.25 * np.array([next(normal), next(normal)])  # moves the middle of x, of y
        reach = 0.25 * rarely(0.5)
        side = next(chance)
        self.serif = reach * (side < 0.85), reach * (side < 0.7 or side > 0.85)  # before, after
        self.rise = 0.4 * next(normal) * (side > 0.6)  # of a serif, for its reach
        self.pixels = int(SIZE * (1 - 0.8 * rarely(0.5)))  # side of the picture


def draw_letter(name: str, design: Design, rng: np.random.Generator) -> np.ndarray:
    """A letter in a design, ink 255 on 0, cut to its ink: (h, w) uint8; 128 pixels are a box."""
    ways = (SHAPES if rng.random() < _HANDS else PRINTED)[name].allographs
    shares = np.array([each.share for each in ways])
    strokes = ways[rng.choice(len(ways), p=shares / shares.sum())].strokes
    paths = _placed([_path(stroke, design, rng) for stroke in strokes], design)
    lines = [
        np.rint((_RIM + path * _BOX) * (1 << _SHIFT)).astype(np.int32)
        for path in (*paths, *_serifs(paths, design))
    ]
    skeleton = np.zeros((_BOX + 2 * _RIM,) * 2, np.uint8)
    cv2.polylines(skeleton, lines, False, 255, 1, cv2.LINE_8, _SHIFT)
    for line, stroke in zip(lines, strokes, strict=False):
        if stroke.kind == "dot":
            cv2.fillPoly(skeleton, [line], 255, cv2.LINE_8, _SHIFT)
    nib = design.nib
    if not design.fat:
        length = sum(np.linalg.norm(np.diff(path, axis=0), axis=1).sum() for path in paths)
        nib = nib * min(1, _MAX_INK / (2 * nib.max() * length))
    ink = cv2.dilate(skeleton, _mask(nib * _BOX, design))
    if design.fat:  # it grows inwards, and narrow slits stay
        distance = cv2.distanceTransform(255 - skeleton, cv2.DIST_L2, 5)
        ridge = (distance - cv2.blur(distance, (9, 9)) > 1.8) & (distance > 0.06 * _BOX)
        ink[cv2.dilate(ridge.astype(np.uint8), np.ones((1 + int(4 * design.depth),) * 2)) > 0] = 0
        inner = slice(_RIM - 8, _RIM + _BOX + 8)
        ink, skeleton = ink[inner, inner], skeleton[inner, inner]
    ink = _effect(skeleton, ink, design)
    left, top, wide, high = cv2.boundingRect(ink)
    return ink[top : top + high, left : left + wide]


def _path(stroke: Stroke, design: Design, rng: np.random.Generator) -> np.ndarray:
    """A stroke's skeleton, (P, 2) float64 in boxes."""
    low, high = np.moveaxis(stroke.points, -1, 0)
    points = low + rng.random(low.shape) * (high - low)
    if stroke.kind in ("ring", "dot"):
        turn = (np.arange(design.corners + 1) + 0.5) / design.corners
        hook = 3 * design.jitter * rng.normal(0, 1, 3) * (stroke.kind == "ring")
        angle = 2 * np.pi * (turn * (1 + hook[0]) + 10 * hook[1])
        around = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * (1 + hook[2] * turn[:, None])
        around = np.sign(around) * np.abs(around) ** (2 / design.ring)
        return np.asarray(points[0] + around / np.abs(around).max() * points[1])
    points += rng.normal(0, 1, points.shape) * design.jitter
    rounding = 1.0 if stroke.kind == "curve" else design.rounding
    sharp, soft = interpolation(stroke, _POINTS)
    return np.einsum("kp,pd->kd", sharp + rounding * (soft - sharp), points)


def _placed(paths: list[np.ndarray], design: Design) -> list[np.ndarray]:
    """Paths with the design's proportions and slant, stretched to the box; a bar keeps its form."""
    paths = [path + design.warp * path * (1 - path) for path in paths]
    paths = [path + [design.slant, 0] * (0.5 - path[:, 1:]) for path in paths]
    everything = np.concatenate(paths)
    low, extent = everything.min(0), np.ptp(everything, axis=0)
    scale = np.where(extent < 0.35, 1, 1 / np.maximum(extent, 0.35))
    return [0.5 + (path - low - extent / 2) * scale for path in paths]


def _serifs(paths: list[np.ndarray], design: Design) -> list[np.ndarray]:
    """A short stroke across each free end of a path: level at stems, upright at bars."""
    before, after = design.serif
    if len(paths) == 1 and np.ptp(paths[0][:, 0]) < 0.35:  # a bar with long ones would be a `yaj`
        before, after = before / 2, after / 2
    result = []
    for number, path in enumerate(paths if before or after else []):
        others = np.concatenate([[[9, 9]], *paths[:number], *paths[number + 1 :]])
        for end, inner, away in ((path[0], path[3], path[12:]), (path[-1], path[-4], path[:-12])):
            if np.linalg.norm(np.concatenate([others, away]) - end, axis=1).min() > _FREE:
                stem = np.ptp([end, inner], axis=0).argmax() == 1
                across = np.array([1, design.rise] if stem else [0, 1 - design.rise])
                sides = (-before, after) if end[1] < inner[1] else (-after, before)
                result.append(end + np.outer(sides, across))
    return result


def _mask(nib: np.ndarray, design: Design) -> np.ndarray:
    """The nib, half width and half height in pixels, as a mask (2 R + 1, 2 R + 1) uint8."""
    nib = np.maximum(nib, 0.5)
    radius = int(1.5 * np.ceil(nib.max()))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    cos, sin = np.cos(design.angle), np.sin(design.angle)
    inside = np.abs((cos * x + sin * y) / nib[0]) ** design.power
    inside += np.abs((cos * y - sin * x) / nib[1]) ** design.power
    return (inside <= 1).astype(np.uint8)


def _effect(skeleton: np.ndarray, ink: np.ndarray, design: Design) -> np.ndarray:
    """The filled form, (H, W) uint8, hollowed, split, with a shadow or with a pattern."""
    wide = 2 + int(8 * design.depth)
    element = np.ones((wide, wide), np.uint8)
    if design.effect == "outline":
        return ink - cv2.erode(ink, element)
    if design.effect == "inline":
        return ink & ~cv2.dilate(skeleton, element)
    if design.effect == "shadow":
        shadow = np.roll(ink, (2 * wide, 2 * wide), (0, 1))
        return ink | (shadow & ~cv2.dilate(ink, np.ones((7, 7), np.uint8)))
    if design.effect == "pattern":
        y, x = np.mgrid[: len(ink), : len(ink)] * 2 / wide
        waves = np.sin(x) * np.sin(y) if design.slant else np.sin(x + y)
        holes = np.where(waves > 0.2, 255, 0).astype(np.uint8)
        return ink & ~(holes & cv2.erode(ink, np.ones((4, 4), np.uint8)))
    return ink


def _draw_print(
    name: str, designs: np.random.Generator, moment: np.random.Generator, images: np.ndarray
) -> None:
    """Fill images (n, 64, 64) uint8 with one letter, framed as AMHCD frames it."""
    top = int(SIZE * PRINTED[name].top)
    for image in images:
        design = Design(designs)
        ink = pad_bar(draw_letter(name, design, moment))
        small = cv2.resize(ink, (design.pixels,) * 2, interpolation=cv2.INTER_AREA)
        image[:top] = 255
        image[top:] = 255 - cv2.resize(small, (SIZE, SIZE - top), interpolation=cv2.INTER_CUBIC)


# As `synthetic.generate`; here sample i of every letter is in design i.
generate = partial(synthetic.generate, draw_letter=_draw_print)
