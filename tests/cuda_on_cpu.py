"""The CUDA sources compiled for the CPU: the kernels' own text, run by cuda_on_cpu.h.

The macros that a CUDA compiler gets (the sizes of a stage) are variables here, so one compilation
serves every size.
"""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

KERNEL = re.compile(r'extern "C" __global__ void (\w+)\(([^)]*)\)')
FAULTS = {
    1: "threads of a block wait at different barriers",
    2: "a block wants more than 48 KB of shared memory",
    3: "a block has more than 1024 threads",
}
HEADER = Path(__file__).with_name("cuda_on_cpu.h")


def compiler() -> str | None:
    """The C++ compiler, or None: Linux alone has the coroutines that the header uses."""
    return shutil.which("g++") if sys.platform == "linux" else None


class Library:
    """The kernels of one source file at one C type.

    defines: names and values of the macros, REAL among them.
    """

    def __init__(self, text: str, defines: dict[str, str]):
        self.settings = {name: int(value) for name, value in defines.items() if name != "REAL"}
        self._kernels = {
            name: [_c_type(part) for part in parameters.split(",")]
            for name, parameters in KERNEL.findall(text)
        }
        self._library = _built(text, defines["REAL"], tuple(sorted(self.settings)))

    def names(self) -> list[str]:
        return list(self._kernels)

    def launch(
        self, name: str, grid: Sequence[int], block: Sequence[int], arguments: Sequence
    ) -> None:
        """Run a kernel; pointers are ints. RuntimeError for what a GPU refuses too."""
        types = self._kernels[name]
        if len(types) != len(arguments):
            raise TypeError(f"{name} takes {len(types)} arguments, not {len(arguments)}")
        for setting, value in self.settings.items():
            getattr(self._library, f"set_{setting}")(value)
        sizes = [(ctypes.c_uint * 3)(*each, *[1] * (3 - len(each))) for each in (grid, block)]
        values = [kind(value) for kind, value in zip(types, arguments, strict=True)]
        fault = getattr(self._library, f"launch_{name}")(*sizes, *values)
        if fault:
            raise RuntimeError(f"{name}: {FAULTS[fault]}")

    def reverse_threads(self, yes: bool) -> None:
        """Run a block's threads from the last to the first, or from the first."""
        self._library.reverse_threads(int(yes))


def _c_type(parameter: str) -> type:
    if "*" in parameter:
        return ctypes.c_void_p
    for words, kind in (
        ("long long", ctypes.c_longlong),
        ("double", ctypes.c_double),
        ("int", ctypes.c_int),
    ):
        if words in parameter:
            return kind
    raise ValueError(f"no C type for the parameter {parameter.strip()!r}")


def _launcher(name: str, parameters: str) -> str:
    """A C function that runs a kernel over a grid."""
    declared = [" ".join(p.replace("__restrict__", "").split()) for p in parameters.split(",")]
    names = [re.search(r"\w+$", p).group() for p in declared]
    packed = "".join(f"    {d};\n" for d in declared)
    unpacked = ", ".join(f"g->{n}" for n in names)
    return (
        f"struct given_{name} {{\n{packed}}};\n"
        f'extern "C" int launch_{name}(const unsigned* grid, const unsigned* block, '
        f"{', '.join(declared)})\n{{\n"
        f"    given_{name} given = {{{', '.join(names)}}};\n"
        f"    return emulator::run(grid, block, [](void* p) {{ auto g = (given_{name}*)p; "
        f"{name}({unpacked}); }}, &given);\n}}\n"
    )


@cache
def _built(text: str, real: str, settings: tuple[str, ...]) -> ctypes.CDLL:
    """The compiled library, kept between runs in the temporary folder."""
    variables = [
        f'static int {name};\nextern "C" void set_{name}(int value) {{ {name} = value; }}\n'
        f"#define {name} {name}"  # for #ifndef
        for name in settings
    ]
    launchers = [_launcher(*kernel) for kernel in KERNEL.findall(text)]
    whole = "\n".join((HEADER.read_text(), f"typedef {real} REAL;", *variables, text, *launchers))
    folder = Path(tempfile.gettempdir()) / f"lenet_xp_cuda_on_cpu_{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"{hashlib.sha256(whole.encode()).hexdigest()[:24]}.so"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=folder) as work:
            code, made = Path(work) / "kernels.cpp", Path(work) / "kernels.so"
            code.write_text(whole)
            command = [compiler(), "-std=gnu++17", "-O2", "-w", "-shared", "-fPIC"]
            subprocess.run([*command, str(code), "-o", str(made)], check=True)
            made.replace(target)
    return ctypes.CDLL(str(target))
