"""`ya` and `yar`: one ring in two sizes, which only the height of the line tells apart."""

from collections.abc import Sequence

import numpy as np

RING = ("ya", "yar")
YA_HEIGHT, YA_SPREAD = 0.5, 0.12  # heights of a line: mean and deviation of `ya`
FULL_HEIGHT, FULL_SPREAD = 1.0, 0.2  # heights of a line: mean and deviation of other letters


def fit(height: float, class_names: Sequence[str]) -> np.ndarray:
    """The log-likelihood of a letter's height, in heights of its line, for each class: (K,).

    `ya` and `yar` both get the better of their two, for the network sees no size.
    """
    full, low = _misfits(height)
    return -np.where(np.isin(class_names, RING), min(full, low), full)


def shared_out(rows: np.ndarray, height: float | None, class_names: Sequence[str]) -> np.ndarray:
    """Probabilities (N, K) in which `ya` and `yar` share their sum by a letter's height.

    height: in heights of its line; None where there is no line, and both get half.
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
    """Half the squared deviation from a full letter's height, and from that of `ya`."""
    full, low = (height - FULL_HEIGHT) / FULL_SPREAD, (height - YA_HEIGHT) / YA_SPREAD
    return full**2 / 2, low**2 / 2
