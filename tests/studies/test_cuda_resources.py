"""What the CUDA kernels take: how it is read from machine code, and that it has not got more."""

import json
import re

import pytest
from conftest import ROOT

from lenet_xp.errors import InputError
from studies import cuda_resources
from studies.cuda_resources import Compiler, compared, loops, programs, shown, warps, worse

TABLE = json.loads((ROOT / "results" / "cuda" / "resources.json").read_text())
ROW = {
    "registers": 40,
    "spilled_bytes": 0,
    "shared_bytes": 2048,
    "warps_per_sm": 48,
    "instructions": 100,
    "loops": [30, 10],
}


@pytest.mark.parametrize(
    ("arch", "registers", "shared", "block", "expected"),
    [
        # From NVIDIA's occupancy calculator
        ("80", 32, 0, 8, 64),
        ("80", 33, 0, 8, 48),
        ("80", 128, 0, 4, 16),
        ("86", 32, 0, 8, 48),
        ("75", 32, 0, 8, 32),
        ("80", 32, 48 << 10, 8, 24),  # three blocks of 49 KB in 164 KB
        ("80", 32, 0, 1, 32),  # so many blocks at most
        ("90", 255, 0, 8, 8),
    ],
)
def test_warps_that_an_sm_holds(arch, registers, shared, block, expected):
    assert warps(arch, registers, shared, block) == expected


def test_loops_are_read_from_a_disassembly():
    """Two loops in one, a jump forwards, and the endless jump behind every kernel."""
    code = """
        /*0000*/                   MOV R1, c[0x0][0x28] ;      /* 0x00000a00ff017624 */
        /*0010*/                   LDG.E R2, [R4.64] ;         /* 0x0000000404027981 */
        /*0020*/              @P0  FFMA R3, R2, R2, R3 ;       /* 0x0000000202037223 */
        /*0030*/              @!P0 BRA 0x10 ;                  /* 0x0000004400608947 */
        /*0040*/                   FADD R3, R3, R2 ;           /* 0x0000000203037221 */
        /*0050*/              @P1  BRA.U UP0, 0x40 ;           /* 0x0000004400608947 */
        /*0060*/              @!P2 BRA 0x80 ;                  /* 0x0000004400608947 */
        /*0070*/              @P3  BRA 0x0 ;                   /* 0x0000004400608947 */
        /*0080*/                   EXIT ;                      /* 0x000000000000794d */
        /*0090*/                   BRA 0x90 ;                  /* 0xfffffff000007947 */
    """
    assert loops(code) == [3, 2]


@pytest.mark.parametrize(
    "change",
    [
        {"spilled_bytes": 8},
        {"shared_bytes": 2052},
        {"warps_per_sm": 40},
        {"instructions": 101},
        {"loops": [31, 10]},
    ],
)
def test_more_of_anything_is_worse_and_less_is_not(change):
    assert worse(ROW, ROW) == []
    (line,) = worse(ROW, ROW | change)
    assert line.startswith(next(iter(change)))
    assert worse(ROW | change, ROW) == []
    unknown = {"instructions": None, "loops": None}  # where no disassembler knows the card
    assert worse(ROW, ROW | unknown) == worse(ROW | unknown, ROW) == []


class Fake:
    """A compiler whose kernels have one instruction more than the table's."""

    def __init__(self, version: str):
        self.version, self.rows = version, iter(TABLE["kernels"]["sm_90"].values())

    def row(self, arch, *program):
        row = next(self.rows)
        return row | {"instructions": row["instructions"] + 1}


def test_another_compiler_is_given_a_tenth():
    lines = compared(TABLE, Fake(TABLE["nvrtc"]), ["90"])
    assert len(lines) == len(programs()) and all(": instructions" in line for line in lines)
    assert compared(TABLE, Fake("0.0"), ["90"]) == []


def test_the_table_has_every_kernel_and_none_spills():
    assert {"sm_70", "sm_80", "sm_90", "sm_100", "sm_120"} <= TABLE["kernels"].keys()
    for rows in TABLE["kernels"].values():
        assert rows.keys() == programs().keys()
        assert not any(row["spilled_bytes"] for row in rows.values())
    text = (ROOT / "results" / "cuda" / "resources.txt").read_text()
    assert text == shown(TABLE)
    sources = " ".join(p.read_text() for p in (ROOT / "lenet_xp" / "ops" / "cuda").glob("*.cu"))
    kernels = set(re.findall(r"__global__ void (\w+)", sources))
    outside = kernels - {kernel for _, kernel, _, _ in programs().values()}
    # Those that a step of LeNet-5 does not launch
    assert outside == {
        *("activation_forward", "activation_backward", "matmul", "softmax", "soft_cross_entropy"),
        *("stage_gradient", "sum_rows", "dense_backward_below", "sgd_update", "adam_update"),
    }


def test_no_kernel_takes_more_than_the_table_says():
    try:
        compiler = Compiler(None)
    except InputError as error:
        pytest.skip(str(error))
    archs = [arch for arch in compiler.archs if arch == "90"]
    assert archs and compared(TABLE, compiler, archs) == []


def test_without_the_compiler_it_is_one_line(monkeypatch):
    monkeypatch.setattr(cuda_resources.shutil, "which", lambda name, path: None)
    with pytest.raises(InputError, match=r"NVRTC is missing|cuobjdump is missing: pip install"):
        Compiler(None)
