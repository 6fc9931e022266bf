"""How training images are varied as writers, pens and cameras vary them: strengths and order."""

import math
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from lenet_xp.data.pen import blur, change_width
from lenet_xp.system.opencv import cv2

MIN_WIDENING = -0.5  # pixels: by which a pen moves the edges outwards, so that no letter vanishes
MAX_WIDENING = 1.0  # pixels: the same, upper limit
FINEST_GRID = 32  # a bump for each pixel
REMOVED = ("crop", "gain", "gamma", "noise")  # strengths that older records name


class Changes(NamedTuple):
    """What is to happen to N images: all that is random about it, float32; None for nothing.

    coefficients: (2, N, 3 + grid^2) of `warp.basis`. widths: (N,) of `pen.change_width`.
    blurs: (N,), the shares of `pen.blur`.
    """

    coefficients: np.ndarray
    widths: np.ndarray | None = None
    blurs: np.ndarray | None = None


@dataclass(frozen=True)
class Distortion:
    """How strongly training images are distorted; each strength is a standard deviation.

    rotation: degrees. shear: tangent of the slant. scale: log of the size, each axis by itself.
    shift: pixels. elastic: pixels, of a smooth random displacement (Simard et al. 2003) that is
    the sum of grid x grid Gaussian bumps.
    pen: pixels that the ink's edges move. blur: pixels, sigma of a Gaussian; its absolute value
    counts, so that most images stay sharp. pen and blur draw nothing and cost nothing while 0.
    Raises ValueError for a strength below 0 or not finite, and for a grid that is not 2 to 32.
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
        if min(strengths) < 0 or not all(map(math.isfinite, strengths)):
            raise ValueError("strengths of a distortion are not negative")
        if type(self.grid) is not int or not 2 <= self.grid <= FINEST_GRID:
            raise ValueError(f"the grid of a distortion is from 2 to {FINEST_GRID}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Distortion":
        """The distortion of a record; TypeError or ValueError for anything else.

        Older records also name the strengths in REMOVED: ValueError unless these are 0.
        """
        if not isinstance(values, dict):
            raise TypeError(f"a distortion is a table of names and values, not {values!r:.40}")
        for name in REMOVED:
            if values.get(name, 0) != 0:
                raise ValueError(f"a distortion no longer has {name}, here {values[name]!r:.20}")
        return cls(**{name: value for name, value in values.items() if name not in REMOVED})

    @property
    def geometric(self) -> bool:
        """Whether it moves pixels alone: `Changes` are then nothing but coefficients."""
        return not (self.pen or self.blur)

    def draw(self, rng: np.random.Generator, count: int) -> Changes:
        """What is to happen to `count` images.

        Geometry is drawn first, then what is on of the rest in the order of `Changes`.
        """
        coefficients = self._draw_geometry(rng, count)
        widths = blurs = None
        if self.pen:
            widths = np.clip(self.pen * _normal(rng, count), MIN_WIDENING, MAX_WIDENING)
        if self.blur:
            blurs = np.minimum(2 * (self.blur * _normal(rng, count)) ** 2, np.float32(1))
        return Changes(coefficients, widths, blurs)

    def apply(self, images: np.ndarray, changes: Changes) -> np.ndarray:
        """Images (N, S, S) uint8, changed: first the pen's width, then blur, then geometry."""
        size = images.shape[1]
        tall = tall_picture(images)
        if changes.widths is not None:
            change_width(tall, size, changes.widths)
        if changes.blurs is not None:
            blur(tall, size, changes.blurs)
        return warp(tall, changes.coefficients, size)

    def _draw_geometry(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Coefficients of the affine and the elastic map, (2, count, 3 + grid^2) float32."""
        angle, slant, log_w, log_h, *move = rng.standard_normal((6, count)).astype(np.float32)
        angle = np.deg2rad(self.rotation) * angle
        width, height = np.exp(self.scale * log_w), np.exp(self.scale * log_h)
        cos, sin = np.cos(angle), np.sin(angle)
        slant = self.shear * slant
        coefficients = np.empty((2, count, 3 + self.grid**2), np.float32)
        coefficients[0, :, 0] = self.shift * move[0]
        coefficients[0, :, 1] = width * cos
        coefficients[0, :, 2] = width * (slant * cos - sin)
        coefficients[1, :, 0] = self.shift * move[1]
        coefficients[1, :, 1] = height * sin
        coefficients[1, :, 2] = height * (slant * sin + cos)
        bumps = rng.standard_normal((2, count, self.grid**2), dtype=np.float32)
        np.multiply(bumps, np.float32(self.elastic), out=coefficients[:, :, 3:])
        return coefficients


def _normal(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.standard_normal(count, np.float32)


_TALLEST = 32_000  # OpenCV's remap takes no picture taller than 32,767
_MARGIN = 4  # columns of paper on the right: pixels beyond the picture's edge cost remap twice


def tall_picture(images: np.ndarray) -> np.ndarray:
    """Images (N, S, S) uint8 on paper of their own, (N, S + 2, S + 4), for one call on them all.

    Row by row, every image has paper (0) before, behind, above and below it, so that what looks
    one pixel around itself meets no other image. Image n is [n, 1:-1, :S] of the result.
    """
    count, size, _ = images.shape
    tall = np.zeros((count, size + 2, size + _MARGIN), np.uint8)
    tall[:, 1:-1, :size] = images
    return tall


def warp(tall: np.ndarray, coefficients: np.ndarray, size: int) -> np.ndarray:
    """Images (N, S, S) uint8 fetched bilinearly from a tall picture of them, paper flowing in.

    coefficients: (2, N, 3 + grid^2) float32 of `basis`. coefficients @ basis says, measured from
    the image's centre, the x and the y that each target pixel comes from.
    """
    count, height, width = tall.shape
    functions = basis(size, round((coefficients.shape[2] - 3) ** 0.5))
    x, y = coefficients @ functions
    x += np.float32((size - 1) / 2)
    y += np.float32((size + 1) / 2)
    np.clip(y, np.float32(0), np.float32(height - 1), out=y)
    y += (np.arange(count, dtype=np.float32) * np.float32(height))[:, None]
    moved = np.empty((count, size * size), np.uint8)
    images = _TALLEST // height
    for start in range(0, count, images):
        part = slice(start, start + images)
        cv2.remap(
            tall[part].reshape(-1, width),
            x[part],
            y[part] - np.float32(start * height) if start else y[part],
            cv2.INTER_LINEAR,
            dst=moved[part],
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0,
        )
    return moved.reshape(count, size, size)


@lru_cache(maxsize=8)
def basis(size: int, grid: int) -> np.ndarray:
    """(3 + grid^2, size^2) float32: 1, x and y from the centre, and bumps of unit deviation."""
    axis = np.arange(size) - (size - 1) / 2
    y, x = (each.reshape(-1) for each in np.meshgrid(axis, axis, indexing="ij"))
    nodes = np.linspace(axis[0], axis[-1], grid)
    spacing = nodes[1] - nodes[0]
    rows, cols = (each.reshape(-1) for each in np.meshgrid(nodes, nodes, indexing="ij"))
    squares = (x - cols[:, None]) ** 2 + (y - rows[:, None]) ** 2
    bumps = np.exp(-0.5 * squares / (0.75 * spacing) ** 2)
    bumps /= np.sqrt((bumps**2).sum(axis=0))  # so that unit coefficients displace by one pixel
    return np.concatenate([np.ones_like(x)[None], x[None], y[None], bumps]).astype(np.float32)
