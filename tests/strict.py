"""The reference over array-api-strict, on devices that NumPy cannot read by accident."""

import array_api_strict
import numpy as np

from lenet_xp.ops import Array, Ops


def _device(dtype: str) -> array_api_strict.Device:
    """A device without float64 for float32, so that even a temporary cannot be float64."""
    try:
        return array_api_strict.Device("no_float64" if dtype == "float32" else "device1")
    except ValueError:  # array-api-strict up to 2.4
        return array_api_strict.Device("device1")


class StrictOps(Ops):
    """`Ops` unchanged, except that array-api-strict has its own way to copy to the host."""

    name = "strict"

    def __init__(self, dtype: str = "float64"):
        super().__init__(array_api_strict, dtype, _device(dtype))

    def sibling(self) -> "StrictOps":
        return StrictOps(self.dtype_name)

    def to_host(self, array: Array) -> np.ndarray:
        return np.array(array.to_device(array_api_strict.Device("CPU_DEVICE")))
