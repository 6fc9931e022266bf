"""Second derivatives of the loss by the recursion of LeCun et al. 1998, Appendix C, for `SDLM`.

It is backpropagation with every weight, every input and every slope of an activation squared, and
with second derivatives in place of first ones. What the paper leaves out is left out: the second
derivatives of the activations, and products of different units. So no h is negative.
"""

import copy

from lenet_xp.layers import Activation, AvgPool2D, Codes, Layer, Param, Rubbish, is_ours
from lenet_xp.model import Sequential
from lenet_xp.ops import Array

SQUARED = "x", "columns", "seen"  # inputs and weights that layers keep for their backward pass


def curvature(network: Sequential, x: Array, labels: Array) -> Array:
    """h (P,) of every parameter: d2E / dw2 of the sum E of the losses of N images.

    x: the network's input (C, H, W, N). labels (N,) int64. Writes over `network.gradients`, and
    returns them. Raises ValueError for a layer that is none of the package's.
    """
    if odd := [layer.name for layer in network.layers if not is_ours(layer)]:
        raise ValueError(f"the recursion knows no layer such as {odd[0]}")
    for layer in network.layers:
        x = layer.forward(x)
    layers, d2y = _at_the_outputs(network, x, labels)
    for layer in reversed(layers):
        d2y = _backward(layer, d2y)
    return network.gradients


def _at_the_outputs(network: Sequential, logits: Array, labels: Array) -> tuple[list[Layer], Array]:
    """The second derivatives by the outputs of F6, exactly, and the layers below.

    Of a network without `Codes` those by its logits: p (1 - p).
    """
    ops, xp, layers, loss = network.ops, network.ops.xp, network.layers, network.loss()
    p = ops.softmax(logits) if loss.compete else logits * 0.0
    dy = loss(logits, labels, 1.0)[2]
    if isinstance(layers[-1], Rubbish):
        p, dy, layers = p[:-1, :], dy[:-1, :], layers[:-1]
    if not isinstance(layers[-1], Codes):
        return layers, p * (1.0 - p)
    codes = layers[-1]
    # y_k = -|f - w_k|^2, so dy_k / df = 2 (w_k - f) and d2y_k / df2 = -2. By the chain rule
    # d2E / df2 = -2 sum(dE / dy_k) + 4 (the variance of w_k - f under p).
    f, total = codes.x, xp.sum(p, axis=0, keepdims=True)
    w = ops.matmul(codes.doubled.T, p) * 0.5
    mean, square = w - f * total, total * (1.0 + f * f) - 2.0 * f * w
    return layers[:-1], 4.0 * (square - mean * mean) - 2.0 * xp.sum(dy, axis=0, keepdims=True)


def _backward(layer: Layer, d2y: Array) -> Array:
    """A layer's own `backward`, with its weights, inputs and slopes squared."""
    if isinstance(layer, Activation):
        return layer.backward(layer.backward(d2y))  # twice times the slope
    if isinstance(layer, AvgPool2D):
        return layer.backward(d2y) * (1.0 / layer.size**2)  # each weighs 1 / size^2
    twin = copy.copy(layer)
    for name, value in vars(layer).items():
        if isinstance(value, Param):
            setattr(twin, name, Param(value.value * value.value, value.gradient))
        elif name in SQUARED:
            setattr(twin, name, value * value)
    return twin.backward(d2y)
