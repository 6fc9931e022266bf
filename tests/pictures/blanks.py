"""Pictures without ink, each by its name: what paper, light, sensors and codecs make."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from lenet_xp.system.opencv import cv2

Blank = Callable[[int, int, np.random.Generator], np.ndarray]


def _whole(levels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _flat(level: int) -> Blank:
    return lambda h, w, rng: np.full((h, w), level, np.uint8)


def _noise(level: float, sigma: float, grain: float = 0.0) -> Blank:
    """Normal noise; grain: pixels over which it is alike."""

    def make(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
        noise = rng.normal(0, 1, (h, w))
        if grain:
            noise = cv2.GaussianBlur(noise, (0, 0), grain)
        return _whole(level + sigma * noise / noise.std())

    return make


def _light(depth: float, sigma: float, corners: bool) -> Blank:
    """Light that falls off by `depth` levels from one side to the other, or to the corners."""

    def make(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
        y, x = np.mgrid[0 : 1 : h * 1j, 0 : 1 : w * 1j]
        fall = 2 * ((x - 0.45) ** 2 + (y - 0.55) ** 2) if corners else (x + y) / 2
        return _whole(250 - depth * fall + rng.normal(0, 1, (h, w)) * sigma)

    return make


def _jpeg(make: Blank, quality: int) -> Blank:
    def compressed(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(make(h, w, rng)).save(buffer, "jpeg", quality=quality)
        return np.asarray(Image.open(buffer))

    return compressed


def _dead_pixel(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
    picture = np.full((h, w), 240, np.uint8)
    picture[h // 2, w // 3] = 0
    return picture


def _alpha(colour: int, alpha: int) -> Blank:
    return lambda h, w, rng: np.full((h, w, 4), (colour, colour, colour, alpha), np.uint8)


def _deep(level: int, sigma: float) -> Blank:
    return lambda h, w, rng: (level + rng.normal(0, sigma, (h, w))).clip(0, 65535).astype(np.uint16)


BLANKS: dict[str, Blank] = {
    "white": _flat(255),
    "black": _flat(0),
    "grey": _flat(128),
    "coloured": lambda h, w, rng: np.full((h, w, 3), (200, 30, 90), np.uint8),
    "paper, fine noise": _noise(238, 2),
    "paper, noise": _noise(235, 5),
    "paper in poor light": _noise(120, 9),
    "a sensor at night": _noise(14, 7),
    "a sensor at its limit": _noise(128, 25),
    "grained paper": _noise(228, 4, 0.7),
    "coarse paper": _noise(225, 5, 1.2),
    "blurred noise": _noise(220, 6, 1.8),
    "board": _noise(60, 5, 1.0),
    "noise of all levels": lambda h, w, rng: rng.integers(0, 256, (h, w)).astype(np.uint8),
    "JPEG of paper": _jpeg(_noise(230, 6), 75),
    "JPEG of paper, strong": _jpeg(_noise(230, 6), 25),
    "JPEG of a vignette": _jpeg(_light(60, 3, True), 60),
    "faint gradient": _light(25, 0, False),
    "faint gradient, noise": _light(25, 3, False),
    "gradient": _light(110, 2, False),
    "steep gradient": _light(230, 2, False),
    "faint vignette": _light(20, 0, True),
    "vignette, noise": _light(70, 4, True),
    "strong vignette": _light(130, 3, True),
    "one dead pixel": _dead_pixel,
    "transparent black": _alpha(0, 0),
    "transparent white": _alpha(255, 0),
    "half transparent": _alpha(40, 128),
    "16 bits, white": _deep(65535, 0),
    "16 bits, paper": _deep(60000, 400),
    "16 bits, dark": _deep(300, 60),
    "12 bits, paper": _deep(3900, 60),
    "true everywhere": lambda h, w, rng: np.ones((h, w), bool),
    "floating point, paper": lambda h, w, rng: 0.9 + rng.normal(0, 0.01, (h, w)),
    "signed, paper": lambda h, w, rng: rng.normal(900, 20, (h, w)).astype(np.int16),
}
