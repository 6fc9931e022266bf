"""The array contract: every operation of the network, in portable Python Array API style.

`Ops` is the readable reference and the only place where arithmetic meets an array module. Backends
subclass it and override methods with faster ones that give the same result; they never add any.

Layout: activations are (C, H, W, N), channels first and the image index N innermost, so that every
copy, sum and pool runs over long contiguous stretches, the output of a convolution's matrix product
is the next layer's input, and flattening costs nothing. Dense activations are (features, N).
Kernels are (O, C, KH, KW), dense weights (out, in).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lenet_xp.ops.images import Images
from lenet_xp.ops.updates import Updates

Array = Any  # an array of whichever module the ops object carries

SCALED_TANH = (1.7159, 2.0 / 3.0)  # amplitude and slope, LeCun et al. 1998, Appendix A


def output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """How many positions a window of `kernel` takes along an axis of `size`."""
    return (size + 2 * padding - kernel) // stride + 1


def _every(top: int, stride: int, rows: int, left: int, cols: int) -> tuple[slice, ...]:
    """An index of (C, H, W, N): rows x cols pixels, `stride` apart, from (top, left) on.

    It ends at the last of them: the standard leaves slices beyond an axis undefined.
    """
    bottom, right = top + stride * (rows - 1) + 1, left + stride * (cols - 1) + 1
    return slice(None), slice(top, bottom, stride), slice(left, right, stride), slice(None)


def _into(out: Array | None, result: Array) -> Array:
    if out is None:
        return result
    out[...] = result
    return out


class Ops(Images, Updates):
    """The operations of the network over one array module, dtype and device."""

    name = "reference"

    def __init__(self, xp: Any, dtype: str = "float32", device: Any = None):
        self.xp = xp
        self.dtype = getattr(xp, dtype)
        self.dtype_name = dtype
        self.device = device

    # Arrays and the device

    @property
    def device_name(self) -> str:
        """The device in words, for the run record."""
        return "cpu" if self.device is None else str(self.device)

    def sibling(self) -> "Ops":
        """An ops object on the same device, for another thread."""
        return type(self)(self.xp, self.dtype_name, self.device)

    def asarray(self, host: np.ndarray) -> Array:
        """A host array on the device, floats as `dtype`, integers as int64.

        On the host, an array that is so already is not copied.
        """
        integer = np.issubdtype(np.asarray(host).dtype, np.integer)
        dtype = self.xp.int64 if integer else self.dtype
        return self.xp.asarray(host, dtype=dtype, device=self.device)

    def to_host(self, array: Array) -> np.ndarray:
        """A device array as a NumPy array of its own."""
        return np.array(array)

    def zeros(self, shape: tuple[int, ...]) -> Array:
        """An array of zeros in `dtype`."""
        return self.xp.zeros(shape, dtype=self.dtype, device=self.device)

    def arange(self, count: int) -> Array:
        """The integers 0 .. count - 1 as int64."""
        return self.xp.arange(count, dtype=self.xp.int64, device=self.device)

    def as_float(self, x: Array) -> Array:
        """A boolean array as 0 and 1 in `dtype`."""
        return self.xp.astype(x, self.dtype)

    def synchronize(self) -> None:
        """Wait until everything asked of the device is done."""

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        """x in another shape, its own memory where that is possible."""
        return self.xp.reshape(x, shape)

    def capture(self, compute: Callable[[], Any], frozen: bool = False) -> Callable[[], Any]:
        """Run compute() and return a function that does the same again, with less ado.

        compute reads host arrays and parameters that stay in place and does all its arithmetic
        through the operations of this object: what is written into its inputs counts in the next
        repetition. Every repetition gives its results in the same arrays.
        frozen: parameters will not change, so what depends on them alone need not be repeated.
        """
        compute()
        return compute

    # Convolution as a matrix product

    def im2col(self, x: Array, kernel: tuple[int, int], stride: int = 1, padding: int = 0) -> Array:
        """Windows of x (C, H, W, N) as columns (C*KH*KW, OH*OW*N).

        Row (c, i, j) holds, for every output position and image, the pixel that the kernel entry
        (c, i, j) meets there. Source: Chellapilla et al. 2006, section 3.
        """
        channels, height, width, count = x.shape
        rows, cols = (
            output_size(s, k, stride, padding) for s, k in zip((height, width), kernel, strict=True)
        )
        x = self._pad(x, padding)
        shape = (channels, *kernel, rows, cols, count)
        columns = self.zeros(shape)
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                columns[:, i, j, ...] = x[_every(i, stride, rows, j, cols)]
        return self.xp.reshape(columns, (channels * kernel[0] * kernel[1], rows * cols * count))

    def col2im(
        self,
        columns: Array,
        shape: tuple[int, int, int, int],
        kernel: tuple[int, int],
        stride: int = 1,
        padding: int = 0,
    ) -> Array:
        """The adjoint of `im2col`: every column entry added back to its pixel of (C, H, W, N)."""
        channels, height, width, count = shape
        rows, cols = (
            output_size(s, k, stride, padding) for s, k in zip((height, width), kernel, strict=True)
        )
        columns = self.xp.reshape(columns, (channels, *kernel, rows, cols, count))
        padded = (channels, height + 2 * padding, width + 2 * padding, count)
        x = self.zeros(padded)
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                x[_every(i, stride, rows, j, cols)] += columns[:, i, j, ...]
        return x[:, padding : padding + height, padding : padding + width, :]

    def _pad(self, x: Array, padding: int) -> Array:
        if padding == 0:
            return x
        channels, height, width, count = x.shape
        shape = (channels, height + 2 * padding, width + 2 * padding, count)
        padded = self.zeros(shape)
        padded[:, padding : padding + height, padding : padding + width, :] = x
        return padded

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """The matrix product (M, K) @ (K, L), written into `out` if it is given."""
        return _into(out, self.xp.matmul(a, b))

    def affine(self, weight: Array, x: Array, bias: Array) -> Array:
        """weight (M, K) @ x (K, L) + bias (M,) for each column."""
        return self.matmul(weight, x) + bias[:, None]

    def dense(self, weight: Array, x: Array, bias: Array, activation: str | None) -> Array:
        """f(weight (M, K) @ x (K, L) + bias (M,)); without an activation f is the identity."""
        y = self.affine(weight, x, bias)
        return y if activation is None else self.activation(activation, y)

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
        """Write dweight and dbias of `dense`; return dx, or None unless `input_gradient`."""
        dz = dy if activation is None else self.activation_backward(activation, dy, y)
        self.matmul(dz, x.T, out=dweight)
        self.sum_columns(dz, out=dbias)
        return self.matmul(weight.T, dz) if input_gradient else None

    def sum_columns(self, x: Array, out: Array | None = None) -> Array:
        """(M, L) summed over its columns: (M,), written into `out` if it is given."""
        return _into(out, self.xp.sum(x, axis=1))

    # Pooling

    def average_pool(self, x: Array, size: int) -> Array:
        """The mean of each size x size block of (C, H, W, N); an incomplete edge is cut."""
        rows, cols = x.shape[1] // size, x.shape[2] // size
        total: Array = None
        for i in range(size):
            for j in range(size):
                phase = x[:, i : rows * size : size, j : cols * size : size, :]
                total = phase if total is None else total + phase
        return total * (1.0 / size**2)

    def average_pool_backward(
        self, dy: Array, shape: tuple[int, int, int, int], size: int
    ) -> Array:
        """dx of `average_pool`: each output gradient shared evenly by its block."""
        rows, cols = dy.shape[1], dy.shape[2]
        dx = self.zeros(shape)
        share = dy * (1.0 / size**2)
        for i in range(size):
            for j in range(size):
                dx[:, i : rows * size : size, j : cols * size : size, :] = share
        return dx

    def max_pool(self, x: Array, size: int) -> Array:
        """The largest of each size x size block of (C, H, W, N); the same edge is cut."""
        rows, cols = x.shape[1] // size, x.shape[2] // size
        largest: Array = None
        for i in range(size):
            for j in range(size):
                phase = x[:, i : rows * size : size, j : cols * size : size, :]
                largest = phase * 1.0 if largest is None else self.xp.maximum(largest, phase)
        return largest

    def max_pool_backward(self, dy: Array, x: Array, y: Array, size: int) -> Array:
        """dx of `max_pool`: the gradient goes to the first pixel that holds the block's maximum."""
        rows, cols = y.shape[1], y.shape[2]
        dx = self.zeros(x.shape)
        free = y == y  # blocks whose maximum has not been met yet
        for i in range(size):
            for j in range(size):
                block = (
                    slice(None),
                    slice(i, rows * size, size),
                    slice(j, cols * size, size),
                    slice(None),
                )
                winner = self.xp.logical_and(free, x[block] == y)
                dx[block] = dy * self.as_float(winner)
                free = self.xp.logical_and(free, self.xp.logical_not(winner))
        return dx

    # Activations: the derivative is written in the output y, so that x need not be kept

    def activation(self, kind: str, x: Array) -> Array:
        """f(x) for `tanh`, `scaled_tanh` (1.7159 tanh(2x/3)) or `relu`."""
        if kind == "tanh":
            return self.xp.tanh(x)
        if kind == "scaled_tanh":
            amplitude, slope = SCALED_TANH
            return amplitude * self.xp.tanh(slope * x)
        if kind == "relu":
            return self.xp.maximum(x, self.zeros(x.shape))
        raise ValueError(f"unknown activation {kind!r}: tanh, scaled_tanh or relu")

    def activation_backward(self, kind: str, dy: Array, y: Array) -> Array:
        """dy * f'(x), from the output y = f(x)."""
        if kind == "tanh":
            return dy * (1.0 - y * y)
        if kind == "scaled_tanh":
            amplitude, slope = SCALED_TANH
            return dy * (slope * amplitude - (slope / amplitude) * (y * y))
        if kind == "relu":
            return dy * self.as_float(y > 0)
        raise ValueError(f"unknown activation {kind!r}: tanh, scaled_tanh or relu")

    # Convolution, activation, average pool and, where `squash` names one, another activation

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
        """squash(average_pool(activation(convolution(x)))) and what its backward pass needs.

        The pattern stands twice in LeNet-5 and takes most of its time, so backends fuse it. What
        is saved differs between them, is only good for `stage_backward` of the same object, and
        only once: backward may compute in its place.
        """
        out_channels, _, *kernel = weight.shape
        columns = self.im2col(x, tuple(kernel), stride, padding)
        matrix = self.xp.reshape(weight, (out_channels, -1))
        rows, cols = (
            output_size(s, k, stride, padding) for s, k in zip(x.shape[1:3], kernel, strict=True)
        )
        z = self.xp.reshape(
            self.affine(matrix, columns, bias), (out_channels, rows, cols, x.shape[3])
        )
        a = self.activation(activation, z)
        y = self.average_pool(a, pool)
        y = y if squash is None else self.activation(squash, y)
        return y, (x.shape, columns, a, y)

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
        """Write dweight and dbias of `stage`; return dx, or None unless `input_gradient`."""
        shape, columns, a, y = saved
        out_channels, _, *kernel = weight.shape
        dy = dy if squash is None else self.activation_backward(squash, dy, y)
        da = self.average_pool_backward(dy, a.shape, pool)
        dz = self.xp.reshape(self.activation_backward(activation, da, a), (out_channels, -1))
        self.matmul(dz, columns.T, out=self.xp.reshape(dweight, (out_channels, -1)))
        self.sum_columns(dz, out=dbias)
        if not input_gradient:
            return None
        matrix = self.xp.reshape(weight, (out_channels, -1))
        dcolumns = self.matmul(matrix.T, dz)
        return self.col2im(dcolumns, shape, tuple(kernel), stride, padding)

    # Loss

    def softmax(self, logits: Array) -> Array:
        """Probabilities (K, N) of logits (K, N), each column summing to one."""
        shifted = logits - self.xp.max(logits, axis=0, keepdims=True)
        e = self.xp.exp(shifted)
        return e / self.xp.sum(e, axis=0, keepdims=True)

    def softmax_cross_entropy(
        self,
        logits: Array,
        labels: Array,
        scale: float,
        into: tuple[Array, Array, np.ndarray] | None = None,
    ) -> tuple[Array, Array, Array]:
        """Losses (N,), hits (N,) and the gradient (K, N) of scale * sum(losses).

        logits (K, N), labels (N,) int64. A hit, 1 or 0 in the dtype of the logits, says that no
        class has a larger logit than the label.
        into: longer vectors (M,) for losses and hits, which are then these, and the place that the
        first image's go to: (1,) int64 on the host, read anew in each repetition of a capture.
        """
        xp = self.xp
        shifted = logits - xp.max(logits, axis=0, keepdims=True)
        e = xp.exp(shifted)
        total = xp.sum(e, axis=0, keepdims=True)
        log_p = shifted - xp.log(total)
        one_hot = self.as_float(self.arange(logits.shape[0])[:, None] == labels[None, :])
        losses = -xp.sum(one_hot * log_p, axis=0)
        hits = self.as_float(xp.sum(one_hot * shifted, axis=0) >= 0)
        if into is not None:
            part = slice(int(into[2][0]), int(into[2][0]) + labels.shape[0])
            into[0][part], into[1][part] = losses, hits
            losses, hits = into[:2]
        return losses, hits, (e / total - one_hot) * scale
