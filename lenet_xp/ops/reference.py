"""The array contract: every operation of the network, in portable Python Array API style.

`Ops` is the readable reference and the only place where arithmetic meets an array module. Backends
subclass it and override methods with faster ones that give the same result; they never add any.

Layout: activations are (C, H, W, N), channels first and the image index N innermost, so that every
copy, sum and pool runs over long contiguous stretches, the output of a convolution's matrix product
is the next layer's input, and flattening costs nothing. Dense activations are (features, N).
Kernels are (O, C, KH, KW), dense weights (out, in).
"""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from lenet_xp.ops.activations import ACTIVATIONS as ACTIVATIONS
from lenet_xp.ops.activations import activation_entry as activation_entry
from lenet_xp.ops.settings import StageSettings
from lenet_xp.ops.updates import Updates
from lenet_xp.ops.windows import every, phases
from lenet_xp.ops.windows import output_size as output_size

Array = Any  # an array of whichever module the ops object carries
Place = tuple[Array, Array, np.ndarray] | None  # vectors for losses and hits, where to begin


def _into(out: Array | None, result: Array) -> Array:
    if out is None:
        return result
    out[...] = result
    return out


class Ops(Updates):
    """The operations of the network over one array module, dtype and device."""

    name = "reference"
    images_per_piece = 4096  # images: worked off at once, for the memory they take
    images_per_launch = 1024  # images whose training steps are asked for in one go
    steps_per_launch = 1  # training steps asked for in one go, at most
    uses_cores = False  # whether workers on further cores of the host speed it up
    captures_slowly = False  # whether a capture takes as long as an epoch's arithmetic
    fuses_dense = False  # whether it computes a dense layer and its activation as one

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
        """A host array on the device, floats as `dtype`, integers as int64; a copy if need be."""
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
        """Wait until the device has done all that was launched."""

    def use_device(self, number: int) -> None:
        """Compute on the device of a number, counted round where there are fewer."""

    def reuse(self) -> None:
        """In a capture: nothing reads earlier results again, so later ones may take their place."""

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        """x in another shape, in the same memory where possible."""
        return self.xp.reshape(x, shape)

    def capture(self, compute: Callable[[], Any], frozen: bool = False) -> Callable[[], Any]:
        """Run compute() and return a function that repeats it faster.

        compute does all its arithmetic by operations of this object, on host arrays and parameters
        that stay in place; each repetition reads their current values. Every repetition gives its
        results in the same arrays. frozen: the parameters will not change any more, so what depends
        on them alone is computed once.
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
        rows = output_size(height, kernel[0], stride, padding)
        cols = output_size(width, kernel[1], stride, padding)
        x = self._pad(x, padding)
        columns = self.zeros((channels, *kernel, rows, cols, count))
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                columns[:, i, j, ...] = x[every(i, stride, rows, j, cols)]
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
        rows = output_size(height, kernel[0], stride, padding)
        cols = output_size(width, kernel[1], stride, padding)
        columns = self.xp.reshape(columns, (channels, *kernel, rows, cols, count))
        x = self.zeros((channels, height + 2 * padding, width + 2 * padding, count))
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                x[every(i, stride, rows, j, cols)] += columns[:, i, j, ...]
        return x[:, padding : padding + height, padding : padding + width, :]

    def _pad(self, x: Array, padding: int) -> Array:
        if padding == 0:
            return x
        channels, height, width, count = x.shape
        padded = self.zeros((channels, height + 2 * padding, width + 2 * padding, count))
        padded[:, padding : padding + height, padding : padding + width, :] = x
        return padded

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """The matrix product (M, K) @ (K, L), written into `out` if it is given."""
        return _into(out, self.xp.matmul(a, b))

    def affine(self, weight: Array, x: Array, bias: Array) -> Array:
        """weight (M, K) @ x (K, L) + bias (M,) for each column."""
        return self.matmul(weight, x) + bias[:, None]

    def sum_columns(self, x: Array, out: Array | None = None) -> Array:
        """(M, L) summed over its columns: (M,), written into `out` if it is given."""
        return _into(out, self.xp.sum(x, axis=1))

    def multiply(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """a * b for each element, written into `out` if it is given."""
        return _into(out, a * b)

    def add(self, a: Array, b: Array) -> Array:
        """a + b for each element."""
        return a + b

    # Pooling

    def average_pool(self, x: Array, size: int) -> Array:
        """The mean of each size x size block of (C, H, W, N); an incomplete edge is cut."""
        rows, cols = x.shape[1] // size, x.shape[2] // size
        return reduce(add, (x[phase] for phase in phases(size, rows, cols))) * (1.0 / size**2)

    def average_pool_backward(
        self, dy: Array, shape: tuple[int, int, int, int], size: int
    ) -> Array:
        """dx of `average_pool`: each output gradient shared evenly by its block."""
        rows, cols = dy.shape[1], dy.shape[2]
        dx = self.zeros(shape)
        share = dy * (1.0 / size**2)
        for phase in phases(size, rows, cols):
            dx[phase] = share
        return dx

    def max_pool(self, x: Array, size: int) -> Array:
        """The largest of each size x size block of (C, H, W, N); the same edge is cut."""
        rows, cols = x.shape[1] // size, x.shape[2] // size
        return reduce(self.xp.maximum, (x[phase] for phase in phases(size, rows, cols))) * 1.0

    def max_pool_backward(self, dy: Array, x: Array, y: Array, size: int) -> Array:
        """dx of `max_pool`: the gradient goes to the first pixel that holds the block's maximum."""
        rows, cols = y.shape[1], y.shape[2]
        dx = self.zeros(x.shape)
        free = y == y  # blocks whose maximum has not been met yet
        for phase in phases(size, rows, cols):
            winner = self.xp.logical_and(free, x[phase] == y)
            dx[phase] = dy * self.as_float(winner)
            free = self.xp.logical_and(free, self.xp.logical_not(winner))
        return dx

    # Activations

    def activation(self, kind: str, x: Array) -> Array:
        """f(x); ValueError for a kind that is not in ACTIVATIONS."""
        return activation_entry(ACTIVATIONS, kind)[0](self, x)

    def activation_backward(self, kind: str, dy: Array, y: Array) -> Array:
        """dy * f'(x), from the output y = f(x)."""
        return dy * activation_entry(ACTIVATIONS, kind)[1](self, y)

    # Runs of layers that a backend computes as one (`fused.py`). The reference computes none: what
    # these runs give, the layers of `layers.py` say one by one.

    def fuses_stage(self, settings: StageSettings) -> bool:
        """Whether this backend has `stage` for a convolution and pool of these sizes."""
        return False

    def stage(
        self, x: Array, weight: Array, bias: Array, settings: StageSettings
    ) -> tuple[Array, Any]:
        """squash(average_pool(activation(convolution(x)))) and what its backward pass needs.

        x (C, H, W, N) -> y (O, H', W', N). What is saved differs between backends. It is good for
        one call of `stage_backward` of the same object, which may compute in its place.
        """
        raise NotImplementedError

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
        """Write dweight and dbias of `stage`; return dx, or None unless `input_gradient`."""
        raise NotImplementedError

    def dense(self, weight: Array, x: Array, bias: Array, activation: str | None) -> Array:
        """f(weight (M, K) @ x (K, L) + bias (M,)); without an activation f is the identity."""
        raise NotImplementedError

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
        raise NotImplementedError

    # Loss

    def with_row(self, x: Array, value: float) -> Array:
        """x (K, N) with a row of one value below, (K + 1, N)."""
        y = self.zeros((x.shape[0] + 1, x.shape[1])) + value
        y[:-1, :] = x
        return y

    def mean(self, arrays: Sequence[Array]) -> Array:
        """The mean of arrays of one shape, added in their order."""
        return reduce(add, arrays) * (1.0 / len(arrays))

    def softmax(self, logits: Array) -> Array:
        """Probabilities (K, N) of logits (K, N), each column summing to one."""
        shifted = logits - self.xp.max(logits, axis=0, keepdims=True)
        e = self.xp.exp(shifted)
        return e / self.xp.sum(e, axis=0, keepdims=True)

    def softmax_cross_entropy(
        self, logits: Array, labels: Array, scale: float, into: Place = None, targets: Array = None,
        compete: bool = True, rivals: int | None = None,
    ) -> tuple[Array, Array, Array]:  # fmt: skip
        """Losses (N,), hits (N,) and the gradient (K, N) of scale * sum(losses).

        logits (K, N), labels (N,) int64. A hit, 1 or 0 in the dtype of the logits, says that no
        class, of the first `rivals` if they are given, has a larger logit than the label.
        into: longer vectors (M,) for losses and hits, which are then these, and the place that the
        first image's go to: (1,) int64 on the host, read anew in each repetition of a capture.
        targets: (K, N) in the dtype of the logits, each column a distribution over the classes, in
        place of the label's class alone. Hits stay those of the labels.
        compete: whether the other classes count; otherwise a loss is -logit of the label.
        """
        xp = self.xp
        shifted = logits - xp.max(logits, axis=0, keepdims=True)
        e = xp.exp(shifted)
        total = xp.sum(e, axis=0, keepdims=True)
        log_p = shifted - xp.log(total)
        one_hot = self.as_float(self.arange(logits.shape[0])[:, None] == labels[None, :])
        targets = one_hot if targets is None else targets
        losses = -xp.sum(targets * (log_p if compete else logits), axis=0)
        best = xp.max(shifted[:rivals, :], axis=0)
        hits = self.as_float(xp.sum(one_hot * shifted, axis=0) >= best)
        if into is not None:
            part = slice(int(into[2][0]), int(into[2][0]) + labels.shape[0])
            into[0][part], into[1][part] = losses, hits
            losses, hits = into[:2]
        return losses, hits, ((e / total if compete else 0.0) - targets) * scale

    # Pictures to the network's input

    def resident(self, images: np.ndarray) -> Array | None:
        """(M, S, T) or (M, S, T, 3) uint8 images kept on the device for `image_batch`.

        None where that saves nothing (the device is the host) or they do not fit.
        """
        return None

    def image_batch(
        self, images: Array, scale: float, shift: float, chosen: np.ndarray | None = None
    ) -> Array:
        """(N, S, T) uint8 images as the network's input (1, S, T, N): scale * pixel + shift.

        In colour (N, S, T, 3) they become (3, S, T, N).

        chosen: indices (N,) int64 on the host; then `images` is what `resident` gave, or all
        images on the host where it gave None.
        """
        images = images if chosen is None else images[chosen]
        images = self.xp.asarray(images, device=self.device)
        if images.ndim == 3:
            images = images[..., None]
        return (
            self.xp.astype(self.xp.permute_dims(images, (3, 1, 2, 0)), self.dtype) * scale + shift
        )

    def warped_batch(
        self,
        images: Array,
        scale: float,
        shift: float,
        chosen: np.ndarray,
        coefficients: np.ndarray,
        basis: Array,
    ) -> Array:
        """`image_batch` of the chosen images (S, S), each moved by a map of its own.

        coefficients (2, N, F) float32 on the host, basis (F, S * S): coefficients @ basis is the x
        and the y of each target pixel's source, from the image's centre. The source is read
        bilinearly, with paper (0) around the image, and rounded to a grey level.
        """
        xp, (count, size) = self.xp, (len(chosen), images.shape[1])
        pixels = xp.reshape(xp.asarray(images[chosen], device=self.device), (-1,))
        whole, rest = zip(*(self._places(c, basis, size) for c in coefficients), strict=True)
        first = xp.arange(count, dtype=xp.int64, device=self.device)[:, None] * size**2

        def pixel(down: int, right: int) -> Array:
            row, col = whole[1] + down, whole[0] + right
            inside = (row >= 0) & (row < size) & (col >= 0) & (col < size)
            place = xp.where(inside, first + row * size + col, 0 * row)
            level = xp.reshape(xp.take(pixels, xp.reshape(place, (-1,))), place.shape)
            return xp.astype(xp.where(inside, level, 0 * level), self.dtype)

        above, below = (
            pixel(down, 0) + rest[0] * (pixel(down, 1) - pixel(down, 0)) for down in (0, 1)
        )
        level = xp.permute_dims(xp.round(above + rest[1] * (below - above)), (1, 0))
        return xp.reshape(level * scale + shift, (1, size, size, count))

    def _places(self, coefficients: np.ndarray, basis: Array, size: int) -> tuple[Array, Array]:
        """Along one axis, the pixel before each source place, and the distance behind it.

        Both are (N, S * S). Places off the image count as on its rim.
        """
        xp = self.xp
        maps = xp.asarray(coefficients, dtype=self.dtype, device=self.device)
        place = xp.clip(xp.matmul(maps, basis) + (size - 1) / 2, -1.0, float(size))
        whole = xp.floor(place)
        return xp.astype(whole, xp.int64), place - whole
