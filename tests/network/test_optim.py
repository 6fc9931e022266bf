"""The optimisers against scalar textbook formulas; references/ holds PyTorch's results."""

import numpy as np
import oracle
import pytest
from tolerances import assert_close

from lenet_xp.optim import SDLM, SGD, Adam

RATES = [0.1, 0.1, 0.05, 0.2, 0.01]
GRADIENTS = np.random.default_rng(0).normal(size=(5, 9)) * [1, 1e-3, 10, 0, 1, 1, 1, 1, 1]
START = np.random.default_rng(1).normal(size=9)
SGD_SETTINGS = [
    {"momentum": m, "nesterov": n, "weight_decay": d}
    for m, n in ((0.0, False), (0.9, False), (0.9, True))
    for d in (0.0, 0.1)
]
ADAM_SETTINGS = [
    {"betas": b, "epsilon": e, "weight_decay": d, "decoupled": c}
    for b, e in (((0.9, 0.999), 1e-8), ((0.5, 0.7), 1e-3))
    for d, c in ((0.0, False), (0.1, False), (0.1, True))
]


def run(ops, make) -> tuple:
    """The values after every step with the gradients above, and the optimiser."""
    values, gradients = ops.asarray(START.copy()), ops.zeros((9,))
    optimiser = make(values, gradients)
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        gradients[...] = ops.asarray(gradient)
        optimiser.step(rate)
        assert np.array_equal(ops.to_host(gradients), ops.to_host(ops.asarray(gradient)))
    assert optimiser.values is values  # written into, never rebound
    return values, optimiser


@pytest.mark.parametrize("settings", SGD_SETTINGS, ids=str)
def test_sgd(ops, settings):
    values, _ = run(ops, lambda v, g: SGD(ops, v, g, **settings))
    arguments = RATES, *settings.values()
    expected = [oracle.sgd(v, list(g), *arguments) for v, g in zip(START, GRADIENTS.T, strict=True)]
    assert_close(ops, values, np.array(expected))


@pytest.mark.parametrize("settings", ADAM_SETTINGS, ids=str)
def test_adam(ops, settings):
    values, optimiser = run(ops, lambda v, g: Adam(ops, v, g, **settings))
    arguments = RATES, *settings.values()
    expected = [
        oracle.adam(v, list(g), *arguments) for v, g in zip(START, GRADIENTS.T, strict=True)
    ]
    assert_close(ops, values, np.array(expected))
    assert optimiser.steps == len(RATES)
    assert optimiser.mean.dtype == optimiser.square.dtype == ops.dtype


def test_defaults_are_the_papers(ops):
    values, _ = run(ops, lambda v, g: Adam(ops, v, g))
    expected = [
        oracle.adam(v, list(g), RATES, (0.9, 0.999), 1e-8, 0.0, False)
        for v, g in zip(START, GRADIENTS.T, strict=True)
    ]
    assert_close(ops, values, np.array(expected))
    values, optimiser = run(ops, lambda v, g: SGD(ops, v, g))
    assert_close(ops, values, START - np.array(RATES) @ GRADIENTS)
    assert optimiser.velocity is None


@pytest.mark.parametrize(
    "cls, settings",
    [
        (SGD, {"momentum": 1.0}),
        (SGD, {"momentum": -0.1}),
        (SGD, {"weight_decay": -1e-4}),
        (SGD, {"nesterov": True}),
        (Adam, {"betas": (0.9, 1.0)}),
        (Adam, {"betas": (-0.1, 0.9)}),
        (Adam, {"epsilon": 0.0}),
        (Adam, {"weight_decay": -1e-4}),
    ],
)
def test_wrong_settings(ops, cls, settings):
    with pytest.raises(ValueError, match=r"must|needs"):
        cls(ops, ops.zeros((3,)), ops.zeros((3,)), **settings)


def test_sdlm(ops):
    """value -= rate * gradient / (mu + h), with the h of before each pass."""
    h = np.abs(GRADIENTS[::-1] * 3)

    def make(values, gradients):
        optimiser = SDLM(ops, values, gradients, mu=0.05)
        assert list(ops.to_host(optimiser.moments()["inverse"])) == pytest.approx([20.0] * 9)
        optimiser.measured(ops.asarray(h[0]))
        return optimiser

    values, optimiser = run(ops, make)
    expected = [
        v - sum(RATES * g) / (0.05 + c) for v, g, c in zip(START, GRADIENTS.T, h[0], strict=True)
    ]
    assert_close(ops, values, np.array(expected))
    optimiser.measured(ops.asarray(h[1]))
    assert_close(ops, optimiser.moments()["inverse"], 1 / (0.05 + h[1]))
