"""Every CUDA source compiles for the oldest and newer cards: with nvcc, or CuPy's NVRTC."""

import shutil
import subprocess
from importlib.resources import files

import pytest

from lenet_xp.ops.cuda.kernels import compiler_options, source
from lenet_xp.ops.cuda.plans import DensePlan, stage_plan
from lenet_xp.ops.settings import StageSettings

FOLDER = files("lenet_xp.ops") / "cuda"
NAMES = {each.name for each in FOLDER.iterdir() if each.name.endswith(".cu")}
HEADERS = {"common.cu", "stage.cu", "pool.cu", "partials.cu"}
FILES = sorted(name.removesuffix(".cu") for name in NAMES - HEADERS)

# LeNet-5's two stages, and one with everything odd
STAGES = (
    stage_plan((1, 32, 32, 64), StageSettings((6, 1, 5, 5), 1, 0, "tanh", 2), 1, 1),
    stage_plan((6, 14, 14, 4096), StageSettings((16, 6, 5, 5), 1, 0, "relu", 2), 3),
    stage_plan((3, 11, 9, 7), StageSettings((4, 3, 3, 2), 2, 1, "scaled_tanh", 3), 2),
)
ARCHITECTURES = ("70", "80", "90", "100", "120")
CUPYS_OWN = "-ftz=true", "--device-as-default-execution-space"
DTYPES = ("float32", "float64")


def programs(file: str) -> list[dict[str, int]]:
    """The sets of macros that a file is compiled with."""
    if file.startswith("stage_forward"):
        return [stage.forward_defines for stage in STAGES]
    if file == "stage_gradient":
        return [stage.below for stage in STAGES]
    if file == "stage_backward":
        below = {}, STAGES[0].below, STAGES[2].below
        return [s.backward_defines | b for s, b in zip(STAGES, below, strict=True)]
    few, many = DensePlan((33, 84), 64).defines(0), DensePlan((120, 400), 4096).defines(2)
    if file == "dense":
        return [few, many | STAGES[1].below]
    others = {f"{name}{k}": value for k in (1, 2) for name, value in few.items()}
    if file in ("head", "dense_gradients"):
        return [DensePlan((84, 120), 64).defines(1) | others | STAGES[0].below]
    return [{}]


def nvcc_architectures() -> list[str]:
    """Those of them that nvcc still knows: CUDA 13 has dropped 70."""
    listed = subprocess.run(["nvcc", "--list-gpu-arch"], capture_output=True, text=True).stdout
    return [a for a in ARCHITECTURES if f"compute_{a}\n" in listed]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("file", FILES)
def test_nvcc_compiles(file, dtype, tmp_path):
    if shutil.which("nvcc") is None:
        pytest.skip("needs nvcc, CUDA's compiler")
    code = tmp_path / f"{file}.cu"
    code.write_text(source(file))
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in nvcc_architectures()]
    assert targets
    for defines in programs(file):
        command = [
            "nvcc",
            *compiler_options(dtype, defines),
            *targets,
            "-Werror=all-warnings",
            "-cubin",
        ]
        command[-1:] = ["-c", "-o", str(tmp_path / "out.o"), str(code)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("file", FILES)
def test_nvrtc_compiles(file, architecture):
    """The compiler that CuPy uses, with CuPy's options, down to the card's own code; it needs no
    GPU, only its library."""
    nvrtc = pytest.importorskip("cupy.cuda", reason="needs CuPy").nvrtc
    try:
        nvrtc.getVersion()
        known = nvrtc.getSupportedArchs() if hasattr(nvrtc, "getSupportedArchs") else None
    except Exception as error:
        pytest.skip(f"needs the library NVRTC ({error})")
    if known and int(architecture) not in known:
        pytest.skip(f"this NVRTC has dropped compute capability {architecture}")
    for dtype in DTYPES:
        for defines in programs(file):
            program = nvrtc.createProgram(source(file), f"{file}.cu", [], [])
            options = (
                *compiler_options(dtype, defines),
                *CUPYS_OWN,
                f"--gpu-architecture=sm_{architecture}",
            )
            try:
                nvrtc.compileProgram(program, options)
                assert nvrtc.getCUBIN(program)
            except nvrtc.NVRTCError as error:
                message = nvrtc.getProgramLog(program)
                if "invalid value for --gpu-architecture" in message:
                    pytest.skip(f"this NVRTC has dropped compute capability {architecture}")
                raise AssertionError(message) from error
            finally:
                nvrtc.destroyProgram(program)
