"""Operations that a backend may fuse: its own where it has them, else the plain layers in a row.

The reference fuses nothing, so comparing a backend with it compares every fused operation with the
textbook.
"""

from typing import Any

from lenet_xp.layers import ACTIVATIONS, AvgPool2D, Conv2D, Layer, Linear, Param
from lenet_xp.ops import Array, Ops
from lenet_xp.ops.settings import StageSettings


def _attached(layer: Layer, ops: Ops, weight: Array, bias: Array) -> Layer:
    """The layer on these parameters."""
    layer.ops = ops
    layer.weight = Param(weight, ops.zeros(weight.shape))
    layer.bias = Param(bias, ops.zeros(bias.shape))
    return layer


def _forward(ops: Ops, layers: list[Layer], x: Array) -> tuple[Array, list[Layer]]:
    for layer in layers[1:]:
        layer.attach(ops, ops.zeros((0,)), ops.zeros((0,)))
    for layer in layers:
        x = layer.forward(x)
    return x, layers


def _backward(
    layers: list[Layer], dy: Array, dweight: Array, dbias: Array, input_gradient: bool
) -> Array | None:
    layers[0].input_gradient = input_gradient
    for layer in reversed(layers):
        dy = layer.backward(dy)
    dweight[...], dbias[...] = layers[0].weight.gradient, layers[0].bias.gradient
    return dy


def stage(
    ops: Ops, x: Array, weight: Array, bias: Array, settings: StageSettings
) -> tuple[Array, Any]:
    if ops.fuses_stage(settings):
        return ops.stage(x, weight, bias, settings)
    out_channels, channels, *kernel = settings.kernels
    conv = Conv2D(channels, out_channels, tuple(kernel), settings.stride, settings.padding)
    layers = [_attached(conv, ops, weight, bias), ACTIVATIONS[settings.activation]()]
    layers.append(AvgPool2D(settings.pool))
    layers += [ACTIVATIONS[settings.squash]()] if settings.squash else []
    return _forward(ops, layers, x)


def stage_backward(
    ops: Ops, dy: Array, saved: Any, weight: Array, settings: StageSettings, **into: Any
) -> Array | None:
    if ops.fuses_stage(settings):
        return ops.stage_backward(dy, saved, weight, settings, **into)
    return _backward(saved, dy, **into)


def dense(
    ops: Ops, weight: Array, x: Array, bias: Array, kind: str | None
) -> tuple[Array, list[Layer]]:
    """y, and the layers that made it where `ops` has no such operation."""
    if ops.fuses_dense:
        return ops.dense(weight, x, bias, kind), []
    layers = [_attached(Linear(*weight.shape[::-1]), ops, weight, bias)]
    layers += [ACTIVATIONS[kind]()] if kind else []
    return _forward(ops, layers, x)


def dense_backward(
    ops: Ops, dy: Array, y: Array, x: Array, weight: Array, saved: list[Layer], kind: str | None,
    **into: Any,
) -> Array | None:  # fmt: skip
    if ops.fuses_dense:
        return ops.dense_backward(dy, y, x, weight, activation=kind, **into)
    return _backward(saved, dy, **into)
