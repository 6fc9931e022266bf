"""CuPy on a CUDA device: own kernels for what a step takes, the reference for the rest."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lenet_xp.ops.cupy_arrays import WARPS, CupyArrays
from lenet_xp.ops.dense_plan import DensePlan
from lenet_xp.ops.kernels import LANES, NULL, cuts
from lenet_xp.ops.reference import Array
from lenet_xp.ops.stage_plan import BACKWARD_SLICES, BACKWARD_TILE, StagePlan

# The numbers of the activations in common.cu
ACTIVATIONS = {None: 0, "tanh": 1, "scaled_tanh": 2, "relu": 3}
EDGE = 16  # of the tiles in matmul.cu
THREADS = 256


class CupyOps(CupyArrays):
    """The operations on CuPy arrays on the current CUDA device.

    graph: whether captures are CUDA graphs; without, they run the same kernels one by one.
    Raises ImportError where CuPy is not installed.
    """

    name = "cupy"

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        return self._multiply(a, b, NULL, out)

    def affine(self, weight: Array, x: Array, bias: Array) -> Array:
        return self._multiply(weight, x, self._dense(bias), None)

    def _multiply(self, a: Array, b: Array, bias: Array, out: Array | None) -> Array:
        (rows, depth), cols = a.shape, b.shape[1]
        if depth != b.shape[0] or any(m.dtype != self.dtype for m in (a, b)):
            raise ValueError(f"no product of {a.shape} {a.dtype} and {b.shape} {b.dtype}")
        out = self._new(rows, cols) if out is None else out
        strides = (np.int64(s // m.itemsize) for m in (a, b, out) for s in m.strides)
        grid = cuts(cols, EDGE), cuts(rows, EDGE)
        arguments = a, b, bias, out, rows, cols, depth, *strides
        self._kernels.launch("matmul", "matmul", grid, (EDGE, EDGE), arguments)
        return out

    def sum_columns(self, x: Array, out: Array | None = None) -> Array:
        out = self._new(x.shape[0]) if out is None else out
        arguments = self._dense(x), self._target(out), x.shape[1]
        self._kernels.launch("sums", "sum_rows", (x.shape[0],), WARPS, arguments)
        return out

    def dense(self, weight: Array, x: Array, bias: Array, activation: str | None) -> Array:
        sizes = *weight.shape, x.shape[1]
        y, plan = self._new(weight.shape[0], x.shape[1]), DensePlan(*sizes)
        arguments = *map(self._dense, (weight, x, bias)), y, _number(activation), *sizes
        self._kernels.launch(
            "dense", "dense_forward", plan.forward_grid, WARPS, arguments, TILE=plan.tile
        )
        return y

    def dense_backward(
        self,
        dy: Array,
        y: Array,
        x: Array,
        weight: Array,
        *,
        dweight: Array,
        dbias: Array,
        activation: str | None,
        input_gradient: bool,
    ) -> Array | None:
        sizes = *weight.shape, x.shape[1]
        plan = DensePlan(*sizes)
        dx = self._new(*x.shape) if input_gradient else None
        arguments = *map(self._dense, (dy, y, x, weight)), *map(self._target, (dweight, dbias))
        arguments = *arguments, _or_null(dx), _number(activation), plan.weight_blocks, *sizes
        grid = (plan.weight_blocks + (plan.input_blocks if input_gradient else 0),)
        self._kernels.launch("dense", "dense_backward", grid, WARPS, arguments, TILE=plan.tile)
        return dx

    def activation(self, kind: str, x: Array) -> Array:
        y = self._new(*x.shape)
        arguments = self._dense(x), y, _number(kind), np.int64(x.size)
        grid = (cuts(x.size, THREADS),)
        self._kernels.launch("elementwise", "activation_forward", grid, (THREADS,), arguments)
        return y

    def activation_backward(self, kind: str, dy: Array, y: Array) -> Array:
        dx = self._new(*y.shape)
        arguments = self._dense(dy), self._dense(y), dx, _number(kind), np.int64(y.size)
        grid = (cuts(y.size, THREADS),)
        self._kernels.launch("elementwise", "activation_backward", grid, (THREADS,), arguments)
        return dx

    def stage(
        self,
        x: Array,
        weight: Array,
        bias: Array,
        *,
        stride: int,
        padding: int,
        activation: str,
        pool: int,
        squash: str | None = None,
    ) -> tuple[Array, Any]:
        functions = _number(activation), _number(squash)
        plan = StagePlan(x.shape, weight.shape, stride, padding, pool, *functions)
        if not plan.fits(x.itemsize):
            sizes = {"stride": stride, "padding": padding, "pool": pool}
            return super().stage(x, weight, bias, activation=activation, squash=squash, **sizes)
        x, slices = self._dense(x), plan.forward_slices
        y, activated = self._new(*plan.y_shape), self._new(*plan.activated_shape)
        arguments = x, self._dense(weight), self._dense(bias), activated, y, x.shape[3]
        block, told = (LANES, slices), plan.settings(plan.forward_tile, slices)
        self._kernels.launch(
            "stage_forward", "stage_forward", plan.forward_grid, block, arguments, **told
        )
        return y, (plan, x, activated, y)

    def stage_backward(
        self,
        dy: Array,
        saved: Any,
        weight: Array,
        *,
        dweight: Array,
        dbias: Array,
        stride: int,
        padding: int,
        activation: str,
        pool: int,
        squash: str | None = None,
        input_gradient: bool,
    ) -> Array | None:
        if not isinstance(saved[0], StagePlan):
            return super().stage_backward(
                dy,
                saved,
                weight,
                dweight=dweight,
                dbias=dbias,
                stride=stride,
                padding=padding,
                activation=activation,
                pool=pool,
                squash=squash,
                input_gradient=input_gradient,
            )
        plan, x, activated, y = saved
        partial = self._new(*plan.partial_shape)
        dx = self._new(*x.shape) if input_gradient else None
        arrays = *map(self._dense, (dy, y, activated, x, weight)), partial, _or_null(dx)
        arguments = *arrays, plan.weight_blocks, plan.chunks, x.shape[3]
        blocks = plan.weight_blocks + (plan.input_blocks if input_gradient else 0)
        block, told = (LANES, BACKWARD_SLICES), plan.settings(BACKWARD_TILE, BACKWARD_SLICES)
        self._kernels.launch(
            "stage_backward", "stage_backward", (blocks,), block, arguments, **told
        )
        sizes = plan.chunks, dweight.size, dbias.size
        grid = (cuts(plan.partial_shape[1], LANES),)
        arguments = partial, self._target(dweight), self._target(dbias), *sizes
        self._kernels.launch("sums", "sum_partials", grid, WARPS, arguments)
        return dx

    def softmax(self, logits: Array) -> Array:
        p, (classes, count) = self._new(*logits.shape), logits.shape
        arguments = self._dense(logits), p, classes, count
        self._kernels.launch("loss", "softmax", (cuts(count, LANES),), WARPS, arguments)
        return p

    def softmax_cross_entropy(
        self,
        logits: Array,
        labels: Array,
        scale: float,
        into: tuple[Array, Array, np.ndarray] | None = None,
    ) -> tuple[Array, Array, Array]:
        classes, count = logits.shape
        gradient, start = self._new(classes, count), NULL
        if into is None:
            losses, hits = self._new(count), self._new(count)
        else:
            losses, hits = map(self._target, into[:2])
            start = self._on_device(into[2], np.int64)
        labels = self.xp.ascontiguousarray(labels)
        arrays = self._dense(logits), labels, losses, hits, start, gradient
        arguments = *arrays, float(scale), classes, count
        grid = (cuts(count, LANES),)
        self._kernels.launch("loss", "softmax_cross_entropy", grid, WARPS, arguments)
        return losses, hits, gradient

    def sgd_update(
        self,
        value: Array,
        gradient: Array,
        velocity: Array | None,
        rates: Sequence[float],
        *,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
    ) -> None:
        vectors = self._target(value), self._dense(gradient), _or_null(velocity)
        settings = self._rates(rates), float(momentum), nesterov
        arguments = *vectors, *settings, float(weight_decay), value.size
        grid = (cuts(value.size, THREADS),)
        self._kernels.launch("updates", "sgd_update", grid, (THREADS,), arguments)

    def adam_update(
        self,
        value: Array,
        gradient: Array,
        mean: Array,
        square: Array,
        rates: Sequence[float],
        *,
        betas: tuple[float, float],
        epsilon: float,
        weight_decay: float,
        decoupled: bool,
    ) -> None:
        vectors = *map(self._target, (value, mean, square)), self._dense(gradient)
        arguments = *vectors, self._rates(rates), *map(float, betas), float(epsilon)
        arguments = *arguments, float(weight_decay), decoupled, value.size
        grid = (cuts(value.size, THREADS),)
        self._kernels.launch("updates", "adam_update", grid, (THREADS,), arguments)

    def average_update(
        self, average: Array, value: Array, rates: Sequence[float], *, momentum: float
    ) -> None:
        vectors = self._target(average), self._dense(value), self._rates(rates)
        arguments = *vectors, float(momentum), value.size
        grid = (cuts(value.size, THREADS),)
        self._kernels.launch("updates", "average_update", grid, (THREADS,), arguments)

    def _rates(self, rates: Sequence[float]) -> Array:
        return self._on_device(np.asarray(rates, np.float64), np.float64)


def _number(activation: str | None) -> int:
    if activation not in ACTIVATIONS:
        raise ValueError(f"unknown activation {activation!r}: tanh, scaled_tanh or relu")
    return ACTIVATIONS[activation]


def _or_null(array: Array | None) -> Any:
    return NULL if array is None else array
