"""Pixels of any kind as grey levels: ranges stretched to eight bits, transparency laid on paper."""

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.system.opencv import cv2

MIN_SIDE = 4  # pixels: shorter side of a picture
STRIP = 2**20  # numbers: converted at a time, for their floating-point copies are large

MIN_COLOUR = 40  # levels: between the channels of a pixel that has a colour
MIN_SPREAD = 128  # grey levels: what is visible spans as much if it holds paper and ink
TAIL_OF_PAGE = 0.001  # of the visible pixels: left out at either end, where most is visible
TAIL_OF_LETTER = 0.05  # of the visible pixels: the same where less is


def grey_levels(image: np.ndarray) -> np.ndarray:
    """A picture (H, W[, 1|3|4]) of numbers as (H, W) uint8.

    uint8 stays as it is. Wider whole numbers fill as many bits as their largest needs, at least 8;
    floating-point numbers range over 0 to 1, over 0 to 255, or from their least to their largest;
    truth values and whole numbers that are 0 and 1 alone are black and white. What is transparent
    becomes white or black, whichever shows the visible ink.
    Other shapes and dtypes, NaN and infinities raise InputError.
    """
    channels = 1 if image.ndim == 2 else image.shape[2] if image.ndim == 3 else 0
    usable = channels in (1, 3, 4) and image.dtype.kind in "buif"
    if not usable or min(image.shape[:2]) < MIN_SIDE:
        raise InputError(
            f"picture: shape {image.shape} of {image.dtype} cannot be used; give (H, W), (H, W, 3) "
            f"or (H, W, 4) of numbers, at least {MIN_SIDE} pixels a side"
        )
    if channels == 4:
        colours, alpha = _eight_bits(image[:, :, :3]), _eight_bits(image[:, :, 3])
        return _on_paper(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY), alpha)
    levels = _eight_bits(image)
    if channels == 3:
        return cv2.cvtColor(levels, cv2.COLOR_RGB2GRAY)
    return levels.reshape(image.shape[:2])


def colour_levels(image: np.ndarray) -> np.ndarray:
    """A picture (H, W[, 1|3|4]) of numbers as (H, W, 3) uint8, by the ranges of `grey_levels`.

    Grey becomes three equal channels. What is transparent becomes white. Raises InputError as
    `grey_levels` does.
    """
    if image.ndim < 3 or image.shape[2] == 1:
        return np.stack([grey_levels(image)] * 3, axis=2)
    grey_levels(image[:MIN_SIDE, :MIN_SIDE])  # raises for what is no picture
    levels = _eight_bits(image[:, :, :3])
    if image.shape[2] == 3:
        return levels
    share = _eight_bits(image[:, :, 3:]).astype(np.float32) / 255
    return np.rint(levels * share + 255 * (1 - share)).astype(np.uint8)


def has_colours(pixels: np.ndarray) -> bool:
    """Whether numbers (..., 3) or (..., 4) are colours, rather than grey levels three times."""
    if pixels.ndim < 3 or pixels.shape[-1] not in (3, 4):
        return False
    levels = _eight_bits(pixels[..., :3]).astype(np.int16)
    return bool(np.ptp(levels, axis=-1).max() >= MIN_COLOUR)


def _eight_bits(numbers: np.ndarray) -> np.ndarray:
    """Numbers of any shape as uint8, contiguous."""
    if numbers.dtype == np.uint8:
        return np.ascontiguousarray(numbers)
    low, high = _range(numbers)
    if numbers.dtype.kind in "ui" and (low, high) == (0, 65535):
        return np.ascontiguousarray((numbers // 257).astype(np.uint8))
    result = np.empty(numbers.shape, np.uint8)
    scale = 255 / ((high - low) or 1)
    rows = max(1, STRIP * len(numbers) // numbers.size)
    for top in range(0, len(numbers), rows):
        part = numbers[top : top + rows].astype(np.float64)
        result[top : top + rows] = np.rint((part - low) * scale)
    return result


def _range(numbers: np.ndarray) -> tuple[float, float]:
    """The numbers that become 0 and 255."""
    if numbers.dtype.kind == "f":
        low, high = float(numbers.min()), float(numbers.max())
        if not np.isfinite(high - low):
            raise InputError("picture: holds NaN or infinities; give finite numbers")
        ranges = ((0.0, 1.0), (0.0, 255.0))
        return next((r for r in ranges if r[0] <= low and high <= r[1]), (low, high))
    least, most = int(numbers.min()), int(numbers.max())
    if least < 0:  # signed: the range of a sign and as many bits
        half = 2 ** max(7, most.bit_length(), (-least - 1).bit_length())
        return -half, half - 1
    return 0, 1 if most <= 1 else 2 ** max(8, most.bit_length()) - 1


def _on_paper(grey: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Levels (H, W) uint8 laid by their opacity (H, W) uint8 on white or on black paper."""
    opaque = int(alpha.max())
    if alpha.min() == 255:
        return grey
    _, visible = cv2.threshold(alpha, opaque // 2, 255, cv2.THRESH_BINARY)
    levels = cv2.multiply(grey, alpha, scale=1 / 255)
    if opaque and not _shows_on_white(grey, visible):
        return levels
    return cv2.add(levels, cv2.bitwise_not(alpha))


def _shows_on_white(grey: np.ndarray, visible: np.ndarray) -> bool:
    """Whether the ink shows better on white paper than on black. visible: 255 where it counts.

    Where ink alone is visible, as of a letter cut out, the paper has to differ from it. Where paper
    is visible too, as of a sheet with round corners, it is continued from its edge.
    """
    counts = cv2.calcHist([grey], [0], visible, [256], [0, 256]).reshape(-1).astype(np.float64)
    share = np.cumsum(counts) / counts.sum()
    tail = TAIL_OF_PAGE if 2 * counts.sum() > grey.size else TAIL_OF_LETTER
    low, high = np.searchsorted(share, (tail, 1 - tail))
    if high - low < MIN_SPREAD:
        return bool(counts @ np.arange(256) < 127.5 * counts.sum())
    inner = cv2.erode(visible, np.ones((3, 3), np.uint8))
    edge = cv2.subtract(visible, inner)
    return bool(cv2.mean(grey, edge if edge.any() else visible)[0] > 127.5)
