"""NumPy on the CPU: the reference with preallocated results and a blocked stage."""

from contextlib import AbstractContextManager

import numpy as np
from numpy.lib.stride_tricks import as_strided

from lenet_xp.ops.arena import Arena
from lenet_xp.ops.reference import SCALED_TANH, Array, Ops, output_size


class NumpyOps(Ops):
    """The operations on NumPy arrays; every override gives the reference's result."""

    name = "numpy"

    def __init__(self, dtype: str = "float32"):
        super().__init__(np, dtype)
        self._arena = Arena()

    def sibling(self) -> "NumpyOps":
        return NumpyOps(self.dtype_name)

    def step(self) -> AbstractContextManager:
        return self._arena

    def _new(self, *shape: int) -> np.ndarray:
        return self._arena.take(shape, self.dtype)

    def im2col(
        self, x: Array, kernel: tuple[int, int], stride: int = 1, padding: int = 0
    ) -> Array:
        channels, height, width, count = x.shape
        rows = output_size(height, kernel[0], stride, padding)
        cols = output_size(width, kernel[1], stride, padding)
        columns = self._new(channels * kernel[0] * kernel[1], rows * cols * count)
        windows = _windows(self._pad(x, padding), kernel, stride, (rows, cols))
        columns.reshape(windows.shape)[...] = windows
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
        x.fill(0.0)
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                pixels = x[:, i : i + stride * rows : stride, j : j + stride * cols : stride]
                np.add(pixels, columns[:, i, j], out=pixels)
        return x[:, padding : padding + height, padding : padding + width]

    def _pad(self, x: Array, padding: int) -> Array:
        if padding == 0:
            return x
        channels, height, width, count = x.shape
        padded = self._new(channels, height + 2 * padding, width + 2 * padding, count)
        padded.fill(0.0)
        padded[:, padding : padding + height, padding : padding + width] = x
        return padded

    def matmul(self, a: Array, b: Array) -> Array:
        return np.matmul(a, b, out=self._new(a.shape[0], b.shape[1]))

    def affine(self, weight: Array, x: Array, bias: Array) -> Array:
        y = self.matmul(weight, x)
        return np.add(y, bias[:, None], out=y)

    def average_pool(self, x: Array, size: int) -> Array:
        rows, cols = x.shape[1] // size, x.shape[2] // size
        y = self._new(x.shape[0], rows, cols, x.shape[3])
        for i in range(size):
            for j in range(size):
                phase = x[:, i : rows * size : size, j : cols * size : size]
                if i == j == 0:
                    np.copyto(y, phase)
                else:
                    np.add(y, phase, out=y)
        return np.multiply(y, self.dtype(1.0 / size**2), out=y)

    def average_pool_backward(
        self, dy: Array, shape: tuple[int, int, int, int], size: int
    ) -> Array:
        rows, cols = dy.shape[1], dy.shape[2]
        dx = self._new(*shape)
        if rows * size != shape[1] or cols * size != shape[2]:
            dx.fill(0.0)
        share = np.multiply(dy, self.dtype(1.0 / size**2), out=self._new(*dy.shape))
        for i in range(size):
            for j in range(size):
                dx[:, i : rows * size : size, j : cols * size : size] = share
        return dx

    def activation(self, kind: str, x: Array) -> Array:
        return self._activate(kind, x, out=self._new(*x.shape))

    def _activate(self, kind: str, x: Array, out: Array) -> Array:
        if kind == "tanh":
            return np.tanh(x, out=out)
        if kind == "relu":
            return np.maximum(x, self.dtype(0.0), out=out)
        if kind == "scaled_tanh":
            amplitude, slope = map(self.dtype, SCALED_TANH)
            np.multiply(x, slope, out=out)
            np.tanh(out, out=out)
            return np.multiply(out, amplitude, out=out)
        raise ValueError(f"unknown activation {kind!r}: tanh, scaled_tanh or relu")

    def activation_backward(self, kind: str, dy: Array, y: Array) -> Array:
        slope = self._slope(kind, y, out=self._new(*y.shape))
        return np.multiply(slope, dy, out=slope)

    def _slope(self, kind: str, y: Array, out: Array) -> Array:
        """f'(x) written in y = f(x); out may be y itself."""
        if kind == "relu":
            return np.greater(y, self.dtype(0.0), out=out, casting="unsafe")
        if kind not in ("tanh", "scaled_tanh"):
            raise ValueError(f"unknown activation {kind!r}: tanh, scaled_tanh or relu")
        np.multiply(y, y, out=out)
        if kind == "tanh":
            return np.subtract(self.dtype(1.0), out, out=out)
        amplitude, slope = SCALED_TANH
        np.multiply(out, self.dtype(slope / amplitude), out=out)
        return np.subtract(self.dtype(slope * amplitude), out, out=out)

    # The stage, blocked by pooling windows: ARCHITECTURE.md has the drawing

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
    ) -> tuple[Array, tuple]:
        block = _Block(x.shape, weight.shape, stride, padding, pool)
        columns = self._new(block.depth + 1, block.rows * block.cols * x.shape[3])
        windows = _windows(
            self._pad(x, padding), block.patch, block.stride, (block.rows, block.cols)
        )
        columns[:-1].reshape(windows.shape)[...] = windows
        columns[-1] = 1.0  # meets the bias, so that the product adds it
        matrix = self._new(pool * pool * weight.shape[0], block.depth + 1)
        matrix.fill(0.0)
        block.kernels(matrix)[...] = weight
        matrix[:, -1].reshape(-1, weight.shape[0])[...] = bias

        a = np.matmul(matrix, columns, out=self._new(matrix.shape[0], columns.shape[1]))
        self._activate(activation, a, out=a)
        y = self._new(weight.shape[0], block.rows, block.cols, x.shape[3])
        phases = a.reshape(pool * pool, *y.shape)
        np.add.reduce(phases, axis=0, out=y)
        np.multiply(y, self.dtype(1.0 / pool**2), out=y)
        return y, (block, columns, matrix, a)

    def stage_backward(
        self,
        dy: Array,
        saved: tuple,
        weight: Array,
        *,
        stride: int,
        padding: int,
        activation: str,
        pool: int,
        input_gradient: bool,
    ) -> tuple[Array | None, Array, Array]:
        block, columns, matrix, a = saved
        share = np.multiply(dy, self.dtype(1.0 / pool**2), out=self._new(*dy.shape))
        dz = self._slope(activation, a, out=self._new(*a.shape))
        phases = dz.reshape(pool * pool, *dy.shape)
        np.multiply(phases, share, out=phases)
        dmatrix = np.matmul(dz, columns.T, out=self._new(*matrix.shape))
        dweight = block.kernels(dmatrix).sum(axis=(0, 1))
        dbias = dmatrix[:, -1].reshape(-1, weight.shape[0]).sum(axis=0)
        if not input_gradient:
            return None, dweight, dbias
        dcolumns = self.matmul(matrix[:, :-1].T, dz)
        dx = self.col2im(dcolumns, block.input_shape, block.patch, block.stride, padding)
        return dx, dweight, dbias


class _Block:
    """The geometry of a stage whose columns are the patches that feed one pooling window each.

    A patch yields the pool x pool outputs of one window, so the kernel matrix holds the kernel
    once for every output of the window, shifted within the patch, and zeros elsewhere.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int, int],
        weight_shape: tuple[int, int, int, int],
        stride: int,
        padding: int,
        pool: int,
    ):
        self.input_shape, self.weight_shape = input_shape, weight_shape
        _, channels, *kernel = weight_shape
        self.patch = tuple(k + (pool - 1) * stride for k in kernel)
        self.depth = channels * self.patch[0] * self.patch[1]
        self.stride, self.shift, self.pool = stride * pool, stride, pool
        self.rows, self.cols = (
            output_size(s, k, stride, padding) // pool
            for s, k in zip(input_shape[1:3], kernel, strict=True)
        )

    def kernels(self, matrix: np.ndarray) -> np.ndarray:
        """A view (pool, pool, O, C, KH, KW) of where the kernels stand in the block matrix."""
        out_channels, channels, *kernel = self.weight_shape
        row, item = matrix.strides
        line = self.patch[1] * item
        strides = (
            self.pool * out_channels * row + self.shift * line,
            out_channels * row + self.shift * item,
            row,
            self.patch[0] * line,
            line,
            item,
        )
        shape = (self.pool, self.pool, out_channels, channels, *kernel)
        return as_strided(matrix, shape, strides)


def _windows(
    x: np.ndarray, kernel: tuple[int, int], stride: int, grid: tuple[int, int]
) -> np.ndarray:
    """A view (C, KH, KW, rows, cols, N) of the windows of x (C, H, W, N)."""
    c, h, w, n = x.strides
    shape = (x.shape[0], *kernel, *grid, x.shape[3])
    return as_strided(x, shape, (c, h, w, h * stride, w * stride, n), writeable=False)
