"""Fixtures: `ops` over every backend that works here, `ops64` its float64 half, `shared` data.

`pytest --backend cupy` runs the backend tests on CuPy and is an error where CuPy cannot compute;
without the option CuPy's and PyTorch's variants run where they can and the report's header says if
they do.
"""

import sys
from functools import partial
from pathlib import Path

import cuda_on_cpu
import cupy_stand_in
import pytest
import stand_in_device

from lenet_xp.ops import BackendUnavailable, Ops, get_ops
from lenet_xp.ops.cuda.cupy_ops import CupyOps
from lenet_xp.ops.numpy_ops import NumpyOps

ROOT = Path(__file__).resolve().parent.parent


def _reference(dtype: str) -> Ops:
    import numpy

    return Ops(numpy, dtype)


def _strict(dtype: str) -> Ops:
    from strict import StrictOps  # array-api-strict is not on every machine with a GPU

    return StrictOps(dtype)


MAKERS = {
    "numpy": NumpyOps,
    "reference": _reference,
    "strict": _strict,
    "stand-in": CupyOps,  # over cupy_stand_in.py: the CUDA kernels on the CPU
    "cupy": partial(get_ops, "cupy"),
    "torch": partial(get_ops, "torch"),
}
INSTALLED = "cupy", "torch"  # tested where they compute; the report's header says if they do
VARIANTS = {f"{name}-{dtype}": (name, dtype) for name in MAKERS for dtype in ("float64", "float32")}
chosen_key = pytest.StashKey[list]()
installed_key = pytest.StashKey[list]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        choices=("all", *MAKERS),
        default="all",
        help="run the backend tests on this one only; an error where it does not work",
    )


def pytest_configure(config: pytest.Config) -> None:
    asked = config.getoption("--backend")
    names = list(MAKERS) if asked == "all" else [asked]
    config.stash[installed_key] = []
    if "stand-in" in names and cuda_on_cpu.compiler() is None:
        if asked == "stand-in":
            raise pytest.UsageError("--backend stand-in: it needs g++ on Linux")
        names.remove("stand-in")
    for name in INSTALLED:
        said = "not asked for"
        if name in names:
            try:
                said = get_ops(name).device_name
            except BackendUnavailable as error:
                if asked == name:
                    raise pytest.UsageError(f"--backend {name}: {error}") from error
                names.remove(name)
                said = f"left out, {error}"
        config.stash[installed_key].append(f"{name}: {said}")
    config.stash[chosen_key] = [v for v, (name, _) in VARIANTS.items() if name in names]


def pytest_report_header(config: pytest.Config) -> list[str]:
    return ["backends: " + ", ".join(config.stash[chosen_key]), *config.stash[installed_key]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = metafunc.config.stash[chosen_key]
    if "variant" in metafunc.fixturenames:
        metafunc.parametrize("variant", chosen)
    if "variant64" in metafunc.fixturenames:
        # The reference's own code, and coroutines for threads: hundreds of times slower
        slow = {"strict-float64", "stand-in-float64"}
        exact = [v for v in chosen if v.endswith("float64") and v not in slow]
        metafunc.parametrize("variant64", exact)


def _make(variant: str) -> Ops:
    name, dtype = VARIANTS[variant]
    return MAKERS[name](dtype)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in in CuPy's place; skipped where its kernels cannot be compiled."""
    if cuda_on_cpu.compiler() is None:
        pytest.skip("needs g++ on Linux to run the CUDA kernels on the CPU")
    monkeypatch.setitem(sys.modules, "cupy", cupy_stand_in.module())
    monkeypatch.setattr("os.fork", stand_in_device.fork)


@pytest.fixture
def ops(variant: str, request: pytest.FixtureRequest) -> Ops:
    """A fresh ops object of every backend and dtype under test."""
    if variant.startswith("stand-in"):
        request.getfixturevalue("stand_in")
    return _make(variant)


@pytest.fixture
def ops64(variant64: str) -> Ops:
    """A fresh float64 ops object of every backend under test except the strict one."""
    return _make(variant64)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout; without it the test is skipped."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the data in {folder}")
    return folder
