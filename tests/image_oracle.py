"""The expected effects of augmentation, computed pixel by pixel.

Nothing here imports the package. Images are float64 (S, S), ink 255 on unbounded
paper 0; levels are not rounded.
"""

import math

import numpy as np


def level(image: np.ndarray, row: int, col: int) -> float:
    """A pixel's level, paper outside the image."""
    inside = 0 <= row < len(image) and 0 <= col < len(image)
    return float(image[row, col]) if inside else 0.0


def by_pixel(image: np.ndarray, rule) -> np.ndarray:
    """An image whose every pixel is rule(row, col)."""
    size = range(len(image))
    return np.array([[rule(row, col) for col in size] for row in size])


def nine(image: np.ndarray, row: int, col: int) -> list[float]:
    return [level(image, row + i, col + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]


def width_changed(image: np.ndarray, width: float) -> np.ndarray:
    def rule(row: int, col: int) -> float:
        here = level(image, row, col)
        if width < 0:
            return max(here + 255 * width, 0) / (1 + width)
        return (1 - width) * here + width * max(nine(image, row, col))

    return by_pixel(image, rule)


def blurred(image: np.ndarray, share: float) -> np.ndarray:
    weights = [1, 2, 1, 2, 4, 2, 1, 2, 1]

    def rule(row: int, col: int) -> float:
        pairs = zip(weights, nine(image, row, col), strict=True)
        soft = sum(weight * each for weight, each in pairs) / 16
        return (1 - share) * level(image, row, col) + share * soft

    return by_pixel(image, rule)


def warped(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pixels fetched bilinearly from column x and row y of the image, (S, S) each."""

    def rule(row: int, col: int) -> float:
        left, top = math.floor(x[row, col]), math.floor(y[row, col])
        right, down = x[row, col] - left, y[row, col] - top
        above = (1 - right) * level(image, top, left) + right * level(image, top, left + 1)
        below = (1 - right) * level(image, top + 1, left) + right * level(image, top + 1, left + 1)
        return (1 - down) * above + down * below

    return by_pixel(image, rule)
