"""The operations on CuPy arrays: own kernels for a training step, the reference for the rest."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from inspect import getmembers, isfunction
from typing import Any

import numpy as np

from lenet_xp.ops.cuda.cupy_arrays import WARPS, CupyArrays
from lenet_xp.ops.cuda.kernels import LANES, NULL, ceil_div
from lenet_xp.ops.cuda.plans import DensePlan, stage_fits, stage_plan
from lenet_xp.ops.reference import ACTIVATIONS, Array, Ops, Place, activation_entry
from lenet_xp.ops.settings import AdamSettings, SGDSettings, StageSettings

MATMUL_EDGE = 16  # entries: EDGE in matmul.cu, the side of a tile
THREADS = 256  # threads: block of the kernels with one thread per element


class CupyOps(CupyArrays):
    """The operations on arrays of the current CUDA device.

    graph: whether captures are CUDA graphs; else they launch the same kernels one by one.
    Raises ImportError if CuPy is not installed.
    """

    name = "cupy"
    steps_per_launch = 16  # launching a step can take longer than the step
    captures_slowly = True
    fuses_dense = True

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        return (x if x.flags.c_contiguous else self.xp.ascontiguousarray(x)).reshape(shape)

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        return self._multiply(a, b, NULL, out)

    def affine(self, weight: Array, x: Array, bias: Array) -> Array:
        return self._multiply(weight, x, self._input(bias), None)

    def _multiply(self, a: Array, b: Array, bias: Array, out: Array | None) -> Array:
        (rows, depth), cols = a.shape, b.shape[1]
        if depth != b.shape[0] or any(m.dtype != self.dtype for m in (a, b)):
            raise ValueError(f"no product of {a.shape} {a.dtype} and {b.shape} {b.dtype}")
        out = self._new(rows, cols) if out is None else out
        strides = (np.int64(s // m.itemsize) for m in (a, b, out) for s in m.strides)
        grid = ceil_div(cols, MATMUL_EDGE), ceil_div(rows, MATMUL_EDGE)
        arguments = a, b, bias, out, rows, cols, depth, *strides
        self._kernels.launch("matmul", "matmul", grid, (MATMUL_EDGE, MATMUL_EDGE), arguments)
        return out

    def sum_columns(self, x: Array, out: Array | None = None) -> Array:
        out = self._new(x.shape[0]) if out is None else out
        arguments = self._input(x), self._output(out), x.shape[1]
        self._kernels.launch("sums", "sum_rows", (x.shape[0],), WARPS, arguments)
        return out

    def dense(self, weight: Array, x: Array, bias: Array, activation: str | None) -> Array:
        y, plan = self._new(weight.shape[0], x.shape[1]), DensePlan(weight.shape, x.shape[1])
        arguments = *map(self._input, (weight, x, bias)), y, x.shape[1]
        defines = plan.defines(_activation_number(activation))
        self._kernels.launch(
            "dense", "dense_forward", plan.forward_grid, WARPS, arguments, **defines
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
        plan = DensePlan(weight.shape, x.shape[1])
        dx = self._new(*x.shape) if input_gradient else None
        arrays = *map(self._input, (dy, y, x, weight)), *map(self._output, (dweight, dbias))
        arguments = *arrays, _or_null(dx), plan.weight_blocks, x.shape[1]
        grid = (plan.weight_blocks + (plan.input_blocks if input_gradient else 0),)
        defines = plan.defines(_activation_number(activation))
        self._kernels.launch("dense", "dense_backward", grid, WARPS, arguments, **defines)
        return dx

    def activation(self, kind: str, x: Array) -> Array:
        y = self._new(*x.shape)
        arguments = self._input(x), y, _activation_number(kind), np.int64(x.size)
        self._launch_per_element("elementwise", "activation_forward", x.size, arguments)
        return y

    def activation_backward(self, kind: str, dy: Array, y: Array) -> Array:
        dx = self._new(*y.shape)
        arguments = self._input(dy), self._input(y), dx, _activation_number(kind), np.int64(y.size)
        self._launch_per_element("elementwise", "activation_backward", y.size, arguments)
        return dx

    def fuses_stage(self, settings: StageSettings) -> bool:
        return stage_fits(settings, np.dtype(self.dtype).itemsize)

    def stage(
        self, x: Array, weight: Array, bias: Array, settings: StageSettings
    ) -> tuple[Array, Any]:
        functions = map(_activation_number, (settings.activation, settings.squash))
        plan, x = stage_plan(x.shape, settings, *functions), self._input(x)
        y, activated = self._new(*plan.y_shape), self._new(*plan.activated_shape)
        arguments = x, self._input(weight), self._input(bias), activated, y, x.shape[3]
        self._launch_stage("stage_forward", plan.forward_grid, plan.forward_defines, arguments)
        return y, (plan, x, activated, y)

    def stage_backward(
        self,
        dy: Array,
        saved: Any,
        weight: Array,
        settings: StageSettings,
        *,
        dweight: Array,
        dbias: Array,
        input_gradient: bool,
    ) -> Array | None:
        plan, x, activated, y = saved
        dz, partial = self._new(*plan.activated_shape), self._new(*plan.partial_shape)
        given = self._input(dy), activated, y, dz, dy.size, dy.shape[3]
        self._launch_per_element("stage_gradient", "stage_gradient", dy.size, given, **plan.below)
        dx = self._new(*x.shape) if input_gradient else None
        blocks = plan.input_blocks if input_gradient else 0
        arrays = dz, x, self._input(weight), partial, _or_null(dx)
        grid, numbers = (blocks + plan.weight_blocks,), (blocks, plan.chunks, x.shape[3])
        self._launch_stage("stage_backward", grid, plan.backward_defines, (*arrays, *numbers))
        sizes = plan.chunks, dweight.size, dbias.size
        grid = (ceil_div(plan.partial_shape[1], LANES),)
        arguments = partial, self._output(dweight), self._output(dbias), *sizes
        self._kernels.launch("sums", "sum_partials", grid, WARPS, arguments)
        return dx

    def _launch_stage(
        self, name: str, grid: Sequence[int], defines: dict[str, int], arguments: Sequence[Any]
    ) -> None:
        self._kernels.launch(name, name, grid, (LANES, defines["SLICES"]), arguments, **defines)

    def softmax(self, logits: Array) -> Array:
        p, (classes, count) = self._new(*logits.shape), logits.shape
        arguments = self._input(logits), p, classes, count
        self._kernels.launch("loss", "softmax", (ceil_div(count, LANES),), WARPS, arguments)
        return p

    def softmax_cross_entropy(
        self, logits: Array, labels: Array, scale: float, into: Place = None, targets: Array = None,
        compete: bool = True, rivals: int | None = None,
    ) -> tuple[Array, Array, Array]:  # fmt: skip
        classes, count = logits.shape
        gradient, start = self._new(classes, count), NULL
        if into is None:
            losses, hits = self._new(count), self._new(count)
        else:
            losses, hits = map(self._output, into[:2])
            start = self._on_device(into[2], np.int64)
        labels = labels if labels.flags.c_contiguous else self.xp.ascontiguousarray(labels)
        soft = () if targets is None else (self._input(targets),)
        arrays = self._input(logits), *soft, labels, losses, hits, start, gradient
        arguments = *arrays, float(scale), int(compete), rivals or classes, classes, count
        name = "soft_cross_entropy" if soft else "softmax_cross_entropy"
        self._kernels.launch("loss", name, (ceil_div(count, LANES),), WARPS, arguments)
        return losses, hits, gradient

    def sgd_update(
        self,
        value: Array,
        gradient: Array,
        velocity: Array | None,
        rates: Sequence[float],
        settings: SGDSettings,
    ) -> None:
        vectors = *map(self._output, (value, gradient)), _or_null(velocity)
        numbers = float(settings.momentum), settings.nesterov, float(settings.weight_decay)
        learning_rate = self._on_device(np.asarray(rates, np.float64), np.float64)
        self._launch_update("sgd_update", (*vectors, learning_rate, *numbers))

    def adam_update(
        self,
        value: Array,
        gradient: Array,
        mean: Array,
        square: Array,
        rates: Sequence[float],
        settings: AdamSettings,
    ) -> None:
        vectors = map(self._output, (value, gradient, mean, square))
        numbers = *settings.betas, settings.epsilon, settings.weight_decay
        factors: Any = _Factors(rates, settings)
        factors = self._on_device(factors, self.dtype)
        arguments = *vectors, factors, *map(float, numbers), settings.decoupled
        self._launch_update("adam_update", arguments)

    def _launch_update(self, name: str, arguments: tuple[Any, ...]) -> None:
        grid, size = (ceil_div(arguments[0].size, THREADS),), arguments[0].size
        self._kernels.launch("updates", name, grid, WARPS, (*arguments, size))

    def _launch_per_element(
        self, file: str, name: str, size: int, arguments: tuple[Any, ...], **defines: int
    ) -> None:
        """Run a kernel with one thread for each of `size` elements."""
        grid = (ceil_div(size, THREADS),)
        self._kernels.launch(file, name, grid, (THREADS,), arguments, **defines)


def _after_kernels(operation: Callable[..., Any]) -> Callable[..., Any]:
    """An operation that CuPy computes, after the kernels that wait in a capture."""

    def run(self: CupyOps, *given: Any, **named: Any) -> Any:
        self._settle()
        return operation(self, *given, **named)

    return run


# asarray makes a new array, which no waiting kernel can know.
for _name in {n for n, _ in getmembers(Ops, isfunction)} - vars(CupyOps).keys() - {"asarray"}:
    if _name[0] != "_":
        setattr(CupyOps, _name, _after_kernels(getattr(CupyOps, _name)))


class _Factors:
    """Adam's factors of a step, which the host computes from the rates each time it sends them."""

    shape, size = (3,), 3

    def __init__(self, rates: Sequence[float], settings: AdamSettings):
        self._rates, self._betas, self._decay = rates, settings.betas, settings.weight_decay

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        learning_rate, step = map(float, self._rates)
        first, second = (1.0 - beta**step for beta in self._betas)
        factors = learning_rate / first, 1.0 / math.sqrt(second), 1.0 - learning_rate * self._decay
        return np.array(factors, dtype)


@cache
def _activation_number(activation: str | None) -> int:
    """The number of an activation in common.cu, 0 for None; ValueError for an unknown one."""
    if activation is None:
        return 0
    activation_entry(ACTIVATIONS, activation)  # their order is that of the enum in common.cu
    return 1 + list(ACTIVATIONS).index(activation)


def _or_null(array: Array | None) -> Any:
    return NULL if array is None else array
