"""Checks the gradients of a network against finite differences, for whoever writes a layer."""

from functools import reduce
from typing import Any

import numpy as np

from lenet_xp.layers import Layer, Param
from lenet_xp.model import Sequential
from lenet_xp.ops import Array, get_ops

SLOPES = 40  # taken of each array, at most
STEP = 1e-8  # of parameters and pixels: few units of ReLU are as near to their kink
NOISE = 0.01  # deviation of added noise: at an exact zero, ReLU and max pool have no slope
LIMIT = 1e-5  # largest error of a gradient that is right; rounding makes errors of up to 1e-6
LEAST = 1e-3  # of the terms of the score: errors of smaller slopes are relative to this


class GradientErrors(dict[str, float]):
    """The error of each gradient, as a table; `wrong` names those above LIMIT or not written (NaN).

    `C1.weight` is a parameter, `input` the network's, and `C1.dx` what `C1.backward` alone returns.
    """

    @property
    def wrong(self) -> list[str]:
        return [name for name, error in self.items() if not error <= LIMIT]

    def __repr__(self) -> str:
        width, words = max(map(len, self)), ("WRONG", "right")
        return "\n".join(f"{n:<{width}}  {e:5.1g}  {words[e <= LIMIT]}" for n, e in self.items())


def check_gradients(network: Sequential, *, seed: int = 0) -> GradientErrors:
    """Compare what the layers' `backward` computes with finite differences.

    A copy is checked, in float64 on NumPy: on random images, with a little noise on its parameters.
    What is differentiated is a sum of the outputs with random weights. The entries of an array move
    up or down at random, in SLOPES groups or one by one. Steps forward and back give two slopes,
    which differ at a kink of ReLU or max pool. The error is the distance of the computed slope from
    the two and what lies between, relative to the array's largest slope.
    Raises ValueError for a layer that does not compute in the dtype of its ops.
    """
    rng, ops, errors = np.random.default_rng(seed), get_ops("numpy", "float64"), GradientErrors()
    twin = network.replica(rng.normal(network.ops.to_host(network.values), NOISE), ops=ops)
    x = images = rng.normal(size=(*network.input_shape, 2))
    for layer in twin.layers:
        layer.input_gradient = True
        errors[f"{layer.name}.dx"] = _errors([layer], {}, rng.normal(x, NOISE), rng)["input"]
        x = layer.forward(x.copy())
        if x.dtype != np.float64:
            raise ValueError(f"{layer.name} gives {x.dtype}, but the dtype of its ops is float64")
    if np.isnan([*errors.values()]).any():  # layers before would get no dy
        return errors
    twin.gradients[...] = np.nan  # and so stays what `backward` does not write
    return GradientErrors(_errors(twin.layers, twin.parameters(), images, rng) | errors)


def _errors(layers: list[Layer], params: dict[str, Param], x: Array, rng: Any) -> dict[str, float]:
    """The errors of the gradients of parameters and of the first layer's input."""

    def forward() -> Array:  # of a copy: a layer may work in place
        return reduce(lambda y, layer: layer.forward(y), layers, x.copy())

    pairs, y = {name: (p.value, p.gradient) for name, p in params.items()}, forward()
    dy, errors = rng.normal(size=y.shape), {}
    dx: Any = reduce(lambda dy, layer: layer.backward(dy), reversed(layers), dy.copy())
    pairs["input"] = x, dx if np.shape(dx) == x.shape else np.full(x.shape, np.nan)
    for key, (value, gradient) in pairs.items():
        flat, gaps, slopes = value.reshape(-1), [0.0], [LEAST * np.abs(dy * y).sum()]
        for group in np.array_split(rng.permutation(flat.size), min(flat.size, SLOPES)):
            signs, before, sides = rng.choice((-1.0, 1.0), group.size), flat[group], []
            for move in (STEP, -STEP):
                flat[group] = before + move * signs
                sides.append(np.vdot(dy, forward() - y) / move)
            flat[group] = before
            computed = signs @ gradient.reshape(-1)[group]
            gaps.append(max(computed - max(sides), min(sides) - computed, 0.0))
            slopes += map(abs, (computed, *sides))
        errors[key] = float(np.max(gaps) / np.max(slopes))
    return errors
