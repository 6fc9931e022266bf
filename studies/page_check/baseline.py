"""Ways to find ink that are simpler than ours, each in place of it, for comparison.

Sauvola's threshold and connected components need scikit-image; the others leave one part of ours
out. The sheet, the slope of its rows and the lines of tables are found as ever.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np

from lenet_xp.pages import lines
from lenet_xp.pictures import ink, letter, sheet
from lenet_xp.system.opencv import cv2

K = 0.2  # of Sauvola and Pietikäinen (2000)


def _as_it_is(levels: np.ndarray, dark: bool) -> tuple[np.ndarray, np.ndarray]:
    """A sheet whose ruled lines stay."""
    return levels, np.zeros(levels.shape, np.uint8)


def _inverted(given: sheet.Sheet, kernel: int) -> np.ndarray:
    return np.asarray(255 - given.levels)


def _sauvola(levels: np.ndarray, kernel: int, ruled: np.ndarray) -> ink.Ink:
    """The connected components under Sauvola's threshold, in windows as wide as the kernel."""
    from skimage.filters import threshold_sauvola

    window = min(kernel, min(levels.shape) - 1) // 2 * 2 + 1
    mask = (255 - levels < threshold_sauvola(255 - levels, max(window, 3), K)).astype(np.uint8)
    mask[levels == 0] = 0  # a line of a table, taken out
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    area = stats[:, cv2.CC_STAT_AREA]
    weights = np.where(area >= ink.MIN_AREA, area, 0.0)
    weights[0] = 0
    return ink.Ink(levels, labels, stats[:, :4], weights)


def _no_noise(values: np.ndarray, tile: int, widened: bool = False) -> np.ndarray:
    """In place of the noise of a tile, that of the whole picture."""
    return np.full_like(values, np.median(values))


def _all_sharp(levels: np.ndarray, mask: np.ndarray, *others: object) -> np.ndarray:
    return np.asarray(np.bool_(True))


_Patch = tuple[object, str, Callable[..., object]]
_RULED: list[_Patch] = [(sheet, "remove_ruled_lines", _as_it_is)]
_EVERYWHERE = (lines, letter)
WAYS: dict[str, list[_Patch]] = {
    "ours": [],
    "sauvola": _RULED
    + [(module, "find_ink", _sauvola) for module in _EVERYWHERE]
    + [(module, "darkness", _inverted) for module in _EVERYWHERE],
    "sauvola, ruled lines removed": [(module, "find_ink", _sauvola) for module in _EVERYWHERE]
    + [(module, "darkness", _inverted) for module in _EVERYWHERE],
    "ruled lines stay": _RULED,
    "one noise for all": [(ink, "_tile_medians", _no_noise)],
    "no test of rims": [(ink, "_have_sharp_rims", _all_sharp)],
}


@contextmanager
def found_by(way: str) -> Iterator[None]:
    """Ink is found by one of WAYS while this is open."""
    with ExitStack() as stack:
        for where, name, other in WAYS[way]:
            stack.enter_context(patch.object(where, name, other))
        yield
