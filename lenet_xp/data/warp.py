"""Geometry of a batch: one matrix product makes the maps, one remap moves the pixels."""

from functools import lru_cache

import numpy as np

from lenet_xp.opencv import cv2

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
