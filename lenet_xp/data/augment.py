"""Distortion of training images, as writers, pens and cameras vary them: drawn, then applied.

A batch is changed as one tall picture, in which every image has paper (0) around it.
"""

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from lenet_xp.system.opencv import cv2
from lenet_xp.system.text import known_values

MIN_WIDENING = -0.5  # pixels: by which a pen moves the edges outwards, so that no letter vanishes
MAX_WIDENING = 1.0  # pixels: the same, upper limit
MAX_STRENGTH = 1000  # pixels, degrees
MAX_GRID = 32  # bumps a side: one for each pixel
MAX_HEIGHT = 32_000  # pixels: OpenCV's remap takes pictures of up to 32,767 lines
ROUNDING = np.float32(2**14)  # pixels: a float32 from here on is a multiple of 1/512
MARGIN = 4  # columns: paper on the right, for pixels beyond the picture's edge cost remap twice
REMOVED = ("crop", "gain", "gamma", "noise")  # strengths that older records name


class Changes(NamedTuple):
    """The random numbers of the changes of N images, float32; None for a change that is off."""

    coefficients: np.ndarray  # (2, N, 3 + grid^2) of `basis`
    widths: np.ndarray | None = None  # (N,) of `change_width`
    blurs: np.ndarray | None = None  # (N,), the shares of `blur`

    def part(self, chosen: slice) -> "Changes":
        """The changes of some of the images."""
        widths, blurs = (None if each is None else each[chosen] for each in self[1:])
        return Changes(self.coefficients[:, chosen], widths, blurs)


@dataclass(frozen=True)
class Distortion:
    """The strengths of the changes; each is a standard deviation.

    rotation: degrees. shear: tangent of the slant. scale: log of the size, each axis by itself.
    shift: pixels. elastic: pixels, of a smooth random displacement (Simard et al. 2003), the sum of
    grid x grid Gaussian bumps. pen: pixels by which the ink's edges move. blur: pixels, sigma of a
    Gaussian; its absolute value counts, so that most images stay sharp. pen and blur draw and cost
    nothing while 0. ValueError for a strength not of 0 to 1000, or a grid not of 2 to 32.
    """

    rotation: float = 0.0
    shear: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    elastic: float = 0.0
    grid: int = 4
    pen: float = 0.0
    blur: float = 0.0

    def __post_init__(self) -> None:
        strengths = [getattr(self, field.name) for field in fields(self) if field.name != "grid"]
        if not all(type(each) in (int, float) and 0 <= each <= MAX_STRENGTH for each in strengths):
            raise ValueError(f"strengths of a distortion are numbers from 0 to {MAX_STRENGTH}")
        if type(self.grid) is not int or not 2 <= self.grid <= MAX_GRID:
            raise ValueError(f"the grid of a distortion is from 2 to {MAX_GRID}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Distortion":
        """The distortion of a record; TypeError or ValueError for anything else.

        Older records also name the strengths in REMOVED: ValueError unless these are 0.
        """
        known = [field.name for field in fields(cls)]
        return cls(**known_values("a distortion", values, known, REMOVED))

    @property
    def geometric(self) -> bool:
        """Whether it only moves pixels: `Changes` then have coefficients only."""
        return not (self.pen or self.blur)

    def draw(self, rng: np.random.Generator, *counts: int) -> Changes:
        """Random changes of all images of batches of these sizes, drawn batch after batch."""
        drawn = [self._numbers(rng, count) for count in counts]
        moves, bumps, *more = (np.concatenate(each, axis=1) for each in zip(*drawn, strict=True))
        angle, slant, log_w, log_h, *move = moves.astype(np.float32)
        angle, slant = np.deg2rad(self.rotation) * angle, self.shear * slant
        width, height = np.exp(self.scale * log_w), np.exp(self.scale * log_h)
        cos, sin = np.cos(angle), np.sin(angle)
        coefficients = np.empty((2, len(angle), 3 + self.grid**2), np.float32)
        from_x = self.shift * move[0], width * cos, width * (slant * cos - sin)
        from_y = self.shift * move[1], height * sin, height * (slant * sin + cos)
        coefficients[:, :, :3] = np.swapaxes([from_x, from_y], 1, 2)
        np.multiply(bumps, np.float32(self.elastic), out=coefficients[:, :, 3:])
        widths = blurs = None
        if self.pen:
            widths = np.clip(self.pen * more.pop(0)[0], MIN_WIDENING, MAX_WIDENING)
        if self.blur:
            blurs = np.minimum(2 * (self.blur * more.pop(0)[0]) ** 2, np.float32(1))
        return Changes(coefficients, widths, blurs)

    def _numbers(self, rng: np.random.Generator, count: int) -> list[np.ndarray]:
        """Normal numbers (., N, ...) of a batch: of its maps, its bumps, then of pen and blur."""
        numbers = [rng.standard_normal((6, count))]
        sizes = [(2, count, self.grid**2), *((1, count) for each in (self.pen, self.blur) if each)]
        return numbers + [rng.standard_normal(size, np.float32) for size in sizes]

    def apply(self, images: np.ndarray, changes: Changes) -> np.ndarray:
        """Prepared images, changed: first the pen's width, then blur, then geometry."""
        if images.ndim == 4:  # each channel by itself
            channels = np.moveaxis(images, 3, 0)
            return np.stack([self.apply(each, changes) for each in channels], axis=3)
        tall, size = tall_picture(images), images.shape[1]
        if changes.widths is not None:
            change_width(tall, size, changes.widths)
        if changes.blurs is not None:
            blur(tall, size, changes.blurs)
        return warp(tall, changes.coefficients, size)


def tall_picture(images: np.ndarray) -> np.ndarray:
    """Images (N, S, S) uint8 with paper on all sides, as [:, 1:-1, :S] of (N, S + 2, S + 4)."""
    count, size, _ = images.shape
    tall = np.zeros((count, size + 2, size + MARGIN), np.uint8)
    tall[:, 1:-1, :size] = images
    return tall


def change_width(tall: np.ndarray, size: int, widths: np.ndarray) -> None:
    """Move every edge of the ink outwards by `widths` (N,) pixels, -0.9 to 1; inwards below 0.

    Outwards, images are blended with their 3x3 dilation, the highest of nine neighbours. Inwards,
    levels v become (v - w) / (1 - w) in units of full ink: edges go and full ink stays. A blend
    with the 3x3 erosion, which deletes a stroke of two pixels, would only fade it.
    tall: (N, H, W) uint8 of `tall_picture`. size: S of its images.
    """
    wide, thin = np.flatnonzero(widths > 0), np.flatnonzero(widths < 0)
    if len(wide):
        letters = tall[wide]
        highest = cv2.dilate(letters.reshape(-1, tall.shape[2]), np.ones((3, 3), np.uint8))
        difference = highest.reshape(letters.shape) - letters
        shares = np.rint(256 * widths[wide]).astype(np.uint16)[:, None, None]
        tall[wide] = letters + _shifted(difference * shares, 8)
        _clear_paper(tall, size)
    if len(thin):
        taken = np.rint(-255 * widths[thin]).astype(np.uint8)[:, None, None]
        left = np.maximum(tall[thin], taken) - taken
        stretch = np.rint(255 * 256 / (255 - taken.astype(np.float32))).astype(np.uint16)
        tall[thin] = _shifted(left * stretch, 8)


def blur(tall: np.ndarray, size: int, shares: np.ndarray) -> None:
    """Blend each image with its 3x3 binomial blur by `shares` (N,): 0 to 1, twice a variance."""
    lines, weights = tall.reshape(-1, tall.shape[2]), np.array([1, 2, 1], np.float32)
    paper = cv2.BORDER_CONSTANT
    soft = cv2.sepFilter2D(lines, cv2.CV_16S, weights, weights, borderType=paper)
    soft = _shifted(soft.reshape(tall.shape), 4) - tall
    soft *= np.rint(128 * shares).astype(np.int16)[:, None, None]
    tall[:] = tall + _shifted(soft, 7)
    _clear_paper(tall, size)


def _shifted(values: np.ndarray, bits: int) -> np.ndarray:
    """Whole numbers divided by 2^bits and rounded, in place."""
    values += values.dtype.type(1 << (bits - 1))
    values >>= values.dtype.type(bits)
    return values


def _clear_paper(tall: np.ndarray, size: int) -> None:
    """Clear what has run over the images' edges."""
    tall[:, 0] = tall[:, -1] = 0
    tall[:, :, size:] = 0


def warp(tall: np.ndarray, coefficients: np.ndarray, size: int) -> np.ndarray:
    """Images (N, S, S) uint8 fetched bilinearly from a tall picture of them; paper fills gaps.

    coefficients: (2, N, 3 + grid^2) float32 of `basis`; coefficients @ basis are the x and the y,
    from the image's centre, that each target pixel comes from.
    """
    count, height, width = tall.shape
    x, y = coefficients @ basis(size, round((coefficients.shape[2] - 3) ** 0.5))
    x += np.float32((size - 1) / 2)
    y += np.float32((size + 1) / 2)
    np.clip(y, np.float32(0), np.float32(height - 1), out=y)
    # Rounded to 1/512 pixel, y is exact in float32 in all lines of a stack: an image's place in it
    # decides nothing.
    y += ROUNDING
    y -= ROUNDING
    images = MAX_HEIGHT // height
    y += (np.arange(count) % images * np.float32(height)).astype(np.float32)[:, None]
    moved = np.empty((count, size * size), np.uint8)
    for start in range(0, count, images):
        part = slice(start, start + images)
        lines = tall[part].reshape(-1, width)
        cv2.remap(lines, x[part], y[part], cv2.INTER_LINEAR, dst=moved[part])  # 0 around them
    return moved.reshape(count, size, size)


@lru_cache(maxsize=8)
def basis(size: int, grid: int) -> np.ndarray:
    """Functions of the pixels, (3 + grid^2, size^2) float32: 1, x, y from the centre, and bumps."""
    axis = np.arange(size) - (size - 1) / 2
    y, x = (each.reshape(-1) for each in np.meshgrid(axis, axis, indexing="ij"))
    nodes = np.linspace(axis[0], axis[-1], grid)
    spacing = nodes[1] - nodes[0]
    rows, cols = (each.reshape(-1) for each in np.meshgrid(nodes, nodes, indexing="ij"))
    squares = (x - cols[:, None]) ** 2 + (y - rows[:, None]) ** 2
    bumps = np.exp(-0.5 * squares / (0.75 * spacing) ** 2)
    bumps /= np.sqrt((bumps**2).sum(axis=0))  # random coefficients of deviation 1 move by 1 pixel
    return np.concatenate([np.ones_like(x)[None], x[None], y[None], bumps]).astype(np.float32)
