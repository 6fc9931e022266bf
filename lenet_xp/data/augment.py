"""Affine and elastic distortion: one matrix product makes the maps, one remap moves the pixels."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lenet_xp.opencv import cv2


@dataclass(frozen=True)
class Distortion:
    """How strongly training images are distorted; each strength is a standard deviation.

    rotation: degrees. shear: tangent of the slant. scale: log of the size, each axis by itself.
    shift: pixels. elastic: pixels, of a smooth random displacement (Simard et al. 2003) that is
    the sum of grid x grid Gaussian bumps.
    """

    rotation: float = 0.0
    shear: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    elastic: float = 0.0
    grid: int = 4

    def __post_init__(self):
        strengths = (self.rotation, self.shear, self.scale, self.shift, self.elastic)
        if min(strengths) < 0 or not all(map(math.isfinite, strengths)) or self.grid < 2:
            raise ValueError("strengths of a distortion are not negative, its grid at least 2")

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Coefficients (2, count, 3 + grid^2) float32 of `basis`: source x and y for each image.

        An image's map is coefficients @ basis: where in the source each target pixel comes from.
        """
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

    def apply(self, images: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Images (N, S, S) uint8 moved by their maps, bilinearly, paper (0) flowing in."""
        count, size, _ = images.shape
        maps = coefficients @ basis(size, self.grid)
        # All images stand in one tall picture with a line of paper above and below each, so that
        # one call serves the batch and no image leaks into the next.
        tall = np.zeros((count, size + 2, size), np.uint8)
        tall[:, 1:-1] = images
        x, y = maps
        x += np.float32((size - 1) / 2)
        y += np.float32((size + 1) / 2)
        np.clip(y, np.float32(0), np.float32(size + 1), out=y)
        y += (np.arange(count, dtype=np.float32) * np.float32(size + 2))[:, None]
        shape = (count * size, size)
        moved = np.empty(shape, np.uint8)
        rows = (_REMAP_LIMIT // (size + 2)) * size  # OpenCV takes no picture taller than 32,767
        for start in range(0, shape[0], rows):
            top = start // size * (size + 2)
            part = slice(start, start + rows)
            source = tall.reshape(-1, size)[top : top + _REMAP_LIMIT]
            moved[part] = cv2.remap(
                source,
                x.reshape(shape)[part],
                y.reshape(shape)[part] - np.float32(top) if top else y.reshape(shape)[part],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=0,
            )
        return moved.reshape(count, size, size)


_REMAP_LIMIT = 32_000


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
