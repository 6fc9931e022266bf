"""Which backend runs: asked for by name, or CuPy where it really works."""

from collections.abc import Callable

from lenet_xp.ops.numpy_ops import NumpyOps
from lenet_xp.ops.reference import Ops

TORCH = ("torch", "torch:cuda", "torch:mps", "torch:xpu")
BACKENDS = ("auto", "numpy", "cupy", *TORCH)

INSTALL_HINT = (
    "install the CuPy that matches the driver: pip install 'cupy-cuda12x[ctk]' (CUDA 12) "
    "or 'cupy-cuda13x[ctk]' (CUDA 13)"
)


class BackendUnavailable(RuntimeError):
    """The backend asked for cannot run here; the message says why and what to install.

    installed: whether its library is here all the same, so that its owner expects it to compute.
    """

    def __init__(self, message: str, installed: bool = True):
        super().__init__(message)
        self.installed = installed


def get_ops(backend: str = "auto", dtype: str = "float32", graph: bool = True) -> Ops:
    """The ops object of a backend in BACKENDS; "auto" is CuPy if it works, else NumPy.

    "torch" computes with PyTorch's tensors on the CPU, "torch:cuda", "torch:mps" and "torch:xpu" on
    a GPU of NVIDIA or AMD, Apple, Intel.
    dtype: "float32" or "float64". graph: whether captures are repeated as they were recorded (as
    CUDA graphs on a GPU) or computed anew each time; the bits are the same.
    Raises BackendUnavailable where the one asked for cannot run, ValueError for another name.
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype must be float32 or float64, not {dtype!r}")
    if backend == "numpy":
        return NumpyOps(dtype, graph)
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    if backend in TORCH:
        return _working_torch(dtype, backend.partition(":")[2] or "cpu")
    try:
        return _working_cupy(dtype, graph)
    except BackendUnavailable:
        if backend == "cupy":
            raise
        return NumpyOps(dtype, graph)


def _working_cupy(dtype: str, graph: bool) -> Ops:
    """CuPy's ops, after one of CuPy's kernels and one of this package's have given right results.

    `import cupy` succeeds on machines with no GPU, and missing CUDA libraries, the compiler of the
    package's own kernels among them, only show in the first call that needs them, so nothing less
    than a real computation is a proof.
    """
    from lenet_xp.ops.cuda.cupy_ops import CupyOps

    try:
        ops = CupyOps(dtype, graph)
    except Exception as error:  # of a CuPy that does not suit this NumPy perhaps AttributeError
        missing = isinstance(error, ModuleNotFoundError) and error.name == "cupy"
        reason = f"CuPy cannot be imported ({_one_line(error)})"
        raise BackendUnavailable(f"{reason}; {INSTALL_HINT}", installed=not missing) from error
    return _proved(ops, "CuPy", _way_out)


def _working_torch(dtype: str, device: str) -> Ops:
    """PyTorch's ops on a device, after a right result there."""
    from lenet_xp.ops.torch_ops import TorchOps

    try:
        ops = TorchOps(dtype, device)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError)
        raise BackendUnavailable(
            f"PyTorch cannot be used ({_one_line(error)}); install it as pytorch.org says for this "
            "machine, and array-api-compat: pip install array-api-compat",
            installed=not missing,
        ) from error
    return _proved(ops, "PyTorch", lambda error: f"does this machine have the device {device}?")


def _proved(ops: Ops, library: str, way_out: Callable[[Exception], str]) -> Ops:
    try:
        ones = ops.zeros((4, 4)) + 1.0
        total = float(ops.to_host(ops.matmul(ones, ones)).sum())
    except Exception as error:  # CuPy raises ImportError, RuntimeError, OSError and its own kinds
        raise BackendUnavailable(
            f"{library} is installed but cannot compute ({_one_line(error)}); {way_out(error)}"
        ) from error
    if total != 64.0:
        raise BackendUnavailable(
            f"{library} computed a wrong matrix product ({total}, not 64); check the device and "
            "its driver"
        )
    return ops


def _way_out(error: Exception) -> str:
    """What to do about the usual reasons, by the words that CUDA has for them."""
    text = f"{type(error).__name__} {error}".lower()
    if "insufficientdriver" in text or "driver version is insufficient" in text:
        return (
            "there is no NVIDIA driver, or one older than this CuPy's CUDA: update the driver, or "
            f"take the CuPy of an older CUDA. To do so, {INSTALL_HINT}. nvidia-smi names the "
            "driver's CUDA version"
        )
    if "unsupportedptxversion" in text:
        return "the driver is older than the CUDA compiler NVRTC: update the driver"
    if "nvrtc" in text or "cuda_fp16" in text or "cuda_path" in text:
        return (
            "CUDA's compiler NVRTC is missing: pip install 'cupy-cuda12x[ctk]' (or "
            "'cupy-cuda13x[ctk]'), or install the CUDA Toolkit and set CUDA_PATH"
        )
    if "outofmemory" in text or "memoryallocation" in text:
        return "the GPU's memory is full: end other programs on it (nvidia-smi lists them)"
    return f"check the GPU and its driver with nvidia-smi, or {INSTALL_HINT}"


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200]
