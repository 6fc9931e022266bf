"""Read from the machine code what each CUDA kernel takes: registers, shared memory, loops.

Compiles the kernels of a training step of LeNet-5 at batch 64 in float32 as CuPy does, with its
compiler NVRTC, and disassembles them. It needs CuPy with NVRTC, and cuobjdump and nvdisasm (pip
install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm) in PATH or --tools, but no GPU. Nothing is run
or timed. The exit status is 1 if --check finds a kernel that takes more than the table says.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from lenet_xp.commands.terminal import parser, run
from lenet_xp.errors import InputError
from lenet_xp.ops.cuda.cupy_ops import CupyOps
from lenet_xp.ops.cuda.kernels import compiler_options, source
from lenet_xp.ops.cuda.plans import DensePlan, stage_plan
from lenet_xp.ops.settings import StageSettings
from lenet_xp.system.files import make_folder, write_json, write_text
from lenet_xp.system.text import text_table

EXAMPLES = """\
  python -m studies.cuda_resources --out results/cuda
      make the table anew
  python -m studies.cuda_resources --check results/cuda/resources.json --archs 90"""

BATCH = 64
CUPYS_OWN = "-ftz=true", "--device-as-default-execution-space"
ARCHS = ("70", "75", "80", "86", "89", "90", "100", "120")
REGISTERS = 65_536  # of an SM
# Of an SM: warps, blocks, bytes of shared memory; bytes that the system takes of those for each
# block, which the compiler counts from 9.0 on
LIMITS = {
    "70": (64, 32, 96 << 10, 0),
    "75": (32, 16, 64 << 10, 0),
    "80": (64, 32, 164 << 10, 1024),
    "86": (48, 16, 100 << 10, 1024),
    "89": (48, 24, 100 << 10, 1024),
    "90": (64, 32, 228 << 10, 0),
    "100": (64, 32, 228 << 10, 0),
    "120": (48, 24, 100 << 10, 0),
}
Row = dict[str, Any]


def programs() -> dict[str, tuple[str, str, dict[str, int], int]]:
    """File, kernel, macros and warps of a block, by the name in the table."""
    stages = {}
    found: dict[str, tuple[str, str, dict[str, int], int]] = {
        name: ("images", f"{name}_batch", {}, 8) for name in ("image", "warped")
    }
    for name, shape, kernels in (
        ("C1", (1, 32, 32, BATCH), (6, 1, 5, 5)),
        ("C3", (6, 14, 14, BATCH), (16, 6, 5, 5)),
    ):
        settings = StageSettings(kernels, 1, 0, "tanh", 2, "tanh")
        stages[name] = stage_plan(shape, settings, 1, 1)
    for name, plan in stages.items():
        defines = plan.forward_defines
        found[name] = "stage_forward", "stage_forward", defines, defines["SLICES"]
    defines = stages["C1"].backward_defines
    found["C1 back"] = "stage_backward", "stage_backward", defines, defines["SLICES"]
    defines = stages["C3"].backward_defines | stages["C1"].below
    found["C3 back"] = "stage_backward", "stage_backward_below", defines, defines["SLICES"]
    c5, f6, output = (
        DensePlan(shape, BATCH).defines(kind)
        for shape, kind in (((120, 400), 1), ((84, 120), 1), ((33, 84), 0))
    )
    for name, each in (("C5", c5), ("F6", f6), ("output", output)):
        found[name] = "dense", "dense_forward", each, 8
        found[f"{name} back"] = "dense", "dense_backward", each, 8
    found["head"] = "head", "head", f6 | _numbered(output, 1), 8
    defines = c5 | _numbered(f6, 1) | _numbered(output, 2) | stages["C3"].below
    found["dense back"] = "dense_gradients", "dense_gradients", defines, 8
    found["loss"] = "loss", "softmax_cross_entropy", {}, 8
    found["sums"] = "sums", "sum_partials", {}, 8
    for name in ("sgd", "adam"):
        found[name] = "updates", f"{name}_update_sums", {}, 8
    return found


def _numbered(defines: dict[str, int], number: int) -> dict[str, int]:
    return {f"{name}{number}": value for name, value in defines.items()}


def warps(arch: str, registers: int, shared: int, block: int) -> int:
    """How many warps an SM holds at once of a kernel with blocks of so many warps.

    registers: of a thread. shared: bytes of a block.
    """
    most, blocks, memory, own = LIMITS[arch]
    each = -(-registers * 32 // 256) * 256  # registers are given to a warp in such portions
    by_registers = REGISTERS // 4 // each * 4  # an SM has four parts
    return min(most // block, by_registers // block, memory // max(shared + own, 1), blocks) * block


def loops(code: str) -> list[int]:
    """The instructions of each loop without a loop in it, the longest first, from a disassembly."""
    instruction = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(.*?);")
    places, back = [], []
    for place, text in instruction.findall(code):
        places.append(int(place, 16))
        target = re.search(r"\bBRA(?:\.\w+)*\s+(?:\S+,\s*)?0x([0-9a-f]+)", text)
        if target and int(target[1], 16) < places[-1]:
            back.append((int(target[1], 16), places[-1]))
    inner = [
        (a, b)
        for a, b in set(back)
        if not any((c, d) != (a, b) and a <= c and d <= b for c, d in back)
    ]
    return sorted((sum(a <= p <= b for p in places) for a, b in inner), reverse=True)


class Compiler:
    """NVRTC and the disassembler. Raises InputError where one is missing."""

    def __init__(self, tools: str | None):
        try:
            nvrtc = CupyOps().xp.cuda.nvrtc
            self.version = ".".join(map(str, nvrtc.getVersion()))
        except Exception as error:
            raise InputError(f"CuPy's compiler NVRTC is missing ({error})"[:200]) from error
        self._nvrtc: Any = nvrtc
        self._path = os.pathsep.join([*([tools] if tools else []), os.environ.get("PATH", "")])
        for name in ("cuobjdump", "nvdisasm"):
            if shutil.which(name, path=self._path) is None:
                raise InputError(
                    f"{name} is missing: pip install nvidia-cuda-{name}, and give --tools"
                )
        self._cuobjdump = shutil.which("cuobjdump", path=self._path) or ""
        self.archs = [a for a in ARCHS if int(a) in nvrtc.getSupportedArchs()]

    def row(self, arch: str, file: str, kernel: str, defines: dict[str, int], block: int) -> Row:
        """What a kernel takes; loops are None where the disassembler does not know the card."""
        nvrtc, name = self._nvrtc, f"{file}.cu"
        program = nvrtc.createProgram(source(file), name, [], [])
        options = *compiler_options("float32", defines), *CUPYS_OWN, f"--gpu-architecture=sm_{arch}"
        nvrtc.compileProgram(program, options)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kernel.cubin"
            path.write_bytes(nvrtc.getCUBIN(program) + b"\0")  # CuPy takes the last byte away
            usage, code = (self._ask(option, kernel, path) for option in ("-res-usage", "-sass"))
        nvrtc.destroyProgram(program)
        own = usage.partition(f"Function {kernel}:")[2]
        said = dict(re.findall(r"\b(\w+):(\d+)", own.strip().partition("\n")[0]))
        registers, shared = int(said["REG"]), int(said["SHARED"])
        return {
            "registers": registers,
            "spilled_bytes": max(int(said["STACK"]), int(said["LOCAL"])),
            "shared_bytes": shared,
            "warps_per_sm": warps(arch, registers, shared, block),
            "instructions": len(re.findall(r"/\*[0-9a-f]{4,}\*/\s+[^;]+;", code)) or None,
            "loops": loops(code) if code.count(";") else None,
        }

    def _ask(self, option: str, kernel: str, path: Path) -> str:
        command = [self._cuobjdump, option, "-fun", kernel, str(path)]
        own = {**os.environ, "PATH": self._path}  # where cuobjdump looks for nvdisasm
        return subprocess.run(command, capture_output=True, text=True, env=own).stdout


def measured(compiler: Compiler, archs: list[str]) -> dict[str, dict[str, Row]]:
    """The rows of each architecture, by the kernels' names."""
    return {
        f"sm_{arch}": {name: compiler.row(arch, *each) for name, each in programs().items()}
        for arch in archs
    }


def worse(before: Row, now: Row, slack: float = 0.0) -> list[str]:
    """In words, what a kernel takes more of than before; slack: share of more that is let pass."""
    found = [
        f"{key} {before[key]} -> {now[key]}"
        for key in ("spilled_bytes", "shared_bytes", "instructions")
        if None not in (before[key], now[key]) and now[key] > before[key] * (1 + slack)
    ]
    if now["warps_per_sm"] < before["warps_per_sm"] * (1 - slack):
        found.append(f"warps_per_sm {before['warps_per_sm']} -> {now['warps_per_sm']}")
    old, new = (sum(each["loops"] or ()) for each in (before, now))
    if None not in (before["loops"], now["loops"]) and new > old * (1 + slack):
        found.append(f"loops {before['loops']} -> {now['loops']}")
    return found


def compared(table: dict[str, Any], compiler: Compiler, archs: list[str]) -> list[str]:
    """A line for each kernel that takes more than the table says.

    With the table's compiler nothing more is let pass, with another one a tenth.
    """
    slack = 0.0 if table["nvrtc"] == compiler.version else 0.1
    lines = []
    for arch, rows in measured(compiler, archs).items():
        known = table["kernels"].get(arch, {})
        lines += [f"{arch} {name}: not in the table" for name in rows.keys() - known.keys()]
        for name in rows.keys() & known.keys():
            lines += [f"{arch} {name}: {each}" for each in worse(known[name], rows[name], slack)]
    return sorted(lines)


def shown(table: dict[str, Any]) -> str:
    """The table in text."""
    parts = [
        f"CUDA kernels of a step of LeNet-5, batch {BATCH}, float32, NVRTC {table['nvrtc']}.\n"
    ]
    header = "kernel", "registers", "shared bytes", "warps per SM", "instructions", "in loops"
    for arch, rows in table["kernels"].items():
        lines = [
            (
                name,
                *(str(r[key]) for key in ("registers", "shared_bytes", "warps_per_sm")),
                str(r["instructions"] or "-"),
                " ".join(map(str, r["loops"])) if r["loops"] else "-",
            )
            for name, r in rows.items()
        ]
        parts.append(f"{arch}\n{text_table(header, lines, left=(0,))}")
    return "\n".join(parts)


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser("python -m studies.cuda_resources", __doc__, EXAMPLES)
    p.add_argument("--out", type=Path, help="folder for resources.json and resources.txt")
    p.add_argument("--check", type=Path, metavar="FILE", help="compare with this resources.json")
    p.add_argument("--tools", metavar="FOLDER", help="where cuobjdump and nvdisasm are")
    p.add_argument("--archs", nargs="+", choices=ARCHS, help="only these compute capabilities")
    options: argparse.Namespace = p.parse_args(arguments)
    compiler = Compiler(options.tools)
    archs = [a for a in compiler.archs if a in (options.archs or ARCHS)]
    if options.check:
        lines = compared(json.loads(options.check.read_text()), compiler, archs)
        print("\n".join(lines) or "no kernel takes more")
        sys.exit(bool(lines))
    table = {"nvrtc": compiler.version, "batch": BATCH, "kernels": measured(compiler, archs)}
    print(shown(table))
    if options.out:
        folder = make_folder(options.out)
        write_json(folder / "resources.json", table)
        write_text(folder / "resources.txt", shown(table))


if __name__ == "__main__":
    sys.exit(run(main))
