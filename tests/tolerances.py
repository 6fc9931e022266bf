"""The one table of tolerances, and the comparison that uses it."""

import numpy as np

from lenet_xp.ops import Array, Ops

# Largest error of an array relative to its largest entry, by what is compared
OPERATION = {"float64": 1e-12, "float32": 1e-5}  # one operation against the oracle or reference
NETWORK = {"float64": 1e-12, "float32": 2e-5}  # forward and backward of the whole network
TRAINING = {"float64": 1e-11, "float32": 1e-3}  # the change of the parameters over several steps
ONNX = {"float64": 1e-6, "float32": 1e-5}  # results that were computed in float32
EXPORT = 1e-5  # largest difference of probabilities, computed in float32 elsewhere
FINITE_DIFFERENCE = 1e-7  # float64 only

# Largest difference of uint8 images, in grey levels
GREY_LEVEL = 1  # one rounding
FETCHED = 9  # bilinear from noise: OpenCV 4 keeps 1/32 of a pixel of where it fetches from


def error(actual: np.ndarray, desired: np.ndarray) -> float:
    """Largest difference over the largest entry; infinite where something is not finite."""
    if not (np.isfinite(actual).all() and np.isfinite(desired).all()):
        return float("inf")
    scale = np.abs(desired).max(initial=0.0)
    return float(np.abs(actual - desired).max(initial=0.0) / (scale if scale else 1.0))


def assert_close(
    ops: Ops, actual: Array, desired: np.ndarray, table: dict[str, float] = OPERATION
) -> None:
    """A device array has the dtype of ops, the shape of `desired` and its values."""
    assert actual.dtype == ops.dtype, f"dtype {actual.dtype}, not {ops.dtype_name}"
    actual, desired = ops.to_host(actual), np.asarray(desired)
    assert actual.shape == desired.shape, f"shape {actual.shape}, not {desired.shape}"
    gap, limit = error(actual.astype(np.float64), desired.astype(np.float64)), table[ops.dtype_name]
    assert gap <= limit, f"relative error {gap:.2e} exceeds {limit:.0e}"
