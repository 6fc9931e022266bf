"""Runs of layers that a backend computes as one, much faster; skip this file at first reading.

`fuse` looks for such runs in a list of the plain layers of `layers.py` and puts one fused layer in
the place of each. A fused layer works on the parameters of the layers that it stands for, and
gives what they give one after the other. What a backend fuses it says itself, in `Ops.fuses_stage`
and `Ops.fuses_dense`.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from lenet_xp.layers import Activation, AvgPool2D, Conv2D, Kept, Layer, Linear, is_ours
from lenet_xp.ops import Array, Ops
from lenet_xp.ops.settings import StageSettings


def fuse(layers: Sequence[Layer], ops: Ops) -> list["Layer | Stage | Dense"]:
    """The layers, with every run that `ops` computes as one replaced by a fused layer."""
    fused: list[Layer | Stage | Dense] = []
    place = 0
    while place < len(layers):
        run = list(takewhile(is_ours, layers[place : place + 4]))
        found = _stage(run, ops) or _dense(run[:2], ops)
        fused.append(found or layers[place])
        place += len(found.layers) if found else 1
    return fused


class Stage:
    """Convolution, activation, average pool and, where one follows, another activation."""

    saved, seen = Kept(), Kept()

    def __init__(self, ops: Ops, settings: StageSettings, conv: Conv2D, *others: Layer):
        self.ops, self.settings, self.conv = ops, settings, conv
        self.layers = (conv, *others)

    def forward(self, x: Array) -> Array:
        self.seen = self.conv.masked(self.conv.weight.value)
        y, self.saved = self.ops.stage(x, self.seen, self.conv.bias.value, self.settings)
        return y

    def backward(self, dy: Array) -> Array | None:
        conv, dweight = self.conv, self.conv.weight.gradient
        into: Any = {"dweight": dweight, "dbias": conv.bias.gradient}
        into["input_gradient"] = conv.input_gradient
        dx = self.ops.stage_backward(dy, self.saved, self.seen, self.settings, **into)
        conv.masked(dweight, dweight)
        return dx


class Dense:
    """A dense layer and, where one follows, its activation."""

    x, y = Kept(), Kept()

    def __init__(self, ops: Ops, linear: Linear, activation: Activation | None):
        self.ops, self.linear = ops, linear
        self.kind = None if activation is None else activation.kind
        self.layers = (linear,) if activation is None else (linear, activation)

    def forward(self, x: Array) -> Array:
        weight, bias = self.linear.weight.value, self.linear.bias.value
        self.x, self.y = x, self.ops.dense(weight, x, bias, self.kind)
        return self.y

    def backward(self, dy: Array) -> Array | None:
        weight, bias = self.linear.weight, self.linear.bias
        return self.ops.dense_backward(
            dy,
            self.y,
            self.x,
            weight.value,
            dweight=weight.gradient,
            dbias=bias.gradient,
            activation=self.kind,
            input_gradient=self.linear.input_gradient,
        )


def _stage(layers: Sequence[Layer], ops: Ops) -> Stage | None:
    """The stage that up to four layers begin with, if they do and `ops` has it."""
    match layers:
        case [Conv2D() as conv, Activation() as first, AvgPool2D() as pool, *rest]:
            squash = [layer for layer in rest[:1] if isinstance(layer, Activation)]
        case _:
            return None
    settings = StageSettings(
        kernels=(conv.out_channels, conv.in_channels, *conv.kernel),
        stride=conv.stride,
        padding=conv.padding,
        activation=first.kind,
        pool=pool.size,
        squash=squash[0].kind if squash else None,
    )
    fits = ops.fuses_stage(settings)
    return Stage(ops, settings, conv, first, pool, *squash) if fits else None


def _dense(layers: Sequence[Layer], ops: Ops) -> Dense | None:
    """The dense layer that up to two layers begin with, if they do and `ops` has it."""
    if not layers or not isinstance(layers[0], Linear) or not ops.fuses_dense:
        return None
    following = layers[1] if len(layers) > 1 else None
    return Dense(ops, layers[0], following if isinstance(following, Activation) else None)
