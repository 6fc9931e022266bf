"""The choice of the backend, with a missing, a broken, a wrong and a working stand-in for CuPy,
and the rule that nothing outside lenet_xp/ops knows of CuPy."""

import ast
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import ROOT

from lenet_xp.ops import BACKENDS, BackendUnavailable, Ops, get_ops
from lenet_xp.ops.numpy_ops import NumpyOps
from lenet_xp.ops.select import TORCH


class RawModule:
    """Kernels in the only one that the choice of the backend runs: a product of matrices."""

    def __init__(self, code, options):
        self.multiply = sys.modules["cupy"].matmul

    def get_function(self, name):
        assert name == "matmul"
        return lambda grid, block, given: self.multiply(given[0], given[1], out=given[3])


def stand_in(**replaced) -> ModuleType:
    """NumPy posing as CuPy, with some functions replaced."""
    module = ModuleType("cupy")
    module.__dict__.update({name: getattr(np, name) for name in np.__all__})
    module.asnumpy, module.RawModule = np.array, RawModule
    module.__dict__.update(replaced)
    return module


def no_device(*arguments, **settings):
    raise RuntimeError("cudaErrorNoDevice:\n no CUDA-capable device is detected")


def no_library(*arguments, **settings):
    raise ImportError("libcudart.so.12: cannot open shared object file")


def no_compiler(*arguments, **settings):
    raise RuntimeError("Failure finding libnvrtc.so.13")


def old_driver(*arguments, **settings):
    raise RuntimeError(
        "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version"
    )


def full_memory(*arguments, **settings):
    raise RuntimeError("cudaErrorMemoryAllocation: out of memory")


@pytest.fixture
def install(monkeypatch):
    """Puts a module, or None for a missing one, in CuPy's place."""
    return lambda module: monkeypatch.setitem(sys.modules, "cupy", module)


def test_numpy_by_name(install):
    install(None)
    for dtype in ("float32", "float64"):
        ops = get_ops("numpy", dtype)
        assert type(ops) is NumpyOps and ops.dtype_name == dtype
        assert ops.zeros((2,)).dtype == np.dtype(dtype)
    assert get_ops("numpy").dtype_name == "float32"


@pytest.mark.parametrize("name", ("pytorch", "torch:gpu", "", "NumPy", "gpu"))
def test_unknown_backend(name):
    with pytest.raises(ValueError, match=rf"one of auto, numpy, cupy, torch, .*, not '{name}'"):
        get_ops(name)
    assert {"auto", "numpy", "cupy", "torch", "torch:cuda"} < set(BACKENDS)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", ("float16", "int64", "double"))
def test_unknown_dtype(name, dtype):
    with pytest.raises(ValueError, match=f"float32 or float64, not '{dtype}'"):
        get_ops(name, dtype)


def test_missing_cupy(install):
    install(None)
    with pytest.raises(BackendUnavailable, match="cannot be imported") as caught:
        get_ops("cupy")
    assert "pip install" in str(caught.value)
    assert all(f"'cupy-cuda{n}x[ctk]'" in str(caught.value) for n in (12, 13))
    assert not caught.value.installed
    assert type(get_ops("auto")) is type(get_ops()) is NumpyOps


@pytest.mark.parametrize("function", ("zeros", "matmul", "asnumpy"))
@pytest.mark.parametrize("fault, words", ((no_device, "no CUDA-cap"), (no_library, "libcudart")))
def test_cupy_that_cannot_compute(install, function, fault, words):
    """As on a machine with CuPy but no GPU: the import works, the first real call does not."""
    install(stand_in(**{function: fault}))
    with pytest.raises(BackendUnavailable, match=words) as caught:
        get_ops("cupy")
    assert "\n" not in str(caught.value) and "nvidia-smi" in str(caught.value)
    assert type(get_ops("auto", "float64")) is NumpyOps


@pytest.mark.parametrize(
    "fault, words",
    (
        (no_compiler, r"NVRTC is missing: pip install 'cupy-cuda12x\[ctk\]'"),
        (
            old_driver,
            "no NVIDIA driver, or one older than this CuPy's CUDA: update the driver.*cuda12",
        ),
        (full_memory, "memory is full: end other programs"),
    ),
)
def test_the_usual_reasons_name_their_way_out(install, fault, words):
    install(stand_in(RawModule=fault))
    with pytest.raises(BackendUnavailable, match=words) as caught:
        get_ops("cupy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    (lambda a, b, out: np.copyto(out, a * 0), lambda a, b, out: np.copyto(out, a @ b + np.nan)),
)
def test_cupy_that_computes_wrongly(install, wrong):
    install(stand_in(matmul=wrong))
    with pytest.raises(BackendUnavailable, match="wrong matrix product"):
        get_ops("cupy")
    assert type(get_ops("auto")) is NumpyOps


def test_cupy_that_does_not_suit_this_numpy(monkeypatch, tmp_path):
    """CuPy 13.0 dies at its import beside NumPy 2, and not of an ImportError."""
    (tmp_path / "cupy.py").write_text("raise AttributeError('no numpy.row_stack')\n")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendUnavailable, match=r"cannot be imported.*row_stack") as caught:
        get_ops("cupy")
    assert caught.value.installed and type(get_ops("auto")) is NumpyOps


def test_torch_that_is_missing_or_has_no_such_device(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in TORCH:
        with pytest.raises(BackendUnavailable, match="array-api-compat: pip install") as caught:
            get_ops(name)
        assert not caught.value.installed and "\n" not in str(caught.value)


def test_a_device_that_torch_does_not_find():
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    absent = [n for n in ("cuda", "xpu") if not getattr(torch, n).is_available()]
    for device in absent:
        with pytest.raises(BackendUnavailable, match=f"have the device {device}") as caught:
            get_ops(f"torch:{device}")
        assert caught.value.installed


def test_torch_goes_to_other_threads_and_processes():
    pytest.importorskip("torch", reason="needs PyTorch")
    ops = get_ops("torch", "float64")
    for twin in (ops.sibling(), pickle.loads(pickle.dumps(ops))):
        assert type(twin) is type(ops) and twin is not ops
        assert (twin.name, twin.dtype_name, twin.device_name) == ("torch", "float64", "cpu")


def test_cupy_that_works(install):
    install(stand_in())
    for name in ("auto", "cupy"):
        ops = get_ops(name, "float64")
        assert ops.name == "cupy" and ops.xp is sys.modules["cupy"]
        assert isinstance(ops, Ops) and ops.dtype_name == "float64"


def test_the_option_for_a_missing_backend_is_an_error(tmp_path):
    """`pytest --backend cupy` without a working CuPy fails; it must not pass by skipping."""
    (tmp_path / "cupy.py").write_text("raise ImportError('not here')\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--backend", "cupy"]
    done = subprocess.run(
        [*command, "tests/network/test_losses.py"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0 and "passed" not in done.stdout
    assert "--backend cupy: CuPy cannot be imported" in done.stderr


def test_one_backend_needs_no_package_of_another(tmp_path):
    """A machine with a GPU may lack what only the strict backend needs."""
    (tmp_path / "array_api_strict.py").write_text("raise ImportError('not here')\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--backend", "numpy"]
    own = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(
        [*command, "tests/network/test_losses.py"],
        cwd=ROOT,
        env=own | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "passed" in done.stdout, done.stderr


def imported(path: Path) -> set[str]:
    """The top-level names of the modules that a source file imports, lazily too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            names |= {a.value for a in node.args if isinstance(getattr(a, "value", None), str)}
    return {name.split(".")[0] for name in names}


def test_cupy_and_torch_are_imported_inside_ops_alone():
    inside = ROOT / "lenet_xp" / "ops"
    for name, folders in {
        "cupy": ("lenet_xp", "scripts", "studies"),
        "torch": ("lenet_xp",),
    }.items():
        sources = [p for folder in folders for p in (ROOT / folder).rglob("*.py")]
        importing = [p for p in sources if name in imported(p)]
        assert importing, "the scan finds no import at all"
        assert not [p for p in importing if inside not in p.parents]


def test_layers_know_no_array_module():
    """Layers, losses and optimisers reach arrays through ops; NumPy is for the host's arrays."""
    for name in ("losses", "optim", "schedules"):
        assert not {"torch", "cupy"} & imported(ROOT / "lenet_xp" / f"{name}.py")
    for name in ("optim", "schedules"):
        assert "numpy" not in imported(ROOT / "lenet_xp" / f"{name}.py")


def test_importing_the_package_imports_no_cupy():
    code = "import sys, lenet_xp.model, lenet_xp.ops.cuda.cupy_ops; sys.exit('cupy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
