"""The stage on NumPy: convolution, activation and average pool as one, blocked by pooling windows.

A column is the patch of pixels that feeds one pooling window, between two ones. The kernel matrix
holds the kernel once for every output of the window (a phase), shifted within the patch, and zeros
elsewhere. The patch's rows are outermost in a column, so the phases of one row meet a stretch of
it, a slab, and need one product with that: for LeNet-5 1.2 times the arithmetic of plain im2col,
but 2.8 times less copying and more rows, which matrix libraries like. The ones meet the biases.
ARCHITECTURE.md has the drawing.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike

from lenet_xp.ops.settings import StageSettings
from lenet_xp.ops.windows import output_size

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

    shape: of x (C, H, W, N). Products take rows of pooling windows in turns, where that keeps them
    small. Backward may follow each forward once.
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
        self.slabs = self._slabs(outputs)

        def new(*size: int) -> np.ndarray:
            return aligned_empty(size, dtype)

        self.padded = new(channels, shape[1] + 2 * padding, shape[2] + 2 * padding, count)
        self.padded.fill(0.0)
        self.columns = new(self.depth + 2, self.rows * self.cols * count)
        self.columns[:: self.depth + 1] = 1.0
        self.matrix = new(self.depth + 2, outputs)
        self.matrix.fill(0.0)
        self.a = new(outputs, self.columns.shape[1])
        self.y = new(out_channels, self.rows, self.cols, count)
        self.means = np.full(pool**2, 1.0 / pool**2, dtype)

    def _turns(self, entries: int) -> int:
        """In how many turns to multiply with so many entries of the matrix: all rows, or few.

        The fewest with which a product is small, or one where even one row is large.
        """
        row = entries * self.cols * self.shape[3]
        divisors = (r for r in range(self.rows, 0, -1) if self.rows % r == 0)
        return self.rows // next((r for r in divisors if r * row < SMALL_PRODUCT), self.rows)

    def _slabs(self, outputs: int) -> list[tuple[slice, slice]]:
        """For each row of phases, the stretch of a column that it meets, and its outputs.

        The first row of phases takes its biases from the ones above the pixels, the others from
        those below. One image is too little work for more than one product.
        """
        if self.pool == 1 or self.shape[3] == 1:
            return [(slice(0, self.depth + 1), slice(0, outputs))]
        each, line = outputs // self.pool, self.depth // self.patch[0]
        slabs = [slice(0, 1 + max(self.kernel_shape[2], self.stride) * line)]
        slabs += [slice(1 + i * self.stride * line, self.depth + 2) for i in range(1, self.pool)]
        return [(slab, slice(i * each, (i + 1) * each)) for i, slab in enumerate(slabs)]

    def _bands(self) -> Iterator[tuple[slice, slice]]:
        """For each stretch of pixels that the same slabs hold: the stretch, and their outputs."""
        ends = {end for slab, _ in self.slabs for end in (slab.start, slab.stop)}
        for top, bottom in pairwise(sorted({min(max(end, 1), self.depth + 1) for end in ends})):
            met = [rows for slab, rows in self.slabs if slab.start <= top and bottom <= slab.stop]
            yield slice(top, bottom), slice(met[0].start, met[-1].stop)

    def _in_turns(self, columns: np.ndarray, turns: int) -> np.ndarray:
        """A view (turns, K, L) of columns (K, turns * L)."""
        return columns.reshape(len(columns), turns, -1).transpose(1, 0, 2)

    def _kernels_in(self, matrix: np.ndarray) -> np.ndarray:
        """A view (pool, pool, O, C, KH, KW) of where the kernels stand in a block matrix."""
        out_channels, channels, *kernel = self.kernel_shape
        pixel, output = matrix.strides
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
        return as_strided(matrix[1:], shape, strides)

    def _biases_in(self, matrix: np.ndarray) -> np.ndarray:
        """A view (2, pool * pool, O) of the biases in a block matrix, which meet the ones."""
        return matrix[:: self.depth + 1].reshape(2, -1, self.kernel_shape[0])

    def _places(self) -> np.ndarray:
        """Where each pixel of the columns stands in x (C * H * W, N), padded."""
        shape, step = self.padded.shape[:3], self.stride * self.pool
        places = np.arange(np.prod(shape)).reshape(shape)
        c, h, w = places.strides
        patches = self.patch[0], shape[0], self.patch[1], self.rows, self.cols
        return np.array(as_strided(places, patches, (h, c, w, step * h, step * w))).ravel()

    def place(self, weight: np.ndarray, bias: np.ndarray, run: Callable[..., Any]) -> None:
        """Set the block matrix; run(f, ...) calls f(...)."""
        run(np.copyto, self._kernels_in(self.matrix), weight)
        run(np.copyto, self._biases_in(self.matrix), bias)

    def forward(
        self, x: np.ndarray, activate: Callable[..., Any], run: Callable[..., Any]
    ) -> np.ndarray:
        """y (O, rows, cols, N); activate(a, out=a) works in place."""
        if self.padding or not x.flags.c_contiguous:
            p = self.padding
            run(np.copyto, self.padded[:, p : p + x.shape[1], p : p + x.shape[2]], x)
            x = self.padded
        # By their places pixels are copied several times faster than by strides; none is clipped.
        pixels = self.columns[1:-1].reshape(-1, x.shape[-1])
        run(x.reshape(-1, x.shape[-1]).take, self._places(), axis=0, out=pixels, mode="clip")
        turns = self._turns(max(self.matrix[slab].size for slab in self.slabs))
        if turns == len(self.slabs) == 1:  # np.dot begins sooner
            run(np.dot, self.matrix[:-1].T, self.columns[:-1], self.a)
        else:
            columns, a = (self._in_turns(each, turns) for each in (self.columns, self.a))
            for slab, rows in self.slabs:
                run(np.matmul, self.matrix[slab, rows].T, columns[:, slab], out=a[:, rows])
        activate(self.a, out=self.a)
        run(np.dot, self.means, self.a.reshape(len(self.means), -1), self.y.reshape(-1))
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
        share = run(np.multiply, dy, self.means[0], out=aligned_empty(dy.shape, dy.dtype))
        phases = self.a.reshape(len(self.means), -1)
        slope(self.a, out=self.a)
        run(np.multiply, phases, share.reshape(-1), out=phases)
        turns = self._turns(self.matrix.size)
        dmatrices = aligned_empty((turns, *self.matrix.shape), dy.dtype)
        dmatrices.fill(0.0)
        columns, a = (self._in_turns(each, turns) for each in (self.columns, self.a))
        for slab, rows in self.slabs:
            dz = a[:, rows].swapaxes(1, 2)
            run(np.matmul, columns[:, slab], dz, out=dmatrices[:, slab, rows])
        dmatrix = run(np.add.reduce, dmatrices, axis=0, out=np.empty_like(self.matrix))
        run(np.add.reduce, self._kernels_in(dmatrix), axis=(0, 1), out=dweight)
        run(np.add.reduce, self._biases_in(dmatrix), axis=(0, 1), out=dbias)

    def input_gradient(self, run: Callable[..., Any]) -> np.ndarray:
        """dx, after `backward`: the columns' gradients, written over the columns, folded back.

        Pixels that lie a patch's stride apart have the same place in their patches. Kept apart as
        stride x stride phases they are neighbours, and each addition is one long run.
        """
        for band, rows in self._bands():
            run(np.matmul, self.matrix[band, rows], self.a[rows], out=self.columns[band])
        channels, height, width, count = self.shape
        patches = self.patch[0], channels, self.patch[1], self.rows, self.cols, count
        columns, step = self.columns[1:-1].reshape(patches), self.stride * self.pool
        blocks = [-(-side // step) for side in self.patch]
        high = max(-(-(height + 2 * self.padding) // step), self.rows + blocks[0] - 1)
        wide = max(-(-(width + 2 * self.padding) // step), self.cols + blocks[1] - 1)
        sums = aligned_empty((step, channels, step, high, wide, count), self.y.dtype)
        run(sums.fill, 0.0)
        for i, j in np.ndindex(*blocks):
            top, left = i * step, j * step
            part = columns[top : top + step, :, left : left + step]
            phases = sums[: part.shape[0], :, : part.shape[2]]
            place = phases[:, :, :, i : i + self.rows, j : j + self.cols]
            run(np.add, place, part, out=place)
        dx = aligned_empty((channels, high, step, wide, step, count), self.y.dtype)
        run(np.copyto, dx, sums.transpose(1, 3, 0, 4, 2, 5))
        p, pixels = self.padding, dx.reshape(channels, high * step, wide * step, count)
        return pixels[:, p : p + height, p : p + width]
