"""NumPy on the CPU: the reference with a blocked stage, and captures that repeat in place."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from lenet_xp.ops.aligned import aligned_empty
from lenet_xp.ops.blocked import BlockedStage
from lenet_xp.ops.numpy_updates import NumpyUpdates
from lenet_xp.ops.reference import ACTIVATIONS as PORTABLE
from lenet_xp.ops.reference import AMPLITUDE, STEEPNESS, Array, Ops, activation_entry, output_size
from lenet_xp.ops.settings import StageSettings

# NumPy copies operands that are not one run into buffers of this many elements, 8,192 unless told
# otherwise. Ours are long runs already, and with short buffers it takes more of them as they are:
# backward passes gain, forward ones less than the setting costs.
BUFFER = 1024


Run = Callable[..., Any]  # calls a NumPy function that writes into `out`


def _scaled_tanh(run: Run, dtype: Any, x: Array, out: Array) -> Array:
    run(np.multiply, x, dtype(STEEPNESS), out=out)
    run(np.tanh, out, out=out)
    return run(np.multiply, out, dtype(AMPLITUDE), out=out)


def _slope_of_tanh(run: Run, dtype: Any, y: Array, out: Array) -> Array:
    run(np.multiply, y, y, out=out)
    return run(np.subtract, dtype(1.0), out, out=out)


def _slope_of_scaled_tanh(run: Run, dtype: Any, y: Array, out: Array) -> Array:
    run(np.multiply, y, y, out=out)
    run(np.multiply, out, dtype(STEEPNESS / AMPLITUDE), out=out)
    return run(np.subtract, dtype(STEEPNESS * AMPLITUDE), out, out=out)


# f and f' in place: entries of the reference's table that are worth their own. `out` may be the
# input itself.
ACTIVATIONS: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "tanh": (lambda run, dtype, x, out: run(np.tanh, x, out=out), _slope_of_tanh),
    "scaled_tanh": (_scaled_tanh, _slope_of_scaled_tanh),
    "relu": (
        lambda run, dtype, x, out: run(np.maximum, x, dtype(0.0), out=out),
        lambda run, dtype, y, out: run(np.greater, y, dtype(0.0), out=out, casting="unsafe"),
    ),
}


class NumpyOps(NumpyUpdates, Ops):
    """The operations on NumPy arrays; every override gives the reference's result.

    graph: whether captures repeat the calls that they noted; without, they compute anew each time.
    """

    name = "numpy"
    images_per_piece = 32  # images: few, so that workspaces stay near the core
    uses_cores = True

    def __init__(self, dtype: str = "float32", graph: bool = True):
        super().__init__(np, dtype)
        self._graph = graph
        self._tape: list[Callable[[], Any]] | None = None  # the calls of a running capture
        self._frozen = False  # whether it may leave out what depends on parameters alone

    def sibling(self) -> "NumpyOps":
        return NumpyOps(self.dtype_name, self._graph)

    def __reduce__(self) -> tuple[type, tuple[str, bool]]:  # pickle takes no modules
        return NumpyOps, (self.dtype_name, self._graph)

    def _new(self, *shape: int) -> np.ndarray:
        return aligned_empty(shape, self.dtype)

    def capture(self, compute: Callable[[], Any], frozen: bool = False) -> Callable[[], Any]:
        if self._tape is not None:
            raise RuntimeError("a capture is already running; captures do not nest")
        if not self._graph:
            return super().capture(compute, frozen)
        self._tape, self._frozen = [], frozen
        try:
            result, calls = compute(), tuple(self._tape)
        finally:
            self._tape = None

        def replay() -> Any:
            for call in calls:
                call()
            return result

        def replay_with_short_buffers() -> Any:
            usual = np.setbufsize(BUFFER)
            try:
                return replay()
            finally:
                np.setbufsize(usual)

        return replay if frozen else replay_with_short_buffers

    def _run(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call a NumPy function that writes into `out`, and note the call if a capture runs."""
        if self._tape is not None:
            self._tape.append(partial(function, *arguments, **options))
        return function(*arguments, **options)

    def _prepare(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """As `_run`, for what depends on parameters alone."""
        if self._frozen and self._tape is not None:
            return function(*arguments, **options)
        return self._run(function, *arguments, **options)

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        if not x.flags.c_contiguous:
            x = self._run(_copy, x, out=self._new(*x.shape))
        return x.reshape(shape)

    def image_batch(
        self, images: np.ndarray, scale: float, shift: float, chosen: np.ndarray | None = None
    ) -> Array:
        if chosen is not None:
            gathered = np.empty((len(chosen), *images.shape[1:]), images.dtype)
            images = self._run(np.take, images, chosen, axis=0, out=gathered)
        count, height, width = images.shape
        transposed = np.empty((height * width, count), images.dtype)
        self._run(np.copyto, transposed, images.reshape(count, height * width).T)
        x = self._new(1, height, width, count)
        self._run(np.copyto, x.reshape(transposed.shape), transposed)
        self._run(np.multiply, x, self.dtype(scale), out=x)
        return self._run(np.add, x, self.dtype(shift), out=x)

    def warped_batch(
        self,
        images: np.ndarray,
        scale: float,
        shift: float,
        chosen: np.ndarray,
        coefficients: np.ndarray,
        basis: Array,
    ) -> Array:
        arguments = images, scale, shift, chosen, coefficients, basis
        x = self._new(1, *images.shape[1:], len(chosen))
        warp = super().warped_batch
        return self._run(lambda: _copy(warp(*arguments), out=x))

    def im2col(self, x: Array, kernel: tuple[int, int], stride: int = 1, padding: int = 0) -> Array:
        channels, height, width, count = x.shape
        rows = output_size(height, kernel[0], stride, padding)
        cols = output_size(width, kernel[1], stride, padding)
        columns = self._new(channels * kernel[0] * kernel[1], rows * cols * count)
        view = _windows(self._pad(x, padding), kernel, stride, (rows, cols))
        self._run(np.copyto, columns.reshape(view.shape), view)
        return columns

    def col2im(
        self,
        columns: Array,
        shape: tuple[int, int, int, int],
        kernel: tuple[int, int],
        stride: int = 1,
        padding: int = 0,
    ) -> Array:
        channels, height, width, count = shape
        rows = output_size(height, kernel[0], stride, padding)
        cols = output_size(width, kernel[1], stride, padding)
        columns = columns.reshape(channels, *kernel, rows, cols, count)
        x = self._new(channels, height + 2 * padding, width + 2 * padding, count)
        self._run(x.fill, 0.0)
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                pixels = x[:, i : i + stride * rows : stride, j : j + stride * cols : stride]
                self._run(np.add, pixels, columns[:, i, j], out=pixels)
        return x[:, padding : padding + height, padding : padding + width]

    def _pad(self, x: Array, padding: int) -> Array:
        if padding == 0:
            return x
        channels, height, width, count = x.shape
        padded = self._new(channels, height + 2 * padding, width + 2 * padding, count)
        padded.fill(0.0)
        inside = padded[:, padding : padding + height, padding : padding + width]
        self._run(np.copyto, inside, x)
        return padded

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        out = self._new(a.shape[0], b.shape[1]) if out is None else out
        return self._run(np.matmul, a, b, out=out)

    def affine(self, weight: Array, x: Array, bias: Array) -> Array:
        y = self.matmul(weight, x)
        return self._run(np.add, y, bias[:, None], out=y)

    def sum_columns(self, x: Array, out: Array | None = None) -> Array:
        out = self._new(x.shape[0]) if out is None else out
        return self._run(np.add.reduce, x, axis=1, out=out)

    def average_pool(self, x: Array, size: int) -> Array:
        rows, cols = x.shape[1] // size, x.shape[2] // size
        y = self._pool(np.add, x, size, self._new(x.shape[0], rows, cols, x.shape[3]))
        return self._run(np.multiply, y, self.dtype(1.0 / size**2), out=y)

    def max_pool(self, x: Array, size: int) -> Array:
        rows, cols = x.shape[1] // size, x.shape[2] // size
        return self._pool(np.maximum, x, size, self._new(x.shape[0], rows, cols, x.shape[3]))

    def _pool(self, combine: np.ufunc, x: Array, size: int, out: Array) -> Array:
        """The phases of all blocks combined one after the other."""
        rows, cols = out.shape[1] * size, out.shape[2] * size
        self._run(np.copyto, out, x[:, 0:rows:size, 0:cols:size])
        for i in range(size):
            for j in range(size):
                if i or j:
                    self._run(combine, out, x[:, i:rows:size, j:cols:size], out=out)
        return out

    def average_pool_backward(
        self, dy: Array, shape: tuple[int, int, int, int], size: int
    ) -> Array:
        rows, cols = dy.shape[1], dy.shape[2]
        dx = self._new(*shape)
        if rows * size != shape[1] or cols * size != shape[2]:
            self._run(dx.fill, 0.0)
        mean = self.dtype(1.0 / size**2)
        share = self._run(np.multiply, dy, mean, out=self._new(*dy.shape))
        for i in range(size):
            for j in range(size):
                phase = dx[:, i : rows * size : size, j : cols * size : size]
                self._run(np.copyto, phase, share)
        return dx

    def max_pool_backward(self, dy: Array, x: Array, y: Array, size: int) -> Array:
        rows, cols = y.shape[1] * size, y.shape[2] * size
        dx = self._new(*x.shape)
        if (rows, cols) != x.shape[1:3]:
            self._run(dx.fill, 0.0)
        free, winner = np.empty(y.shape, bool), np.empty(y.shape, bool)
        self._run(free.fill, True)
        for i in range(size):
            for j in range(size):
                phase = np.s_[:, i:rows:size, j:cols:size]
                self._run(np.equal, x[phase], y, out=winner)
                self._run(np.logical_and, winner, free, out=winner)
                self._run(np.multiply, dy, winner, out=dx[phase])
                self._run(np.greater, free, winner, out=free)
        return dx

    def activation(self, kind: str, x: Array) -> Array:
        return self._activate(kind, x, out=self._new(*x.shape))

    def _activate(self, kind: str, x: Array, out: Array) -> Array:
        """f(x); out may be x itself."""
        if kind in ACTIVATIONS:
            return ACTIVATIONS[kind][0](self._run, self.dtype, x, out)
        f = activation_entry(PORTABLE, kind)[0]
        return self._run(lambda: _copy(f(self, x), out=out))

    def activation_backward(self, kind: str, dy: Array, y: Array) -> Array:
        slope = self._slope(kind, y, out=self._new(*y.shape))
        return self._run(np.multiply, slope, dy, out=slope)

    def _slope(self, kind: str, y: Array, out: Array) -> Array:
        """f'(x) written in y = f(x); out may be y itself."""
        if kind in ACTIVATIONS:
            return ACTIVATIONS[kind][1](self._run, self.dtype, y, out)
        slope = activation_entry(PORTABLE, kind)[1]
        return self._run(lambda: _copy(slope(self, y), out=out))

    def fuses_stage(self, settings: StageSettings) -> bool:
        return True

    def stage(
        self, x: Array, weight: Array, bias: Array, settings: StageSettings
    ) -> tuple[Array, tuple[BlockedStage, Array]]:
        blocked = BlockedStage(x.shape, settings, self.dtype)
        blocked.place(weight, bias, self._prepare)
        y = blocked.forward(x, partial(self._activate, settings.activation), self._run)
        if settings.squash is not None:
            y = self.activation(settings.squash, y)
        return y, (blocked, y)

    def stage_backward(
        self,
        dy: Array,
        saved: tuple[BlockedStage, Array],
        weight: Array,
        settings: StageSettings,
        *,
        dweight: Array,
        dbias: Array,
        input_gradient: bool,
    ) -> Array | None:
        blocked, y = saved
        if settings.squash is not None:
            dy = self.activation_backward(settings.squash, dy, y)
        blocked.backward(dy, dweight, dbias, partial(self._slope, settings.activation), self._run)
        return blocked.input_gradient(self._run) if input_gradient else None

    def softmax(self, logits: Array) -> Array:
        p, sums = self._new(*logits.shape), self._new(logits.shape[1])
        self._run(np.maximum.reduce, logits, axis=0, out=sums)
        self._run(np.subtract, logits, sums, out=p)
        self._run(np.exp, p, out=p)
        self._run(np.add.reduce, p, axis=0, out=sums)
        return self._run(np.divide, p, sums, out=p)

    def softmax_cross_entropy(
        self,
        logits: Array,
        labels: Array,
        scale: float,
        into: tuple[Array, Array, np.ndarray] | None = None,
    ) -> tuple[Array, Array, Array]:
        run, (classes, count) = self._run, logits.shape
        p, one_hot = self._new(classes, count), self._new(classes, count)
        row, shifted, losses, hits = (self._new(count) for _ in range(4))
        run(np.maximum.reduce, logits, axis=0, out=row)
        run(np.subtract, logits, row, out=p)
        run(np.equal, np.arange(classes)[:, None], labels, out=one_hot, casting="unsafe")
        work = self._new(classes, count)
        run(np.multiply, one_hot, p, out=work)
        run(np.add.reduce, work, axis=0, out=shifted)
        run(np.greater_equal, shifted, self.dtype(0.0), out=hits, casting="unsafe")
        run(np.exp, p, out=p)
        run(np.add.reduce, p, axis=0, out=row)
        run(np.divide, p, row, out=p)
        run(np.log, row, out=losses)
        run(np.subtract, losses, shifted, out=losses)
        run(np.subtract, p, one_hot, out=p)
        run(np.multiply, p, self.dtype(scale), out=p)
        if into is not None:
            for vector, part in zip(into[:2], (losses, hits), strict=True):
                run(_put, vector, into[2], part)
            losses, hits = into[:2]
        return losses, hits, p


def _windows(
    x: np.ndarray, kernel: tuple[int, int], stride: int, grid: tuple[int, int]
) -> np.ndarray:
    """A view (C, KH, KW, rows, cols, N) of the windows of x (C, H, W, N)."""
    c, h, w, n = x.strides
    shape = (x.shape[0], *kernel, *grid, x.shape[3])
    return as_strided(x, shape, (c, h, w, h * stride, w * stride, n), writeable=False)


def _copy(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    np.copyto(out, x)
    return out


def _put(vector: np.ndarray, place: np.ndarray, values: np.ndarray) -> None:
    vector[place[0] : place[0] + len(values)] = values
