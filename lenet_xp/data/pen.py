"""Stroke width and blur of letters, changed for a whole batch at once and in place; paper is 0.

A batch is a tall picture, where a pixel's neighbours belong to its own image or are paper: an
effect compares the whole picture with itself moved by a pixel or a line.
"""

import numpy as np


def change_width(tall: np.ndarray, size: int, widths: np.ndarray) -> None:
    """Move every edge of the ink outwards by `widths` (N,) pixels, -0.9 to 1; inwards below 0.

    Outwards, images are blended with their 3x3 dilation, the highest of nine neighbours. Inwards,
    levels v become (v - w) / (1 - w) in units of full ink: edges go and full ink stays. A blend
    with the 3x3 erosion, which deletes a stroke of two pixels, would only fade it.
    tall: (N, H, W) uint8 of `tall_picture`. size: S of its images.
    """
    wide, thin = np.flatnonzero(widths > 0), np.flatnonzero(widths < 0)
    if len(wide):
        tall[wide] = _widened(tall[wide], widths[wide])
        _clear_paper(tall, size)
    if len(thin):
        tall[thin] = _thinned(tall[thin], -widths[thin])


def _widened(tall: np.ndarray, widths: np.ndarray) -> np.ndarray:
    difference = _highest_of_nine(tall.reshape(-1), tall.shape[2]).reshape(tall.shape)
    difference -= tall
    shares = np.rint(256 * widths).astype(np.uint16)[:, None, None]
    widened: np.ndarray = tall + _shifted(difference * shares, 8).astype(np.uint8)
    return widened


def _thinned(tall: np.ndarray, widths: np.ndarray) -> np.ndarray:
    taken = np.rint(255 * widths).astype(np.uint8)[:, None, None]
    left = np.maximum(tall, taken)
    left -= taken
    stretch = np.rint(255 * 256 / (255 - taken.astype(np.float32))).astype(np.uint16)
    return _shifted(left * stretch, 8).astype(np.uint8)


def blur(tall: np.ndarray, size: int, shares: np.ndarray) -> None:
    """Blend each image with its 3x3 binomial blur by `shares` (N,), 0 to 1.

    A share s blurs like a Gaussian with a variance of s / 2. tall, size: as in `change_width`.
    """
    flat, width = tall.reshape(-1), tall.shape[2]
    levels = flat.astype(np.int16)
    across = _neighbours_added(levels, 1)
    soft = _shifted(_neighbours_added(across, width), 4)
    soft -= levels
    cells = soft.reshape(len(tall), -1)
    cells *= np.rint(128 * shares).astype(np.int16)[:, None]
    soft = _shifted(soft, 7)
    soft += levels
    flat[:] = soft
    _clear_paper(tall, size)


def _highest_of_nine(flat: np.ndarray, width: int) -> np.ndarray:
    """The 3x3 dilation of a picture whose lines are `width` apart in `flat`."""
    across = flat.copy()
    np.maximum(across[1:], flat[:-1], out=across[1:])
    np.maximum(across[:-1], flat[1:], out=across[:-1])
    highest = across.copy()
    np.maximum(highest[width:], across[:-width], out=highest[width:])
    np.maximum(highest[:-width], across[width:], out=highest[:-width])
    return highest


def _neighbours_added(levels: np.ndarray, step: int) -> np.ndarray:
    """Twice each level, plus the two levels that are `step` away."""
    total: np.ndarray = levels + levels
    total[step:] += levels[:-step]
    total[:-step] += levels[step:]
    return total


def _shifted(values: np.ndarray, bits: int) -> np.ndarray:
    """Whole numbers divided by 2^bits and rounded, in place."""
    values += values.dtype.type(1 << (bits - 1))
    values >>= values.dtype.type(bits)
    return values


def _clear_paper(tall: np.ndarray, size: int) -> None:
    """Clear what has run over the images' edges."""
    tall[:, 0] = tall[:, -1] = 0
    tall[:, :, size:] = 0
