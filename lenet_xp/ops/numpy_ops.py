"""NumPy on the CPU: the reference with a blocked stage, and captures that repeat in place."""

import math
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from lenet_xp.ops.activations import ACTIVATIONS, IN_PLACE, SLOPE, VALUE, activation_entry
from lenet_xp.ops.blocked import BlockedStage, aligned_empty
from lenet_xp.ops.reference import Array, Ops, Place
from lenet_xp.ops.settings import AdamSettings, SGDSettings, StageSettings
from lenet_xp.ops.windows import every, output_size

# NumPy copies operands that are not one run into buffers of this many elements, 8,192 unless told
# otherwise. Ours are long runs already, and with short buffers it takes more of them as they are:
# backward passes gain, forward ones less than the setting costs.
BUFFER = 1024

Method = TypeVar("Method", bound=Callable[..., Any])


def _repeated(method: Method) -> Method:
    """A method that a capture repeats as one call, with its result in the same array each time."""

    @wraps(method)
    def run(ops: "NumpyOps", *arguments: Any, **options: Any) -> Any:
        compute = partial(method, ops, *arguments, **options)
        result = compute()
        if ops._tape is not None:
            again = compute if result is None else lambda: np.copyto(result, compute())
            ops._tape.append(again)
        return result

    return run  # type: ignore[return-value]


class NumpyOps(Ops):
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
        self._moves: np.ndarray | None = None  # what an update works with
        self._frozen = False  # whether the running capture computes parameters' parts only once

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
        usual = np.getbufsize()
        np.setbufsize(usual if frozen else BUFFER)  # as in repetitions: NumPy 2.1 sums by buffers
        try:
            result, calls = compute(), tuple(self._tape)
        finally:
            self._tape = None
            np.setbufsize(usual)

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
            self._tape.append(_bound(function, arguments, options))
        return function(*arguments, **options)

    def _prepare(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """As `_run`, for what depends on parameters alone."""
        if self._frozen and self._tape is not None:
            return function(*arguments, **options)
        return self._run(function, *arguments, **options)

    def im2col(self, x: Array, kernel: tuple[int, int], stride: int = 1, padding: int = 0) -> Array:
        channels, height, width, count = x.shape
        rows = output_size(height, kernel[0], stride, padding)
        cols = output_size(width, kernel[1], stride, padding)
        columns = self._new(channels * kernel[0] * kernel[1], rows * cols * count)
        x = self._pad(x, padding)
        c, h, w, n = x.strides
        shape, steps = (channels, *kernel, rows, cols, count), (h * stride, w * stride, n)
        view = as_strided(x, shape, (c, h, w, *steps), writeable=False)
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
                pixels = x[every(i, stride, rows, j, cols)]
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

    # What few networks need is repeated as the reference has it; LeNet-5's pools are in the stage.
    mean = _repeated(Ops.mean)
    average_pool = _repeated(Ops.average_pool)
    average_pool_backward = _repeated(Ops.average_pool_backward)
    max_pool = _repeated(Ops.max_pool)
    max_pool_backward = _repeated(Ops.max_pool_backward)

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
        count, height, width, *colours = images.shape
        channels = math.prod(colours)
        pixels = images.reshape(count, height * width, channels).transpose(2, 1, 0)
        if count > 1:  # in two steps NumPy turns and converts faster
            pixels = self._run(_copy, pixels, out=np.empty(pixels.shape, images.dtype))
        x = self._new(channels, height, width, count)
        self._run(np.copyto, x.reshape(pixels.shape), pixels)
        self._run(np.multiply, x, self.dtype(scale), out=x)
        return self._run(np.add, x, self.dtype(shift), out=x)

    warped_batch = _repeated(Ops.warped_batch)  # for tests alone: images stay on the host

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        out = self._new(a.shape[0], b.shape[1]) if out is None else out
        product = np.multiply if a.shape[1] == 1 else np.dot  # of one image; BLAS is slower
        return self._run(product, a, b, out)

    def affine(self, weight: Array, x: Array, bias: Array) -> Array:
        y = self.matmul(weight, x)
        return self._run(np.add, y, bias[:, None], out=y)

    def with_row(self, x: Array, value: float) -> Array:
        y = self._new(len(x) + 1, x.shape[1])
        y[-1] = value
        self._run(np.copyto, y[:-1], x)
        return y

    def sum_columns(self, x: Array, out: Array | None = None) -> Array:
        out = self._new(x.shape[0]) if out is None else out
        return self._run(np.add.reduce, x, axis=1, out=out)

    def multiply(self, a: Array, b: Array, out: Array | None = None) -> Array:
        out = self._new(*np.broadcast_shapes(a.shape, b.shape)) if out is None else out
        return self._run(np.multiply, a, b, out=out)

    def add(self, a: Array, b: Array) -> Array:
        return self._run(np.add, a, b, out=self._new(*np.broadcast_shapes(a.shape, b.shape)))

    def activation(self, kind: str, x: Array) -> Array:
        return self._apply(VALUE, kind, x, out=self._new(*x.shape))

    def activation_backward(self, kind: str, dy: Array, y: Array) -> Array:
        slope = self._apply(SLOPE, kind, y, out=self._new(*y.shape))
        return self._run(np.multiply, slope, dy, out=slope)

    def _apply(self, which: int, kind: str, x: Array, out: Array) -> Array:
        """An entry of an activation, VALUE or SLOPE; out may be x itself."""
        if kind in IN_PLACE:
            return IN_PLACE[kind][which](self._run, self.dtype, x, out)
        f = activation_entry(ACTIVATIONS, kind)[which]
        return self._run(lambda: _copy(f(self, x), out=out))

    def fuses_stage(self, settings: StageSettings) -> bool:
        return True

    def stage(
        self, x: Array, weight: Array, bias: Array, settings: StageSettings
    ) -> tuple[Array, tuple[BlockedStage, Array]]:
        blocked = BlockedStage(x.shape, settings, self.dtype)
        blocked.place(weight, bias, self._prepare)
        y = blocked.forward(x, partial(self._apply, VALUE, settings.activation), self._run)
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
        slope = partial(self._apply, SLOPE, settings.activation)
        blocked.backward(dy, dweight, dbias, slope, self._run)
        return blocked.input_gradient(self._run) if input_gradient else None

    def softmax(self, logits: Array) -> Array:
        p, row = self._new(*logits.shape), self._new(logits.shape[1])
        each = row if len(row) > 1 else row.reshape(())  # with a number NumPy has less to do
        self._run(np.maximum.reduce, logits, axis=0, out=row)
        self._run(np.subtract, logits, each, out=p)
        self._run(np.exp, p, out=p)
        self._run(np.dot, np.ones(len(p), p.dtype), p, row)
        return self._run(np.divide, p, each, out=p)

    def softmax_cross_entropy(
        self, logits: Array, labels: Array, scale: float, into: Place = None, targets: Array = None,
        compete: bool = True, rivals: int | None = None,
    ) -> tuple[Array, Array, Array]:  # fmt: skip
        run, (classes, count) = self._run, logits.shape
        p, one_hot = self._new(classes, count), self._new(classes, count)
        row, shifted, losses, hits = (self._new(count) for _ in range(4))
        run(np.maximum.reduce, logits, axis=0, out=row)
        run(np.subtract, logits, row, out=p)
        run(np.equal, np.arange(classes)[:, None], labels, out=one_hot, casting="unsafe")
        work = self._new(classes, count)
        run(np.multiply, one_hot, p, out=work)
        run(np.add.reduce, work, axis=0, out=shifted)
        best: Any = self.dtype(0.0)  # of the shifted logits
        if rivals is not None:
            best = run(np.maximum.reduce, p[:rivals], axis=0, out=losses)
        run(np.greater_equal, shifted, best, out=hits, casting="unsafe")
        if targets is not None:
            run(np.multiply, targets, p, out=work)
            run(np.add.reduce, work, axis=0, out=shifted)
        if compete:
            run(np.exp, p, out=p)
            run(np.add.reduce, p, axis=0, out=row)
            run(np.divide, p, row, out=p)
            run(np.log, row, out=losses)
            run(np.subtract, losses, shifted, out=losses)
        else:
            run(p.fill, 0.0)
            run(np.add, row, shifted, out=losses)
            run(np.negative, losses, out=losses)
        run(np.subtract, p, one_hot if targets is None else targets, out=p)
        run(np.multiply, p, self.dtype(scale), out=p)
        if into is not None:
            for vector, part in zip(into[:2], (losses, hits), strict=True):
                run(_put, vector, into[2], part)
            losses, hits = into[:2]
        return losses, hits, p

    # Updates: a capture records each as one call, which reads the rates anew

    def _scratch(self, shape: tuple[int, ...]) -> np.ndarray:
        """Room for an update, the same each time: what it holds is dead when the update ends."""
        if self._moves is None or self._moves.shape != shape:
            self._moves = aligned_empty(shape, self.dtype)
        return self._moves

    @_repeated
    def sgd_update(
        self,
        value: Array,
        gradient: Array,
        velocity: Array | None,
        rates: Sequence[float],
        settings: SGDSettings,
    ) -> None:
        if velocity is not None or settings.weight_decay:
            super().sgd_update(value, gradient, velocity, rates, settings)
            return
        move = np.multiply(gradient, self.dtype(rates[0]), out=self._scratch(value.shape))
        np.subtract(value, move, out=value)

    @_repeated
    def adam_update(
        self,
        value: Array,
        gradient: Array,
        mean: Array,
        square: Array,
        rates: Sequence[float],
        settings: AdamSettings,
    ) -> None:
        (beta1, beta2), decay = settings.betas, settings.weight_decay
        learning_rate, step = map(float, rates)
        work, scalar = self._scratch(value.shape), self.dtype
        if decay and settings.decoupled:
            np.multiply(value, scalar(1.0 - learning_rate * decay), out=value)
        elif decay:
            gradient = gradient + scalar(decay) * value
        # 1 - beta is taken in float64: in float32 it would lose digits.
        np.multiply(mean, scalar(beta1), out=mean)
        np.add(mean, np.multiply(gradient, scalar(1.0 - beta1), out=work), out=mean)
        np.multiply(square, scalar(beta2), out=square)
        np.multiply(gradient, gradient, out=work)
        np.add(square, np.multiply(work, scalar(1.0 - beta2), out=work), out=square)
        np.multiply(np.sqrt(square, out=work), scalar((1 - beta2**step) ** -0.5), out=work)
        np.divide(mean, np.add(work, scalar(settings.epsilon), out=work), out=work)
        rate = scalar(learning_rate / (1 - beta1**step))
        np.subtract(value, np.multiply(work, rate, out=work), out=value)


def _bound(
    function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> Callable[[], Any]:
    """The call in the form that NumPy takes in fastest: no bare numbers, `out` by its place."""
    if isinstance(function, np.ufunc):
        arguments = tuple(map(np.asarray, arguments))
        if options.keys() == {"out"} and function is not np.maximum:  # which wants it named
            return partial(function, *arguments, options["out"])
    return partial(function, *arguments, **options)


def _copy(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    np.copyto(out, x)
    return out


def _put(vector: np.ndarray, place: np.ndarray, values: np.ndarray) -> None:
    vector[place[0] : place[0] + len(values)] = values
