"""Fused layers against the plain ones: which runs are fused, and that they give the same."""

import numpy as np
import pytest
from tolerances import NETWORK, assert_close

from lenet_xp.fused import Dense, Stage, fuse
from lenet_xp.layers import (
    AvgPool2D,
    Conv2D,
    Flatten,
    Layer,
    Linear,
    MaxPool2D,
    ReLU,
    ScaledTanh,
    Tanh,
)
from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.ops import Ops


class Everything(Ops):
    """A backend that fuses all that can be fused; nothing is computed with it."""

    fuses_dense = True

    def fuses_stage(self, settings):
        self.settings = settings
        return settings.pool == 2


def kinds(layers: list[Layer]) -> list[str]:
    fused = fuse(layers, Everything(np))
    parts = [part for each in fused for part in getattr(each, "layers", (each,))]
    assert parts == layers  # each layer once, in order
    return [type(each).__name__ for each in fused]


def test_the_runs_of_lenet5():
    fused = ["Stage", "Stage", "Flatten", "Dense", "Dense", "Dense"]
    assert kinds(LeNet5(ops=Ops(np)).layers) == fused
    assert kinds(LeNet5(ops=Ops(np), squash_pools=False).layers) == fused


def test_the_reference_fuses_nothing():
    layers = LeNet5(ops=Ops(np)).layers
    assert fuse(layers, Ops(np)) == layers


@pytest.mark.parametrize(
    "layers, expected",
    [
        ([Conv2D(1, 2, 3), Tanh(), MaxPool2D(2)], ["Conv2D", "Tanh", "MaxPool2D"]),
        ([Conv2D(1, 2, 3), AvgPool2D(2), Tanh()], ["Conv2D", "AvgPool2D", "Tanh"]),
        ([Conv2D(1, 2, 3), Tanh(), AvgPool2D(3)], ["Conv2D", "Tanh", "AvgPool2D"]),
        ([Conv2D(1, 2, 3), Tanh(), AvgPool2D(2), Flatten()], ["Stage", "Flatten"]),
        (
            [Tanh(), Conv2D(1, 2, 3), Tanh(), AvgPool2D(2), Tanh(), Tanh()],
            ["Tanh", "Stage", "Tanh"],
        ),
        ([Linear(3, 2), Linear(2, 2), ReLU(), ReLU()], ["Dense", "Dense", "ReLU"]),
        ([Conv2D(1, 2, 3)], ["Conv2D"]),
    ],
)
def test_which_runs_are_fused(layers, expected):
    assert kinds(layers) == expected


def test_the_settings_of_a_stage():
    ops = Everything(np)
    layers = [Conv2D(3, 4, (2, 5), stride=2, padding=1), ReLU(), AvgPool2D(2), ScaledTanh()]
    (stage,) = fuse(layers, ops)
    assert isinstance(stage, Stage)
    given = vars(ops.settings)
    assert given == {
        "kernels": (4, 3, 2, 5),
        "stride": 2,
        "padding": 1,
        "activation": "relu",
        "pool": 2,
        "squash": "scaled_tanh",
    }


def test_a_dense_layer_may_stand_alone():
    (dense,) = fuse([Linear(3, 2)], Everything(np))
    assert isinstance(dense, Dense) and dense.kind is None


def networks() -> dict[str, tuple[list[Layer], tuple[int, ...]]]:
    return {
        "lenet": (LeNet5(ops=Ops(np), activation="scaled_tanh").layers, (1, 32, 32)),
        "padding": (
            [
                *(Conv2D(2, 5, 3, padding=1), ReLU(), AvgPool2D(3), Flatten()),
                *(Linear(5 * 4 * 3, 6), Tanh(), Linear(6, 4)),
            ],
            (2, 13, 11),
        ),
        "stride": (
            [
                *(Conv2D(1, 3, (4, 2), stride=2), Tanh(), AvgPool2D(2), Tanh()),
                *(Conv2D(3, 4, 2, padding=1), ScaledTanh(), AvgPool2D(1), ReLU()),
                *(Flatten(), Linear(4 * 5 * 6, 3)),
            ],
            (1, 18, 20),
        ),
    }


@pytest.mark.parametrize("name", networks())
def test_a_fused_network_is_the_plain_one(ops, name):
    layers, shape = networks()[name]
    plain = Sequential(layers, shape, ops, fused=False)
    fused = Sequential(networks()[name][0], shape, ops)
    rng = np.random.default_rng(3)
    weights = rng.normal(size=plain.values.shape) * 0.3
    x, labels = rng.normal(size=(*shape, 5)), rng.integers(0, 3, 5)
    for model in (plain, fused):
        model.values[...] = ops.asarray(weights)
        logits = model.forward(ops.asarray(x))
        _, _, dlogits = SoftmaxCrossEntropy(ops)(logits, ops.asarray(labels))
        model.backward(dlogits)
    assert_close(ops, fused.forward(ops.asarray(x)), ops.to_host(logits), NETWORK)
    assert_close(ops, fused.gradients, ops.to_host(plain.gradients), NETWORK)


def test_a_plain_network_passes_every_layers_own_methods(ops, monkeypatch):
    """What a breakpoint in Conv2D.backward needs."""
    model, passed = LeNet5(ops=ops, fused=False), []
    for cls in (Conv2D, Linear, AvgPool2D, Tanh, Flatten):
        own = cls.backward

        def backward(self, dy, own=own):
            passed.append(self.name)
            return own(self, dy)

        monkeypatch.setattr(cls, "backward", backward)
    logits = model.forward(ops.zeros((1, 32, 32, 2)))
    model.backward(logits)
    assert passed == [layer.name for layer in reversed(model.layers)]
