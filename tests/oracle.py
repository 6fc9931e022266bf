"""The expected results of the operations: loops, scalar formulas, finite differences.

Nothing here imports the package. Arrays are float64, and images come in the usual order
(N, C, H, W).
"""

import math
from collections.abc import Callable
from itertools import product

import numpy as np


def to_chwn(x: np.ndarray) -> np.ndarray:
    """(N, ...) to (..., N): the package keeps the image index last."""
    return np.ascontiguousarray(np.moveaxis(x, 0, -1))


# Convolution


def positions(size: int, kernel: int, stride: int, padding: int) -> list[int]:
    """Where the window starts along an axis, in coordinates of the unpadded image."""
    starts, start = [], -padding
    while start + kernel <= size + padding:
        starts.append(start)
        start += stride
    return starts


def pixel(x: np.ndarray, n: int, c: int, i: int, j: int) -> float:
    """A pixel of x (N, C, H, W), zero outside the image."""
    inside = 0 <= i < x.shape[2] and 0 <= j < x.shape[3]
    return float(x[n, c, i, j]) if inside else 0.0


def im2col(x: np.ndarray, kernel: tuple[int, int], stride: int, padding: int) -> np.ndarray:
    """Rows (c, i, j), columns (row, col, n)."""
    tops = positions(x.shape[2], kernel[0], stride, padding)
    lefts = positions(x.shape[3], kernel[1], stride, padding)
    return np.array(
        [
            [pixel(x, n, c, t + i, s + j) for t in tops for s in lefts for n in range(len(x))]
            for c, i, j in product(range(x.shape[1]), range(kernel[0]), range(kernel[1]))
        ]
    )


def _inside(start: int, length: int, size: int) -> slice:
    """The part of a window that lies within an axis; it may be empty."""
    first = min(max(start, 0), size)
    return slice(first, max(min(start + length, size), first))


def _meetings(x: np.ndarray, weight: np.ndarray, stride: int, padding: int):
    """Every (n, row, col) of the output with its slices of image and kernel."""
    height, width = x.shape[2:]
    kh, kw = weight.shape[2:]
    tops = enumerate(positions(height, kh, stride, padding))
    for (r, t), (s, u) in product(tops, enumerate(positions(width, kw, stride, padding))):
        rows, cols = _inside(t, kh, height), _inside(u, kw, width)
        part = slice(rows.start - t, rows.stop - t), slice(cols.start - u, cols.stop - u)
        for n in range(len(x)):
            yield n, r, s, (n, slice(None), rows, cols), (slice(None), *part)


def convolution(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int
) -> np.ndarray:
    rows = len(positions(x.shape[2], weight.shape[2], stride, padding))
    cols = len(positions(x.shape[3], weight.shape[3], stride, padding))
    y = np.zeros((len(x), len(weight), rows, cols))
    for n, r, s, image, part in _meetings(x, weight, stride, padding):
        for o, kernel in enumerate(weight):
            y[n, o, r, s] = np.sum(x[image] * kernel[part]) + bias[o]
    return y


def convolution_backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, stride: int, padding: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx, dweight, dbias = np.zeros(x.shape), np.zeros(weight.shape), np.zeros(len(weight))
    for n, r, s, image, part in _meetings(x, weight, stride, padding):
        for o, kernel in enumerate(weight):
            dx[image] += dy[n, o, r, s] * kernel[part]
            dweight[o][part] += dy[n, o, r, s] * x[image]
            dbias[o] += dy[n, o, r, s]
    return dx, dweight, dbias


# Pooling


def _blocks(x: np.ndarray, size: int):
    n, c, height, width = x.shape
    for at in product(range(n), range(c), range(height // size), range(width // size)):
        top, left = at[2] * size, at[3] * size
        yield at, (at[0], at[1], slice(top, top + size), slice(left, left + size))


def average_pool(x: np.ndarray, size: int) -> np.ndarray:
    y = np.zeros((*x.shape[:2], x.shape[2] // size, x.shape[3] // size))
    for at, block in _blocks(x, size):
        y[at] = sum(x[block].ravel().tolist()) / size**2
    return y


def average_pool_backward(dy: np.ndarray, shape: tuple[int, ...], size: int) -> np.ndarray:
    dx = np.zeros(shape)
    for at, block in _blocks(dx, size):
        dx[block] += dy[at] / size**2
    return dx


def max_pool(x: np.ndarray, size: int) -> np.ndarray:
    y = np.zeros((*x.shape[:2], x.shape[2] // size, x.shape[3] // size))
    for at, block in _blocks(x, size):
        y[at] = max(x[block].ravel().tolist())
    return y


def max_pool_backward(dy: np.ndarray, x: np.ndarray, size: int) -> np.ndarray:
    """The gradient goes to the block's first largest pixel in reading order."""
    dx = np.zeros(x.shape)
    for at, block in _blocks(x, size):
        pixels = x[block].ravel().tolist()
        dx[block][divmod(pixels.index(max(pixels)), size)] = dy[at]
    return dx


# Activations, in x


def _slope_of_tanh(v: float) -> float:
    return 1.0 / math.cosh(v) ** 2


ACTIVATIONS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "tanh": (math.tanh, _slope_of_tanh),
    "scaled_tanh": (
        lambda v: 1.7159 * math.tanh(2 * v / 3),
        lambda v: 1.7159 * 2 / 3 * _slope_of_tanh(2 * v / 3),
    ),
    "relu": (lambda v: v if v > 0 else 0.0, lambda v: 1.0 if v > 0 else 0.0),
}


def activation(kind: str, x: np.ndarray) -> np.ndarray:
    return np.array([ACTIVATIONS[kind][0](v) for v in x.ravel().tolist()]).reshape(x.shape)


def activation_backward(kind: str, dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    slopes = [ACTIVATIONS[kind][1](v) for v in x.ravel().tolist()]
    return dy * np.array(slopes).reshape(x.shape)


# Dense layer and loss: x (N, features), logits (N, K)


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return np.array(
        [[sum(a * b for a, b in zip(w, row, strict=True)) + c for w, c in zip(weight, bias,
          strict=True)] for row in x]
    )  # fmt: skip


def cross_entropy(
    logits: np.ndarray, labels: np.ndarray, targets: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Losses (N,), hits (N,) and the gradient (N, K) of the sum of the losses; targets (N, K)."""
    count = len(logits)
    losses, hits, gradient = np.zeros(count), np.zeros(count), np.zeros(logits.shape)
    for n, row in enumerate(logits.tolist()):
        log_total = max(row) + math.log(sum(math.exp(v - max(row)) for v in row))
        for k, v in enumerate(row):
            target = float(k == labels[n] if targets is None else targets[n, k])
            losses[n] -= target * (v - log_total)
            gradient[n, k] = math.exp(v - log_total) - target
        hits[n] = row[labels[n]] == max(row)
    return losses, hits, gradient


# Optimisers: one scalar parameter, its gradients of successive steps


def sgd(
    value: float, gradients: list[float], rates: list[float], momentum: float, nesterov: bool,
    decay: float,
) -> float:  # fmt: skip
    velocity = 0.0
    for g, rate in zip(gradients, rates, strict=True):
        g += decay * value
        velocity = momentum * velocity + g
        value -= rate * (g + momentum * velocity if nesterov else velocity)
    return value


def adam(
    value: float, gradients: list[float], rates: list[float], betas: tuple[float, float],
    epsilon: float, decay: float, decoupled: bool,
) -> float:  # fmt: skip
    m = v = 0.0
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        if not decoupled:
            g += decay * value
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        step = m_hat / (math.sqrt(v_hat) + epsilon)
        value -= rate * (step + decay * value if decoupled else step)
    return value


# Gradients without any formula


def slope(
    f: Callable[[np.ndarray], float], x: np.ndarray, direction: np.ndarray, h: float
) -> float:
    """The derivative of f at x along a direction, by central differences."""
    return (f(x + h * direction) - f(x - h * direction)) / (2 * h)


def gradient(f: Callable[[np.ndarray], float], x: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """Every partial derivative of f at x, by central differences."""
    units = np.eye(x.size).reshape(x.size, *x.shape)
    return np.array([slope(f, x, unit, h) for unit in units]).reshape(x.shape)


def adjoint_gap(y: np.ndarray, ax: np.ndarray, x: np.ndarray, aty: np.ndarray) -> float:
    """The difference of <y, A x> and <A' y, x>, relative to the size of the terms."""
    return abs(np.vdot(y, ax) - np.vdot(aty, x)) / np.abs(y * ax).sum()
