"""How training images are varied as writers, pens and cameras vary them: strengths and order."""

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from lenet_xp.data.pen import (
    NOISE_STARTS,
    add_noise,
    blur,
    change_tone,
    change_width,
)
from lenet_xp.data.warp import tall_picture, warp

THINNEST, WIDEST = -0.5, 1.0  # pixels that a pen's edges move at most: no letter may vanish
FINEST_GRID = 32  # a bump for each pixel
LOG_TONE = math.log(4.0)  # gain and gamma lie between a quarter and four


class Changes(NamedTuple):
    """What is to happen to N images: all that is random about it, float32; None for nothing.

    coefficients: (2, N, 3 + grid^2) of `warp.basis`. widths: (N,) of `pen.change_width`.
    blurs: (N,), the shares of `pen.blur`. tones: (2, N), log of the gain, and gamma, of
    `pen.change_tone`. noise: deviations (N,) and starts (N,) int64 of `pen.add_noise`.
    """

    coefficients: np.ndarray
    widths: np.ndarray | None = None
    blurs: np.ndarray | None = None
    tones: np.ndarray | None = None
    noise: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True)
class Distortion:
    """How strongly training images are distorted; each strength is a standard deviation.

    rotation: degrees. shear: tangent of the slant. scale: log of the size, each axis by itself.
    shift: pixels. elastic: pixels, of a smooth random displacement (Simard et al. 2003) that is
    the sum of grid x grid Gaussian bumps.
    crop: pixels that each side of the frame moves, by itself, before the letter is stretched to it.
    pen: pixels that the ink's edges move. gain, gamma: logs of the ink's factor and exponent.
    blur: pixels, sigma of a Gaussian. noise: grey levels, sigma of what is added. Of these two the
    absolute value of what is drawn counts, so that most images stay sharp and clean.
    Each of the last six draws nothing and costs nothing while it is 0.
    """

    rotation: float = 0.0
    shear: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    elastic: float = 0.0
    grid: int = 4
    crop: float = 0.0
    pen: float = 0.0
    blur: float = 0.0
    gain: float = 0.0
    gamma: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        strengths = [getattr(self, field.name) for field in fields(self) if field.name != "grid"]
        if min(strengths) < 0 or not all(map(math.isfinite, strengths)):
            raise ValueError("strengths of a distortion are not negative")
        if type(self.grid) is not int or not 2 <= self.grid <= FINEST_GRID:
            raise ValueError(f"the grid of a distortion is from 2 to {FINEST_GRID}")

    @property
    def geometric(self) -> bool:
        """Whether it moves pixels alone: `Changes` are then nothing but coefficients."""
        return not any((self.pen, self.blur, self.gain, self.gamma, self.noise))

    def draw(self, rng: np.random.Generator, count: int, size: int = 32) -> Changes:
        """What is to happen to `count` images of `size` x `size`.

        Geometry is drawn first, then what is on of the rest in the order of `Changes`.
        """
        coefficients = self._draw_geometry(rng, count)
        if self.crop:
            _crop(coefficients, self.crop * _normal(rng, 4, count), size)
        widths = blurs = tones = noise = None
        if self.pen:
            widths = np.clip(self.pen * _normal(rng, count), THINNEST, WIDEST)
        if self.blur:
            blurs = np.minimum(2 * (self.blur * _normal(rng, count)) ** 2, np.float32(1))
        if self.gain or self.gamma:
            tones = _normal(rng, 2, count) * np.array([[self.gain], [self.gamma]], np.float32)
            np.clip(tones, -LOG_TONE, LOG_TONE, out=tones)
            np.exp(tones[1], out=tones[1])
        if self.noise:
            deviations = np.abs(self.noise * _normal(rng, count))
            noise = deviations, rng.integers(0, NOISE_STARTS, count)
        return Changes(coefficients, widths, blurs, tones, noise)

    def apply(self, images: np.ndarray, changes: Changes) -> np.ndarray:
        """Images (N, S, S) uint8, changed: the pen writes, the hand bends, the camera looks."""
        size = images.shape[1]
        tall = tall_picture(images)
        if changes.widths is not None:
            change_width(tall, size, changes.widths)
        if changes.blurs is not None:
            blur(tall, size, changes.blurs)
        moved = warp(tall, changes.coefficients, size)
        if changes.tones is not None:
            change_tone(moved, *changes.tones)
        if changes.noise is not None:
            add_noise(moved, *changes.noise)
        return moved

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


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)


def _crop(coefficients: np.ndarray, outwards: np.ndarray, size: int) -> None:
    """Move the frame's left, right, top and bottom side outwards by (4, N) pixels, in place."""
    before, after = outwards.reshape(2, 2, -1).transpose(1, 2, 0)  # (N, 2) each, x and y
    linear = coefficients[:, :, 1:3]
    coefficients[:, :, 0] += (linear * (after - before)).sum(axis=2) / 2
    linear *= 1 + (before + after) / size
