"""Handwriting: random hands of writers, and the paths of their pens from a letter's shape.

All geometry is vectorised over samples. Points are (samples, strokes, POINTS, 2) float64, x before
y, in units of the letter's box until `_fit_to_frame` turns them into pixels. Sums go through
einsum, which keeps to this thread: a BLAS would round differently with its thread count.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lenet_xp.letters.strokes import Shape, Stroke

SIZE = 64  # pixels: side of an image, as in AMHCD
SAMPLES_PER_WRITER = 13  # images: of each letter, as in AMHCD
POINTS = 24  # points: on each stroke
_WAVES = np.arange(1, 4)  # half periods: of a stroke's wobble
_ALONG = np.linspace(0, 1, POINTS)  # stroke lengths: place of each point


class Hand(NamedTuple):
    """The traits of n samples' writing, arrays of length n: a writer's habit plus chance.

    slant, rotation: radians. rounding: 0 for sharp corners to 1 for soft ones. jitter: deviation of
    corners, in boxes. wobble: deviation of the line, in boxes. pen: stroke width in pixels. ink:
    grey level of full ink. softness: sigma of the blur in pixels. grain: share of the ink that
    rough paper leaves out, 0 to 1.
    """

    slant: np.ndarray
    rotation: np.ndarray
    rounding: np.ndarray
    jitter: np.ndarray
    wobble: np.ndarray
    pen: np.ndarray
    ink: np.ndarray
    softness: np.ndarray
    grain: np.ndarray


def hands(writers: np.random.Generator, moment: np.random.Generator, samples: int) -> Hand:
    """The hands of `samples` images, SAMPLES_PER_WRITER in a row by one writer.

    `writers` must start in the same state for every letter, so that writer w has the same habits in
    all of them; `moment` differs from letter to letter.
    """
    count = -(-samples // SAMPLES_PER_WRITER)

    def vary(between: float, within: float) -> np.ndarray:
        habit = np.repeat(writers.normal(0, between, count), SAMPLES_PER_WRITER)[:samples]
        return habit + moment.normal(0, within, samples)

    return Hand(
        slant=vary(0.1, 0.1),
        rotation=vary(0.04, 0.05),
        rounding=1 / (1 + np.exp(-vary(1.0, 1.0))),
        jitter=0.04 * np.exp(vary(0.3, 0.2)),
        wobble=0.02 * np.exp(vary(0.4, 0.3)),
        pen=2.0 * np.exp(vary(0.35, 0.2)),
        ink=np.clip(50 + vary(22, 8), 10, 150),
        softness=0.6 * np.exp(vary(0.25, 0.2)),
        grain=np.clip(0.2 * np.exp(vary(0.4, 0.3)), 0, 0.6),
    )


def write(
    shape: Shape, hand: Hand, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Write a letter once for each sample of `hand`.

    Yields for each allograph the indices of the samples that use it, (m,), and their points in
    pixels, (m, strokes, POINTS, 2).
    """
    shares = np.array([each.share for each in shape.allographs])
    choice = rng.choice(len(shares), size=len(hand.pen), p=shares / shares.sum())
    for number, allograph in enumerate(shape.allographs):
        chosen = np.flatnonzero(choice == number)
        if len(chosen):
            own = Hand(*(each[chosen] for each in hand))
            traces = [_trace(stroke, own, rng) for stroke in allograph.strokes]
            points = _bend(np.stack(traces, axis=1), own, rng)
            yield chosen, _fit_to_frame(points, shape, own.pen, rng)


def _trace(stroke: Stroke, hand: Hand, rng: np.random.Generator) -> np.ndarray:
    """A stroke from corner to corner, each displaced, with the hand's turns: (n, POINTS, 2)."""
    low, high = np.moveaxis(stroke.points, -1, 0)
    corners = low + rng.random((len(hand.pen), *low.shape)) * (high - low)
    if stroke.kind == "ring":
        return _trace_ring(corners, hand, rng)
    length = np.linalg.norm(np.diff(corners, axis=1), axis=-1).sum(1)
    size = np.minimum(1, length)[:, None, None]  # small strokes are drawn more carefully
    corners += rng.normal(0, 1, corners.shape) * hand.jitter[:, None, None] * np.sqrt(size)
    sharp, soft = interpolation(stroke)
    rounding = 1.0 if stroke.kind == "curve" else hand.rounding[:, None, None]
    straight, turned = (np.einsum("kp,npd->nkd", each, corners) for each in (sharp, soft))
    return np.asarray(straight * (1 - rounding) + turned * rounding + _wobble(hand, rng) * size)


def interpolation(path: Stroke, count: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Two matrices (count, corners): straight lines from corner to corner, and soft turns."""
    middle = path.points.mean(-1)
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(middle, axis=0), axis=1))]
    along = np.linspace(0, 1, count) * length[-1]
    sharp = np.stack([np.interp(along, length, corner) for corner in np.eye(len(middle))], axis=1)
    reach = count // 4
    width = 0.09 if path.kind == "curve" else 0.06  # of the stroke's length
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / count / width) ** 2)
    # Mirrored through its end points, so that smoothing leaves the ends where they are.
    before = 2 * sharp[0] - sharp[reach:0:-1]
    after = 2 * sharp[-1] - sharp[-2 : -reach - 2 : -1]
    windows = np.lib.stride_tricks.sliding_window_view(
        np.concatenate([before, sharp, after]), len(weights), axis=0
    )
    return sharp, np.einsum("kpw,w->kp", windows, weights / weights.sum())


def _trace_ring(points: np.ndarray, hand: Hand, rng: np.random.Generator) -> np.ndarray:
    """A ring from near its top: uneven, hooked at its start, seldom closed. (n, POINTS, 2)."""
    count = len(hand.pen)
    center, radii = points[:, 0], points[:, 1]
    size = np.minimum(1, radii.sum(1))[:, None, None]
    center = center + rng.normal(0, 0.7, center.shape) * hand.jitter[:, None]
    radii = radii * np.exp(rng.normal(0, 0.12, radii.shape))
    start = rng.normal(-np.pi / 2, 0.5, (count, 1))
    turns = rng.normal(1.02, 0.06, (count, 1)) * rng.choice([-1, 1], (count, 1))
    angle = start + 2 * np.pi * turns * _ALONG
    hook = np.abs(rng.normal(0, 0.3, (count, 1)))
    stretch = 1 - hook * np.exp(-_ALONG / rng.uniform(0.03, 0.1, (count, 1)))
    for wave, height in ((2, 0.1), (3, 0.04)):  # a tilted oval, and an egg
        phase = rng.uniform(0, 2 * np.pi, (count, 1))
        stretch += rng.normal(0, height, (count, 1)) * np.cos(wave * angle + phase)
    around = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * stretch[..., None]
    return np.asarray(center[:, None] + around * radii[:, None] + _wobble(hand, rng) * size)


def _wobble(hand: Hand, rng: np.random.Generator) -> np.ndarray:
    """A slow deviation from the path, zero at both ends: (n, POINTS, 2)."""
    modes = np.sin(np.pi * _WAVES * _ALONG[:, None]) / _WAVES
    height = rng.normal(0, 1, (len(hand.pen), len(_WAVES), 2)) * hand.wobble[:, None, None]
    return np.asarray(np.einsum("kw,nwd->nkd", modes, height))


def _bend(points: np.ndarray, hand: Hand, rng: np.random.Generator) -> np.ndarray:
    """Letters bent by a random quadratic map of the plane, then slanted and rotated."""
    x, y = points[..., 0] - 0.5, points[..., 1] - 0.5
    bend = rng.normal(0, 0.12, (6, len(x), 1, 1))
    x, y = (
        x + bend[0] * x * x + bend[1] * x * y + bend[2] * y * y,
        y + bend[3] * x * x + bend[4] * x * y + bend[5] * y * y,
    )
    x -= np.tan(hand.slant)[:, None, None] * y
    cos, sin = np.cos(hand.rotation)[:, None, None], np.sin(hand.rotation)[:, None, None]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def _fit_to_frame(
    points: np.ndarray, shape: Shape, pen: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Points in pixels: letters are cropped to their ink and fill their part of the frame."""
    low, high = points.min((1, 2)), points.max((1, 2))
    extent = np.maximum(high - low, 1e-3)
    # AMHCD's crops are tight on about four sides in five.
    margin = rng.exponential(2.5, (2, len(pen), 2)) * (rng.random((2, len(pen), 2)) < 0.2)
    begin = margin[0] + pen[:, None] / 2 + np.array([0, SIZE * shape.top])
    end = SIZE - margin[1] - pen[:, None] / 2
    scale = (end - begin) / extent
    if not shape.stretched:
        scale[:] = scale[:, 1:] * rng.beta(3, 0.6, (len(pen), 1))
        begin[:, 0] = (SIZE - extent[:, 0] * scale[:, 0]) / 2
    return np.asarray(begin[:, None, None] + (points - low[:, None, None]) * scale[:, None, None])
