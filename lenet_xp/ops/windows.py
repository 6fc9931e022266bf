"""Windows on NumPy, without blocking: im2col, col2im and pools."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from lenet_xp.ops.reference import Array, Ops, every, output_size, phases


class WindowOps(Ops):
    """The operations on windows of NumPy arrays."""

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
