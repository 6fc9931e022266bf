"""CuPy on a CUDA device: own kernels for what a step takes, the reference for the rest."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lenet_xp.ops.cuda_memory import explain_memory
from lenet_xp.ops.kernels import INT_MAX, LANES, NULL, Kernels, cuts
from lenet_xp.ops.recording import RecordedGraph, Recording, Staging
from lenet_xp.ops.reference import Array, Ops
from lenet_xp.ops.stage_plan import BACKWARD_SLICES, BACKWARD_TILE, StagePlan

# The numbers of the activations in common.cu
ACTIVATIONS = {None: 0, "tanh": 1, "scaled_tanh": 2, "relu": 3}
WARPS = (LANES, 8)  # the block of most kernels: SLICES in their files
EDGE, DENSE_EDGE = 16, 32  # of the tiles in matmul.cu and dense.cu
THREADS = 256
DENSE_TILE = 2, 8  # rows to a thread of a dense layer, for up to MANY images and beyond
MANY = 256


class CupyOps(Ops):
    """The operations on CuPy arrays on the current CUDA device.

    graph: whether captures are CUDA graphs; without, they run the same kernels one by one.
    Raises ImportError where CuPy is not installed.
    """

    name = "cupy"

    def __init__(self, dtype: str = "float32", graph: bool = True):
        import cupy

        super().__init__(cupy, dtype)
        self._graph = graph
        self._kernels = Kernels(cupy, dtype)
        self._recording: Recording | None = None  # the running capture
        self._rates = np.zeros(2)  # learning rate and step of an update
        self._staged_rates: Staging | None = None

    @property
    def device_name(self) -> str:
        runtime = self.xp.cuda.runtime
        return str(runtime.getDeviceProperties(runtime.getDevice())["name"], "utf-8")

    def sibling(self) -> "CupyOps":
        return CupyOps(self.dtype_name, self._graph)

    def asarray(self, host: np.ndarray) -> Array:
        host = np.asarray(host)
        dtype = self.xp.int64 if np.issubdtype(host.dtype, np.integer) else self.dtype
        return self._on_device(host, dtype)

    def _on_device(self, host: np.ndarray, dtype: Any) -> Array:
        if self._recording is not None:
            return self._recording.device_array(host, dtype)
        return self.xp.asarray(host, dtype=dtype)

    def _new(self, *shape: int) -> Array:
        if self._recording is not None:
            return self._recording.new(shape, self.dtype)
        return self.xp.empty(shape, dtype=self.dtype)

    def _dense(self, x: Array) -> Array:
        """x, in C order, as kernels take it; TypeError for another dtype."""
        if x.dtype != self.dtype:
            raise TypeError(f"an array of {x.dtype} among operations in {self.dtype_name}")
        return x if x.flags.c_contiguous else self.xp.ascontiguousarray(x)

    def _target(self, out: Array) -> Array:
        """An array for kernels to write; ValueError if they would write beside it."""
        if out.dtype != self.dtype or not out.flags.c_contiguous:
            raise ValueError(f"results must go to an array in C order of {self.dtype_name}")
        return out

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return self.xp.zeros(shape, dtype=self.dtype)

    def arange(self, count: int) -> Array:
        return self.xp.arange(count, dtype=self.xp.int64)

    def as_float(self, x: Array) -> Array:
        return x.astype(self.dtype)

    def to_host(self, array: Array) -> np.ndarray:
        host: np.ndarray = self.xp.asnumpy(array)
        return host

    def synchronize(self) -> None:
        self.xp.cuda.get_current_stream().synchronize()

    def capture(self, compute: Callable[[], Any], frozen: bool = False) -> Callable[[], Any]:
        if self._recording is not None:
            raise RuntimeError("a capture is already running; captures do not nest")
        recording = Recording(self.xp)

        def run() -> Any:
            self._recording = recording
            try:
                return compute()
            finally:
                self._recording = None

        with explain_memory(self.xp, recording):
            run()
            recording.rewind()
            if self._graph:
                return RecordedGraph(self.xp, recording, run)

        def rerun() -> Any:
            recording.rewind()
            recording.send()
            return run()

        return rerun

    def resident(self, images: np.ndarray) -> Array | None:
        return None if images.size > INT_MAX else self.xp.asarray(images, dtype=np.uint8)

    def image_batch(
        self, images: Array, scale: float, shift: float, chosen: np.ndarray | None = None
    ) -> Array:
        count, height, width = images.shape
        places, pixels = NULL, height * width
        if chosen is None:
            images = self._on_device(images, np.uint8)
        else:
            count, places = len(chosen), self._on_device(chosen, np.int64)
        x = self._new(1, height, width, count)
        grid = cuts(pixels, LANES), cuts(count, LANES)
        arguments = images, places, x, float(scale), float(shift), pixels, count
        self._kernels.launch("images", "image_batch", grid, WARPS, arguments)
        return x

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
        (outputs, inputs), count = weight.shape, x.shape[1]
        y, tile = self._new(outputs, count), DENSE_TILE[count > MANY]
        arguments = (
            *map(self._dense, (weight, x, bias)),
            y,
            _number(activation),
            outputs,
            inputs,
            count,
        )
        grid = cuts(outputs, tile), cuts(count, LANES)
        self._kernels.launch("dense", "dense_forward", grid, WARPS, arguments, TILE=tile)
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
        (outputs, inputs), count = weight.shape, x.shape[1]
        tile = DENSE_TILE[count > MANY]
        blocks = weight_blocks = cuts(outputs, DENSE_EDGE) * cuts(inputs, DENSE_EDGE)
        dx = None
        if input_gradient:
            dx = self._new(inputs, count)
            blocks += cuts(inputs, tile) * cuts(count, LANES)
        arguments = *map(self._dense, (dy, y, x, weight)), *map(self._target, (dweight, dbias))
        arguments = *arguments, _or_null(dx), _number(activation), weight_blocks
        arguments = *arguments, outputs, inputs, count
        self._kernels.launch("dense", "dense_backward", (blocks,), WARPS, arguments, TILE=tile)
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
    ) -> tuple[Array, Any]:
        plan = StagePlan(x.shape, weight.shape, stride, padding, pool, _number(activation))
        if not plan.fits(x.itemsize):
            settings = {"stride": stride, "padding": padding, "pool": pool}
            return super().stage(x, weight, bias, activation=activation, **settings)
        x, slices = self._dense(x), plan.forward_slices
        y, activated = self._new(*plan.y_shape), self._new(*plan.activated_shape)
        arguments = x, self._dense(weight), self._dense(bias), activated, y, x.shape[3]
        block, told = (LANES, slices), plan.settings(plan.forward_tile, slices)
        self._kernels.launch(
            "stage_forward", "stage_forward", plan.forward_grid, block, arguments, **told
        )
        return y, (plan, x, activated)

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
                input_gradient=input_gradient,
            )
        plan, x, activated = saved
        partial = self._new(*plan.partial_shape)
        dx = self._new(*x.shape) if input_gradient else None
        arrays = *map(self._dense, (dy, activated, x, weight)), partial, _or_null(dx)
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
        self, logits: Array, labels: Array, smoothing: float, scale: float
    ) -> tuple[Array, Array, Array]:
        classes, count = logits.shape
        losses, hits, gradient = self._new(count), self._new(count), self._new(classes, count)
        labels = self.xp.ascontiguousarray(labels)
        arrays = self._dense(logits), labels, losses, hits, gradient
        arguments = *arrays, float(smoothing), float(scale), classes, count
        grid = (cuts(count, LANES),)
        self._kernels.launch("loss", "softmax_cross_entropy", grid, WARPS, arguments)
        return losses, hits, gradient

    def _send_rates(self, learning_rate: float, step: int) -> Array:
        if self._staged_rates is None:
            self._staged_rates = Staging(self.xp, [(self._rates, np.float64)])
        self._rates[:] = learning_rate, step
        self._staged_rates.send()
        return self._staged_rates.arrays[0]

    def sgd_update(
        self,
        value: Array,
        gradient: Array,
        velocity: Array | None,
        *,
        learning_rate: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
    ) -> None:
        rates = self._send_rates(learning_rate, 0)
        vectors = self._target(value), self._dense(gradient), _or_null(velocity)
        settings = float(momentum), nesterov, float(weight_decay)
        arguments = *vectors, rates, *settings, value.size
        grid = (cuts(value.size, THREADS),)
        self._kernels.launch("updates", "sgd_update", grid, (THREADS,), arguments)

    def adam_update(
        self,
        value: Array,
        gradient: Array,
        mean: Array,
        square: Array,
        *,
        step: int,
        learning_rate: float,
        betas: tuple[float, float],
        epsilon: float,
        weight_decay: float,
        decoupled: bool,
    ) -> None:
        rates = self._send_rates(learning_rate, step)
        vectors = *map(self._target, (value, mean, square)), self._dense(gradient)
        settings = *map(float, betas), float(epsilon), float(weight_decay)
        arguments = *vectors, rates, *settings, decoupled, value.size
        grid = (cuts(value.size, THREADS),)
        self._kernels.launch("updates", "adam_update", grid, (THREADS,), arguments)


def _number(activation: str | None) -> int:
    if activation not in ACTIVATIONS:
        raise ValueError(f"unknown activation {activation!r}: tanh, scaled_tanh or relu")
    return ACTIVATIONS[activation]


def _or_null(array: Array | None) -> Any:
    return NULL if array is None else array
