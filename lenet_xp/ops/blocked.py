"""Windows on NumPy: im2col, pools, and the stage, blocked by pooling windows.

The stage is convolution, activation and average pool as one operation.

A column is the patch of pixels that feeds one pooling window. The kernel matrix holds the kernel
once for every output of the window, shifted within the patch, and zeros elsewhere, so that one
product yields all of them: for LeNet-5 1.44 times the arithmetic of plain im2col, but 2.8 times
less copying and four times as many rows, which matrix libraries like. A last row of ones meets the
biases. ARCHITECTURE.md has the drawing.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike

from lenet_xp.ops.reference import Array, Ops, every, output_size, phases
from lenet_xp.ops.settings import StageSettings

ALIGNMENT = 64  # bytes: a cache line, and the width of an AVX-512 register

# Below this many multiplications OpenBLAS takes a path without packing, faster for flat matrices.
SMALL_PRODUCT = 1_000_000


def aligned_empty(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """An uninitialised array whose first element is aligned to 64 bytes."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(size + ALIGNMENT, dtype=np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


class BlockedStage:
    """All workspaces and views of one stage for one shape of input.

    shape: of x (C, H, W, N). Rows of pooling windows are processed in groups, each one matrix
    product. Backward may follow each forward once.
    """

    def __init__(
        self, shape: tuple[int, int, int, int], settings: StageSettings, dtype: type[np.floating]
    ):
        self.shape, self.kernel_shape = shape, settings.kernels
        stride, padding, pool = settings.stride, settings.padding, settings.pool
        self.stride, self.padding, self.pool = stride, padding, pool
        out_channels, channels, *kernel = settings.kernels
        self.rows, self.cols = (
            output_size(size, k, stride, padding) // pool
            for size, k in zip(shape[1:3], kernel, strict=True)
        )
        self.patch = tuple(k + (pool - 1) * stride for k in kernel)
        self.depth = channels * self.patch[0] * self.patch[1]
        outputs, count = pool * pool * out_channels, shape[3]
        self.group_rows = self._choose_group(outputs)
        self.groups = self.rows // self.group_rows
        self.slabs = self._slabs(outputs)

        def new(*size: int) -> np.ndarray:
            return aligned_empty(size, dtype)

        self.padded = new(channels, shape[1] + 2 * padding, shape[2] + 2 * padding, count)
        self.padded.fill(0.0)
        self.columns = new(self.groups, self.depth + 2, self.group_rows * self.cols * count)
        self.columns[:, :: self.depth + 1] = 1.0
        self.matrix = new(outputs, self.depth + 2)
        self.matrix.fill(0.0)
        self.a = new(self.groups, outputs, self.columns.shape[2])
        self.y = new(out_channels, self.rows, self.cols, count)
        self.share = new(*self.y.shape)
        self.dmatrices = new(self.groups, self.depth + 2, outputs)
        self.dmatrices.fill(0.0)
        self.dmatrix = new(self.depth + 2, outputs)
        self.mean = dtype(1.0 / pool**2)
        self._make_views()

    def _choose_group(self, outputs: int) -> int:
        """Rows to a product: the most that keep it small, or all where even one row is large."""
        row = outputs * (self.depth + 2) * self.cols * self.shape[3]
        divisors = (r for r in range(1, self.rows + 1) if self.rows % r == 0)
        return max((r for r in divisors if r * row < SMALL_PRODUCT), default=self.rows)

    def _slabs(self, outputs: int) -> list[tuple[slice, slice]]:
        """For each product, its rows of the matrix and the stretch of its columns that it needs.

        The first row of phases begins with the ones above the patch, the others end with the ones
        below. One image is too little work for more than one product.
        """
        if self.pool == 1 or self.shape[3] == 1:
            return [(slice(0, outputs), slice(0, self.depth + 1))]
        line = self.depth // self.patch[0]  # pixels in a row of patches, of all channels
        first = self.kernel_shape[2] * line + 1
        each = outputs // self.pool
        slabs = [(slice(0, each), slice(0, first))]
        for i in range(1, self.pool):
            place = slice(i * each, (i + 1) * each)
            slabs.append((place, slice(1 + i * self.stride * line, self.depth + 2)))
        return slabs

    def _make_views(self) -> None:
        channels, count = self.shape[0], self.shape[3]
        split = (self.groups, self.group_rows, self.cols, count)
        self.column_pixels = self.columns[:, 1:-1].reshape(
            self.groups, self.patch[0], channels, self.patch[1], *split[1:]
        )
        self.matrix_kernels = self._kernels_in(self.matrix[:, 1:], *self.matrix.strides)
        self.matrix_biases = self.matrix[:, :: self.depth + 1].reshape(
            -1, self.kernel_shape[0], 2
        )
        self.dmatrix_kernels = self._kernels_in(self.dmatrix[1:], *self.dmatrix.strides[::-1])
        self.dmatrix_biases = self.dmatrix[:: self.depth + 1].reshape(
            2, -1, self.kernel_shape[0]
        )
        self.phases = self.a.reshape(self.groups, self.pool**2, self.kernel_shape[0], *split[1:])
        self.y_groups = self._in_groups(self.y)
        self.share_groups = self._in_groups(self.share)[:, None]

    def _in_groups(self, y: np.ndarray) -> np.ndarray:
        """A view (groups, ..., group rows, cols, N) of (..., rows, cols, N)."""
        shape = (self.groups, *y.shape[:-3], self.group_rows, *y.shape[-2:])
        row = y.strides[-3]
        strides = (self.group_rows * row, *y.strides[:-3], row, *y.strides[-2:])
        return as_strided(y, shape, strides)

    def _kernels_in(self, matrix: np.ndarray, output: int, pixel: int) -> np.ndarray:
        """A view (pool, pool, O, C, KH, KW) of where the kernels stand in a block matrix.

        output, pixel: the matrix's strides, in bytes, along its outputs and its patch pixels.
        """
        out_channels, channels, *kernel = self.kernel_shape
        line = channels * self.patch[1] * pixel
        strides = (
            self.pool * out_channels * output + self.stride * line,
            out_channels * output + self.stride * pixel,
            output,
            self.patch[1] * pixel,
            line,
            pixel,
        )
        shape = (self.pool, self.pool, out_channels, channels, *kernel)
        return as_strided(matrix, shape, strides)

    def _patches(self, x: np.ndarray) -> np.ndarray:
        """A view of x in the order of `column_pixels`."""
        c, h, w, n = x.strides
        step = self.stride * self.pool
        strides = (self.group_rows * step * h, h, c, w, step * h, step * w, n)
        return as_strided(x, self.column_pixels.shape, strides, writeable=False)

    def place(self, weight: np.ndarray, bias: np.ndarray, run: Callable[..., Any]) -> None:
        """Set the block matrix; run(f, ...) calls f(...)."""
        run(np.copyto, self.matrix_kernels, weight)
        run(np.copyto, self.matrix_biases, bias[:, None])

    def forward(
        self, x: np.ndarray, activate: Callable[..., Any], run: Callable[..., Any]
    ) -> np.ndarray:
        """y (O, rows, cols, N); activate(a, out=a) works in place."""
        if self.padding:
            p = self.padding
            run(np.copyto, self.padded[:, p : p + x.shape[1], p : p + x.shape[2]], x)
            x = self.padded
        run(np.copyto, self.column_pixels, self._patches(x))
        for rows, pixels in self.slabs:
            run(np.matmul, self.matrix[rows, pixels], self.columns[:, pixels], out=self.a[:, rows])
        activate(self.a, out=self.a)
        run(np.add.reduce, self.phases, axis=1, out=self.y_groups)
        run(np.multiply, self.y, self.mean, out=self.y)
        return self.y

    def backward(
        self,
        dy: np.ndarray,
        dweight: np.ndarray,
        dbias: np.ndarray,
        slope: Callable[..., Any],
        run: Callable[..., Any],
    ) -> None:
        """Fill in dweight and dbias; slope(a, out=a) turns f(x) into f'(x) in place."""
        run(np.multiply, dy, self.mean, out=self.share)
        # Group by group, so that what is multiplied is still near the core.
        for i, (columns, a) in enumerate(zip(self.columns, self.a, strict=True)):
            slope(a, out=a)
            run(np.multiply, self.phases[i], self.share_groups[i], out=self.phases[i])
            for rows, pixels in self.slabs:
                run(np.matmul, columns[pixels], a[rows].T, out=self.dmatrices[i, pixels, rows])
        run(np.add.reduce, self.dmatrices, axis=0, out=self.dmatrix)
        run(np.add.reduce, self.dmatrix_kernels, axis=(0, 1), out=dweight)
        run(np.add.reduce, self.dmatrix_biases, axis=(0, 1), out=dbias)

    def input_gradient(self, run: Callable[..., Any]) -> np.ndarray:
        """dx, after `backward`: the columns' gradients, written over the columns, folded back.

        Pixels that lie a patch's stride apart have the same place in their patches. Kept apart as
        stride x stride phases they are neighbours, and each addition is one long run.
        """
        run(np.matmul, self.matrix.T[1:-1], self.a, out=self.columns[:, 1:-1])
        channels, height, width, count = self.shape
        step = self.stride * self.pool
        blocks = [-(-side // step) for side in self.patch]
        high = max(-(-(height + 2 * self.padding) // step), self.rows + blocks[0] - 1)
        wide = max(-(-(width + 2 * self.padding) // step), self.cols + blocks[1] - 1)
        sums = aligned_empty((step, channels, step, high, wide, count), self.y.dtype)
        run(sums.fill, 0.0)
        for i, j in np.ndindex(*blocks):
            top, left = i * step, j * step
            part = self.column_pixels[:, top : top + step, :, left : left + step]
            phases = sums[: part.shape[1], :, : part.shape[3]]
            place = self._in_groups(phases[:, :, :, i : i + self.rows, j : j + self.cols])
            run(np.add, place, part, out=place)
        dx = aligned_empty((channels, high, step, wide, step, count), self.y.dtype)
        run(np.copyto, dx, sums.transpose(1, 3, 0, 4, 2, 5))
        p, pixels = self.padding, dx.reshape(channels, high * step, wide * step, count)
        return pixels[:, p : p + height, p : p + width]


class WindowOps(Ops):
    """The operations on windows of NumPy arrays, without the blocking: im2col, col2im, pools."""

    _run: Callable[..., Any]  # calls a NumPy function that writes into `out`; see NumpyOps
    _new: Callable[..., np.ndarray]

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

    def average_pool(self, x: Array, size: int) -> Array:
        rows, cols = x.shape[1] // size, x.shape[2] // size
        y = self._pool(np.add, x, size, self._new(x.shape[0], rows, cols, x.shape[3]))
        return self._run(np.multiply, y, self.dtype(1.0 / size**2), out=y)

    def max_pool(self, x: Array, size: int) -> Array:
        rows, cols = x.shape[1] // size, x.shape[2] // size
        return self._pool(np.maximum, x, size, self._new(x.shape[0], rows, cols, x.shape[3]))

    def _pool(self, combine: np.ufunc, x: Array, size: int, out: Array) -> Array:
        """The phases of all blocks combined one after the other."""
        first, *others = phases(size, out.shape[1], out.shape[2])
        self._run(np.copyto, out, x[first])
        for phase in others:
            self._run(combine, out, x[phase], out=out)
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
        for phase in phases(size, rows, cols):
            self._run(np.copyto, dx[phase], share)
        return dx

    def max_pool_backward(self, dy: Array, x: Array, y: Array, size: int) -> Array:
        rows, cols = y.shape[1], y.shape[2]
        dx = self._new(*x.shape)
        if (rows * size, cols * size) != x.shape[1:3]:
            self._run(dx.fill, 0.0)
        free, winner = np.empty(y.shape, bool), np.empty(y.shape, bool)
        self._run(free.fill, True)
        for phase in phases(size, rows, cols):
            self._run(np.equal, x[phase], y, out=winner)
            self._run(np.logical_and, winner, free, out=winner)
            self._run(np.multiply, dy, winner, out=dx[phase])
            self._run(np.greater, free, winner, out=free)
        return dx
