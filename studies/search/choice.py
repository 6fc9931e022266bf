"""The effect of each option over the runs of a search, and the choice of options."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from studies.search.design import OPTIONS

MIN_EFFECT = 2.0  # standard errors: an option with a larger effect is chosen


@dataclass(frozen=True)
class Choice:
    """Effects on accuracy by option, their standard error, and the chosen options."""

    effects: dict[str, float]
    error: float
    options: tuple[str, ...]


def choose(rows: Sequence[dict[str, Any]]) -> Choice:
    """Choose the options whose effect is above twice its standard error.

    rows: the runs of all combinations, each with `options`, `validating` and `accuracy`. The model
    of accuracy is a sum of a term for the validation writers, the effects of the options, and
    noise, whose variance is estimated from the residuals (least squares). Raises ValueError for
    rows that do not determine the effects.
    """
    names = tuple(OPTIONS)
    on = np.array([[name in row["options"] for name in names] for row in rows], float)
    validating = np.array([row["validating"] for row in rows])
    writers = (validating[:, None] == np.unique(validating)).astype(float)
    system = np.hstack([on, writers])
    spare = len(rows) - np.linalg.matrix_rank(system)
    if spare < 1 or np.linalg.matrix_rank(system) < system.shape[1]:
        raise ValueError("the runs cannot tell the effects of the options apart")
    accuracy = np.array([row["accuracy"] for row in rows])
    solution, residuals, *_ = np.linalg.lstsq(system, accuracy, rcond=None)
    variance = float(residuals[0]) / spare
    error = float(np.sqrt(variance * np.linalg.inv(system.T @ system)[0, 0]))
    effects = dict(zip(names, map(float, solution), strict=False))
    return Choice(
        effects, error, tuple(name for name in names if effects[name] > MIN_EFFECT * error)
    )
