"""Activations f and f' by name: in portable style, and in place for NumPy.

f' is written in y = f(x), so that x need not be kept.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any
Run = Callable[..., Any]  # calls a NumPy function that writes into `out`

AMPLITUDE, STEEPNESS = 1.7159, 2.0 / 3.0  # of the scaled tanh, LeCun et al. 1998, Appendix A

VALUE, SLOPE = 0, 1  # f and f' in an entry of a table

# Each takes an ops object and an array.
ACTIVATIONS: dict[str, tuple[Callable[[Any, Array], Array], Callable[[Any, Array], Array]]] = {
    "tanh": (lambda ops, x: ops.xp.tanh(x), lambda ops, y: 1.0 - y * y),
    "scaled_tanh": (
        lambda ops, x: AMPLITUDE * ops.xp.tanh(STEEPNESS * x),
        lambda ops, y: STEEPNESS * AMPLITUDE - (STEEPNESS / AMPLITUDE) * (y * y),
    ),
    "relu": (
        lambda ops, x: ops.xp.maximum(x, ops.zeros(x.shape)),
        lambda ops, y: ops.as_float(y > 0),
    ),
}


def activation_entry(table: dict[str, Any], kind: str) -> Any:
    """The entry of an activation in a backend's table; ValueError for one that no table has."""
    if kind not in table:
        raise ValueError(f"unknown activation {kind!r}: {', '.join(table)}")
    return table[kind]


def _scaled_tanh(run: Run, dtype: Any, x: Array, out: Array) -> Array:
    run(np.multiply, x, dtype(STEEPNESS), out=out)
    run(np.tanh, out, out=out)
    return run(np.multiply, out, dtype(AMPLITUDE), out=out)


def _slope_of_tanh(run: Run, dtype: Any, y: Array, out: Array) -> Array:
    run(np.multiply, y, y, out=out)
    return run(np.subtract, dtype(1.0), out, out=out)


def _slope_of_scaled_tanh(run: Run, dtype: Any, y: Array, out: Array) -> Array:
    run(np.multiply, y, y, out=out)
    run(np.multiply, out, dtype(STEEPNESS / AMPLITUDE), out=out)
    return run(np.subtract, dtype(STEEPNESS * AMPLITUDE), out, out=out)


def _relu(run: Run, dtype: Any, x: Array, out: Array) -> Array:
    # With a bare 0 np.maximum takes up to three times as long.
    return run(np.maximum, x, np.zeros(x.shape[-2:], dtype), out=out)


# Entries that are worth their own on NumPy. `out` may be the input itself.
IN_PLACE: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "tanh": (lambda run, dtype, x, out: run(np.tanh, x, out=out), _slope_of_tanh),
    "scaled_tanh": (_scaled_tanh, _slope_of_scaled_tanh),
    "relu": (
        _relu,
        lambda run, dtype, y, out: run(np.greater, y, dtype(0.0), out=out, casting="unsafe"),
    ),
}
