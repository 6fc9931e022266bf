"""CuPy on a CUDA device: the reference over `cupy`."""

import numpy as np

from lenet_xp.ops.reference import Array, Ops


class CupyOps(Ops):
    """The operations on CuPy arrays on the current CUDA device.

    Raises ImportError where CuPy is not installed.
    """

    name = "cupy"

    def __init__(self, dtype: str = "float32"):
        import cupy

        super().__init__(cupy, dtype)

    @property
    def device_name(self) -> str:
        runtime = self.xp.cuda.runtime
        return runtime.getDeviceProperties(runtime.getDevice())["name"].decode()

    def sibling(self) -> "CupyOps":
        return CupyOps(self.dtype_name)

    def asarray(self, host: np.ndarray) -> Array:
        integer = np.issubdtype(np.asarray(host).dtype, np.integer)
        return self.xp.asarray(host, dtype=self.xp.int64 if integer else self.dtype)

    def image_batch(self, images: np.ndarray, scale: float, shift: float) -> Array:
        pixels = self.xp.asarray(images).transpose(1, 2, 0)[None]
        return pixels.astype(self.dtype, order="C") * self.dtype(scale) + self.dtype(shift)

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return self.xp.zeros(shape, dtype=self.dtype)

    def arange(self, count: int) -> Array:
        return self.xp.arange(count, dtype=self.xp.int64)

    def as_float(self, x: Array) -> Array:
        return x.astype(self.dtype)

    def to_host(self, array: Array) -> np.ndarray:
        return self.xp.asnumpy(array)

    def synchronize(self) -> None:
        self.xp.cuda.get_current_stream().synchronize()
