"""Affine and elastic distortion of training images: its strengths and what is drawn."""

import math
from dataclasses import dataclass

import numpy as np

from lenet_xp.data.warp import tall_picture, warp


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
        """Coefficients (2, count, 3 + grid^2) float32 of `warp.basis`: source x and y of each.

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
        return warp(tall_picture(images), coefficients, images.shape[1])
