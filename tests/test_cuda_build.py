"""Every CUDA source compiles for the oldest and newer cards: with nvcc, or CuPy's NVRTC."""

import shutil
import subprocess

import pytest

from lenet_xp.ops.kernels import FILES, TENSOR_FILES, options, source
from lenet_xp.ops.stage_plan import BACKWARD_SLICES, BACKWARD_TILE, StagePlan
from lenet_xp.ops.tensor_plan import TensorStagePlan

# LeNet-5's two stages, and one with everything odd
STAGES = (
    StagePlan((1, 32, 32, 64), (6, 1, 5, 5), 1, 0, 2, 1, 1),
    StagePlan((6, 14, 14, 4096), (16, 6, 5, 5), 1, 0, 2, 3),
    StagePlan((3, 11, 9, 7), (4, 3, 3, 2), 2, 1, 3, 2),
)
TENSOR_STAGES = (
    TensorStagePlan((6, 14, 14, 64), (16, 6, 5, 5), 1, 0, 2, 3),
    TensorStagePlan((6, 14, 14, 4096), (16, 6, 5, 5), 1, 0, 2, 1, 1),
    TensorStagePlan((13, 8, 11, 20), (28, 13, 3, 2), 2, 1, 3, 2),
)
ARCHITECTURES = ("70", "80", "90")
CUPYS_OWN = "-ftz=true", "--device-as-default-execution-space"
# A file with a dtype that it is for
FILES_AND_DTYPES = [(file, dtype) for file in FILES for dtype in ("float32", "float64")]
FILES_AND_DTYPES += [(file, "float32") for file in TENSOR_FILES]


def programs(file: str) -> list[dict[str, int]]:
    """The settings that a file is compiled with."""
    stages = TENSOR_STAGES if file in TENSOR_FILES else STAGES
    if file.startswith("stage_forward"):
        return [s.settings(s.forward_tile, s.forward_slices) for s in stages]
    if file.startswith("stage_backward"):
        return [s.settings(BACKWARD_TILE, BACKWARD_SLICES) for s in stages]
    tiles = {"dense": (2, 8), "dense_tf32": (1, 4)}.get(file)
    return [{"TILE": tile} for tile in tiles] if tiles else [{}]


def architectures(file: str) -> list[str]:
    """What a file must compile for: tensor cores know TF32 from 8.0 on."""
    return [a for a in ARCHITECTURES if file not in TENSOR_FILES or int(a) >= 80]


def nvcc_architectures(file: str) -> list[str]:
    """Those of them that nvcc still knows: CUDA 13 has dropped 70."""
    listed = subprocess.run(["nvcc", "--list-gpu-arch"], capture_output=True, text=True).stdout
    return [a for a in architectures(file) if f"compute_{a}\n" in listed]


@pytest.mark.parametrize("file, dtype", FILES_AND_DTYPES)
def test_nvcc_compiles(file, dtype, tmp_path):
    if shutil.which("nvcc") is None:
        pytest.skip("needs nvcc, CUDA's compiler")
    code = tmp_path / f"{file}.cu"
    code.write_text(source(file))
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in nvcc_architectures(file)]
    assert targets
    for settings in programs(file):
        command = ["nvcc", *options(dtype, settings), *targets, "-Werror=all-warnings", "-cubin"]
        command[-1:] = ["-c", "-o", str(tmp_path / "out.o"), str(code)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "file, architecture", [(f, a) for f in (*FILES, *TENSOR_FILES) for a in architectures(f)]
)
def test_nvrtc_compiles(file, architecture):
    """The compiler that CuPy uses, told what CuPy tells it, down to the card's own code; it needs
    no GPU, only its library."""
    nvrtc = pytest.importorskip("cupy.cuda", reason="needs CuPy").nvrtc
    try:
        nvrtc.getVersion()
        known = nvrtc.getSupportedArchs() if hasattr(nvrtc, "getSupportedArchs") else None
    except Exception as error:
        pytest.skip(f"needs the library NVRTC ({error})")
    if known and int(architecture) not in known:
        pytest.skip(f"this NVRTC has dropped compute capability {architecture}")
    for dtype in (dtype for f, dtype in FILES_AND_DTYPES if f == file):
        for settings in programs(file):
            program = nvrtc.createProgram(source(file), f"{file}.cu", [], [])
            told = (*options(dtype, settings), *CUPYS_OWN, f"--gpu-architecture=sm_{architecture}")
            try:
                nvrtc.compileProgram(program, told)
                assert nvrtc.getCUBIN(program)
            except nvrtc.NVRTCError as error:
                message = nvrtc.getProgramLog(program)
                if "invalid value for --gpu-architecture" in message:
                    pytest.skip(f"this NVRTC has dropped compute capability {architecture}")
                raise AssertionError(message) from error
            finally:
                nvrtc.destroyProgram(program)
