"""Formats of a record's values in sentences and tables."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def percent(share: float, digits: int = 2) -> str:
    """A share from 0 to 1: "99.61 %"."""
    return f"{100 * share:.{digits}f} %"


def count(number: float) -> str:
    """A whole number with its thousands apart: "25,740"."""
    return f"{round(number):,}"


def interval(ends: Sequence[float]) -> str:
    """Two shares: "99.40 to 99.75 %"."""
    low, high = ends
    return f"{100 * low:.2f} to {percent(high)}"


def spread(found: Mapping[str, Any]) -> str:
    """The mean of several runs with the sample deviation: "99.58 ± 0.04 %"."""
    if found["deviation"] is None:
        return percent(found["mean"])
    return f"{100 * found['mean']:.2f} ± {percent(found['deviation'])}"


def points(difference: float) -> str:
    """A difference of shares in words: "1.02 points lower"."""
    return f"{abs(100 * difference):.2f} points {'lower' if difference < 0 else 'higher'}"


FORMATS: dict[str, Callable[[Any], str]] = {
    "text": str,
    "percent": percent,
    "count": count,
    "spread": spread,
    "lowest": lambda found: percent(found["min"]),
    "highest": lambda found: percent(found["max"]),
    "n": lambda found: count(found["n"]),
}
