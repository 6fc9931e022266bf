"""Learning rates over a run: functions of the step, 0 .. steps - 1."""

import math
from collections.abc import Callable

Schedule = Callable[[int], float]


def constant(peak: float, steps: int) -> Schedule:
    """The same rate throughout."""
    return lambda step: peak


def step_decay(peak: float, steps: int, factor: float = 0.1, drops: int = 2) -> Schedule:
    """Multiplied by `factor` at `drops` evenly spaced moments of the run."""
    return lambda step: peak * factor ** (step * (drops + 1) // max(steps, 1))


def cosine(peak: float, steps: int, floor: float = 0.0) -> Schedule:
    """From the peak to floor * peak along half a cosine (Loshchilov & Hutter 2017)."""

    def rate(step: int) -> float:
        progress = step / max(steps - 1, 1)
        return peak * (floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress)))

    return rate


def one_cycle(peak: float, steps: int, warm_up: float = 0.25, start: float = 0.04) -> Schedule:
    """Up from start * peak for a share `warm_up` of the run, then down to zero, along cosines.

    Source: Smith & Topin 2018, with cosine sides.
    """
    top = max(round(warm_up * steps), 1)

    def rate(step: int) -> float:
        if step < top:
            return peak * (1.0 - (1.0 - start) * 0.5 * (1.0 + math.cos(math.pi * step / top)))
        progress = (step - top) / max(steps - top, 1)
        return peak * 0.5 * (1.0 + math.cos(math.pi * progress))

    return rate


def published(peak: float, steps: int) -> Schedule:
    """The rates of LeCun et al. 1998, section III.B, for a peak of 0.0005 in twenty passes.

    0.0005 in the first two, 0.0002 in three, 0.0001 in three, 0.00005 in four, then 0.00001.
    """
    factors = [1.0] * 2 + [0.4] * 3 + [0.2] * 3 + [0.1] * 4 + [0.02] * 8
    return lambda step: peak * factors[min(step * len(factors) // max(steps, 1), 19)]


SCHEDULES = {"constant": constant, "step": step_decay, "cosine": cosine, "one-cycle": one_cycle}
SCHEDULES["1998"] = published
