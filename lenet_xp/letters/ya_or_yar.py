"""`ya` and `yar`: one ring in two sizes, told apart by the height of the line or not at all."""

from collections.abc import Sequence

import numpy as np

RING = ("ya", "yar")
SMALL, SMALL_SPREAD = 0.5, 0.12  # height of `ya` on a line of height 1, and how far hands stray
FULL, FULL_SPREAD = 1.0, 0.2  # of every other letter


def fit(height: float, class_names: Sequence[str]) -> np.ndarray:
    """The logarithm of how well a height, in lines' heights, suits each class: (K,).

    Those of one ring get the better of both, for the network sees no size.
    """
    full, low = _misfits(height)
    return -np.where(np.isin(class_names, RING), min(full, low), full)


def shared_out(rows: np.ndarray, height: float | None, class_names: Sequence[str]) -> np.ndarray:
    """Probabilities (N, K), what they give to both sizes together shared out by the height.

    height: in lines' heights; None where no line tells, and both get half.
    """
    if not set(RING) <= set(class_names):
        return rows
    ya, yar = (list(class_names).index(name) for name in RING)
    share = 0.5
    if height is not None:
        full, low = _misfits(height)
        share = float(1 / (1 + np.exp(np.clip(low - full, -30, 30))))
    rows = rows.copy()
    total = rows[:, ya] + rows[:, yar]
    rows[:, ya], rows[:, yar] = share * total, (1 - share) * total
    return rows


def _misfits(height: float) -> tuple[float, float]:
    """Of the full height and of the small one: half the squared deviations."""
    return ((height - FULL) / FULL_SPREAD) ** 2 / 2, ((height - SMALL) / SMALL_SPREAD) ** 2 / 2
