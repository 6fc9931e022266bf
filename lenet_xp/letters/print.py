"""Printed letters: skeletons of print, drawn in type designs that a program makes up."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lenet_xp.letters.handwriting import SIZE
from lenet_xp.letters.strokes import PRINTED, SHAPES, Stroke
from lenet_xp.letters.synthetic import generate_by
from lenet_xp.pictures.frame import pad_bar
from lenet_xp.system.opencv import cv2

_BOX = 128  # drawn pixels: side of a skeleton's box
_RIM = 80  # drawn pixels: around it, for nibs, serifs and shadows
_POINTS = 48  # points: along a stroke
_SHIFT = 4  # bits: fraction of OpenCV's drawing coordinates
_HANDS = 0.2  # of the letters: built as hands build them, for designs differ in the same ways
_MAX_INK = 0.75  # of the box: strokes get thinner in letters that hold many, but in fat designs
_APART = 0.15  # boxes: places so far apart on the skeleton never flow into one
_FREE = 0.1  # boxes: distance from all other strokes at which a stroke's end is free


@dataclass(frozen=True)
class Design:
    """How a type design draws all its letters; lengths are in boxes.

    nib: half width, half height, angle in radians and power of the superellipse that is led along
    the skeleton: a disc, a slab, a broad pen, or a flat oval of thick stems and hairlines.
    ring: power of its rings, from rounds to squares. corners: of its rings; many make them round.
    rounding: 0 for corners to 1 for turns. jitter: deviation of corners. slant: tangent. warp: by
    which the middle of x and of y lies off. serifs: their reach to both sides and their rise.
    fat: whether only slits stay open. effect: what becomes of the filled form. depth: of the effect. pixels: side of the picture.
    """

    nib: tuple[float, float, float, float]
    ring: float
    corners: int
    rounding: float
    jitter: float
    slant: float
    warp: np.ndarray
    serifs: tuple[float, float, float]
    fat: bool
    effect: str
    depth: float
    pixels: int


def generate(
    samples_per_class: int,
    seed: int = 0,
    progress: Callable[[int], None] = lambda count: None,
    finish: Callable[[np.ndarray], np.ndarray] = lambda images: images,
) -> tuple[np.ndarray, np.ndarray]:
    """Images (33 * samples_per_class, 64, 64) uint8, dark on light, and their labels (N,) int64.

    Sample i of every letter is in design i. All else is as in `synthetic.generate`.
    """

    return generate_by(_draw_print, "print", samples_per_class, seed, progress, finish)


def _draw_print(
    name: str, designs: np.random.Generator, moment: np.random.Generator, images: np.ndarray
) -> None:
    """Fill images (n, 64, 64) uint8 with one letter, framed as AMHCD frames it."""
    top = int(SIZE * PRINTED[name].top)
    for image in images:
        design = make_design(designs)
        ink = pad_bar(draw_letter(name, design, moment))
        if design.pixels < SIZE:
            ink = cv2.resize(ink, (design.pixels, design.pixels), interpolation=cv2.INTER_AREA)
        how = cv2.INTER_AREA if design.pixels == SIZE else cv2.INTER_CUBIC
        image[:top] = 255
        image[top:] = 255 - cv2.resize(ink, (SIZE, SIZE - top), interpolation=how)


def make_design(rng: np.random.Generator) -> Design:
    """A design drawn at random; each takes the same number of draws."""
    chance, normal = rng.random(16), rng.standard_normal(8)
    fat = chance[11] < 0.1
    weight = (0.15 if fat else 0.055) * np.exp(0.5 * normal[0])
    contrast = np.exp(0.2 * normal[1]) if chance[0] < 0.5 else np.exp(0.7 * normal[1] + 0.3)
    broad = chance[1] < 0.25  # a broad pen, held at an angle
    nib = (
        weight * np.sqrt(contrast) if not broad else weight * 1.5,
        weight / np.sqrt(contrast) if not broad else weight * (0.15 + 0.4 * chance[2]),
        (0.6 + 0.3 * normal[2]) * (-1 if chance[3] < 0.9 else 1) if broad else 0.0,
        (2.0, 2.0, 8.0, 8.0, 1.2)[int(chance[4] * 5)],
    )
    effect = ("solid", "outline", "inline", "shadow", "pattern")[
        0 if chance[5] < 0.7 else 1 + int(chance[6] * 4)
    ]
    if effect != "solid":
        nib = (*(max(half, 0.06) for half in nib[:2]), *nib[2:])
    reach = 0.03 + 0.2 * chance[7] ** 2 if chance[8] < 0.5 else 0.0
    sides = (1, 1) if chance[9] < 0.7 else (chance[9] < 0.85, chance[9] >= 0.85)
    return Design(
        nib=nib,
        ring=2.0 if chance[10] < 0.65 else 2 + 6 * chance[11] ** 2,
        corners=64 if chance[12] < 0.88 else 8,
        rounding=0.0 if chance[13] < 0.6 else chance[11],
        jitter=0.0 if chance[14] < 0.6 else 0.03 * chance[2],
        slant=0.0 if chance[15] < 0.6 else 0.25 * normal[3],
        warp=0.25 * normal[4:6],
        serifs=(reach * sides[0], reach * sides[1], 0.3 * normal[6] * (chance[9] > 0.5)),
        fat=bool(fat),
        effect=effect,
        depth=float(chance[3]),
        pixels=SIZE if chance[6] < 0.5 else int(12 + 28 * chance[7]),
    )


def draw_letter(name: str, design: Design, rng: np.random.Generator) -> np.ndarray:
    """A letter in a design, ink 255 on 0, cut to its ink: (h, w) uint8; 128 pixels are a box."""
    shape = (SHAPES if rng.random() < _HANDS else PRINTED)[name]
    shares = np.array([each.share for each in shape.allographs])
    chosen = shape.allographs[rng.choice(len(shares), p=shares / shares.sum())]
    paths = _placed([_path(stroke, design, rng) for stroke in chosen.strokes], design)
    dots = [path for stroke, path in zip(chosen.strokes, paths, strict=True) if stroke.kind == "dot"]
    skeleton = np.zeros((_BOX + 2 * _RIM,) * 2, np.uint8)
    lines = [*paths, *_serifs(paths, design)]
    cv2.polylines(skeleton, [_pixels(path) for path in lines], False, 255, 1, cv2.LINE_8, _SHIFT)
    for dot in dots:
        cv2.fillPoly(skeleton, [_pixels(dot)], 255, cv2.LINE_8, _SHIFT)
    length = sum(np.linalg.norm(np.diff(path, axis=0), axis=1).sum() for path in paths)
    thin = 1 if design.fat else min(1, _MAX_INK / (2 * max(design.nib[:2]) * length))
    ink = cv2.dilate(skeleton, _nib(design, thin)) & ~_slits(skeleton, design)
    ink = _effect(skeleton, ink, design, thin)
    left, top, wide, high = cv2.boundingRect(ink)
    return ink[top : top + high, left : left + wide]


def _path(stroke: Stroke, design: Design, rng: np.random.Generator) -> np.ndarray:
    """A stroke's skeleton, (P, 2) float64 in boxes."""
    low, high = np.moveaxis(stroke.points, -1, 0)
    points = low + rng.random(low.shape) * (high - low)
    if stroke.kind in ("ring", "dot"):
        angle = 2 * np.pi * (np.arange(design.corners + 1) + 0.5) / design.corners
        around = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        around = np.sign(around) * np.abs(around) ** (2 / design.ring)
        return np.asarray(points[0] + around / np.abs(around).max() * points[1])
    points += rng.normal(0, 1, points.shape) * design.jitter
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    along = np.linspace(0, length[-1], _POINTS)
    path = np.stack([np.interp(along, length, each) for each in points.T], axis=-1)
    sigma = _POINTS * (0.07 if stroke.kind == "curve" else 0.06 * design.rounding)
    if sigma < 0.5:
        return path
    reach = _POINTS // 4
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    # Mirrored through its end points, so that smoothing leaves the ends where they are.
    padded = np.pad(path, ((reach, reach), (0, 0)), "reflect", reflect_type="odd")
    smooth = [np.convolve(each, weights / weights.sum(), "valid") for each in padded.T]
    return np.stack(smooth, axis=-1)


def _placed(paths: list[np.ndarray], design: Design) -> list[np.ndarray]:
    """Paths with the design's proportions and slant, stretched to the box; a bar keeps its form."""
    paths = [path + design.warp * path * (1 - path) for path in paths]
    paths = [path + [design.slant, 0] * (0.5 - path[:, 1:]) for path in paths]
    everything = np.concatenate(paths)
    low, extent = everything.min(0), np.ptp(everything, axis=0)
    centre = low + extent / 2
    scale = np.where(extent < 0.35, 1, 1 / np.maximum(extent, 0.35))
    return [0.5 + (path - centre) * scale for path in paths]


def _serifs(paths: list[np.ndarray], design: Design) -> list[np.ndarray]:
    """A short stroke across each free end of a path: level at stems, upright at bars."""
    before, after, rise = design.serifs
    if not before and not after:
        return []
    result = []
    for number, path in enumerate(paths):
        others = np.concatenate([[[9, 9]], *paths[:number], *paths[number + 1 :]])
        for end, inner in ((path[0], path[3]), (path[-1], path[-4])):
            across = np.array([1, rise]) if np.ptp([end, inner], axis=0).argmax() else [0, 0.7]
            far = path[np.linalg.norm(path - end, axis=1) > 0.3]
            near = np.linalg.norm(np.concatenate([others, far]) - end, axis=1).min()
            if near > _FREE and np.linalg.norm(path[0] - path[-1]) > _FREE:
                result.append(end + np.outer([-before, after], across))
    return result


def _nib(design: Design, thin: float) -> np.ndarray:
    """The nib as a mask, (2 R + 1, 2 R + 1) uint8."""
    wide, high, angle, power = design.nib
    wide, high = (max(0.5, each * thin * _BOX) for each in (wide, high))
    radius = int(np.ceil(max(wide, high)) * 1.5)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    inside = np.abs(along / wide) ** power + np.abs(across / high) ** power <= 1
    return inside.astype(np.uint8)


def _slits(skeleton: np.ndarray, design: Design) -> np.ndarray:
    """Lines midway between places of the skeleton that are far apart, 255 on 0, (H, W) uint8."""
    _, nearest = cv2.distanceTransformWithLabels(
        255 - skeleton, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.argwhere(skeleton)[np.argsort(nearest[skeleton > 0])]
    source = places[nearest - 1]
    jump = np.zeros(skeleton.shape, np.uint8)
    for axis in range(2):
        far = np.abs(np.diff(source, axis=axis)).sum(-1) > _APART * _BOX
        jump[: far.shape[0], : far.shape[1]][far] = 255
    side = 2 + int(4 * design.depth)
    return cv2.dilate(jump, np.ones((side, side), np.uint8))


def _effect(skeleton: np.ndarray, ink: np.ndarray, design: Design, thin: float) -> np.ndarray:
    """The filled form hollowed, split, shaded or patterned."""
    wide = 1 + int(thin * min(design.nib[:2]) * _BOX * (0.3 + 0.5 * design.depth))
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))
    if design.effect == "outline":
        return ink - cv2.erode(ink, element)
    if design.effect == "inline":
        return ink - cv2.bitwise_and(ink, cv2.dilate(skeleton, element))
    if design.effect == "shadow":
        shift = np.array([[1, 0, 2 + 14 * design.depth], [0, 1, 2 + 14 * design.depth]])
        shadow = cv2.warpAffine(ink, shift, ink.shape[::-1], flags=cv2.INTER_NEAREST)
        return ink | (shadow & ~cv2.dilate(ink, np.ones((7, 7), np.uint8)))
    if design.effect == "pattern":
        y, x = np.mgrid[: len(ink), : len(ink)] * (0.3 + 0.5 * design.depth)
        holes = np.where(np.sin(x) * np.sin(y) > 0.2, 255, 0).astype(np.uint8)
        return ink & ~(holes & cv2.erode(ink, np.ones((4, 4), np.uint8)))
    return ink


def _pixels(path: np.ndarray) -> np.ndarray:
    return np.rint((_RIM + path * _BOX) * (1 << _SHIFT)).astype(np.int32)

