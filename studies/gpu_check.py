"""Check and time the CUDA backend on a GPU, in at most four minutes.

Times kernels, steps beside PyTorch, and AMHCD; compares gradients and whole runs with NumPy;
repeats runs; runs NVIDIA's compute-sanitizer and the backend tests. Each part is a process of its
own with a time limit, so that a part that fails or hangs hides no other; the most telling come
first. A table of targets ends the report. gpu_check.json and gpu_check.log are written after every
part. The exit status is 2, with the reason in one line, where CuPy cannot compute, and 1 if a part
failed. What the time did not suffice for is left out, and named.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lenet_xp.commands.terminal import parser, run
from lenet_xp.errors import InputError
from lenet_xp.system.files import make_folder, write_json, write_text
from lenet_xp.system.text import nearest
from studies.speed import gpu, gpu_times
from studies.speed.gpu import FULL, NOT_OVER, SMALL, Part, Sizes, attempt, run_parts
from studies.speed.gpu_floors import floor_table
from studies.speed.gpu_sanitizer import TOOLS, sanitizer

EXAMPLES = """\
  python -m studies.gpu_check --out gpu
      everything; the times on AMHCD if carry/amhcd_64.zip is in the clone, where git ignores it
  python -m studies.gpu_check --amhcd amhcd_64.zip --out gpu
      with the archive from elsewhere
  python -m studies.gpu_check --only device gradients"""

ROOT = Path(__file__).resolve().parent.parent
CARRIED = ROOT / "carry" / "amhcd_64.zip"  # goes along with a clone that is copied as it stands
PROGRAM = ["-m", "studies.gpu_check"]
TESTS = (
    *("ops/test_overrides", "ops/test_ops", "ops/test_contract", "network/test_layers"),
    *("network/test_fused", "network/test_optim", "network/test_losses", "network/test_parity"),
)
TEST_WORKERS = 8  # processes: most of the time goes into compiling kernels, each on one core
SECONDS = 230.0  # for all parts together, so that all is over within four minutes


def backend_tests(sizes: Sizes) -> dict[str, Any]:
    """Run the tests that every backend takes, on CuPy."""
    files = [str(ROOT / "tests" / f"{name}.py") for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "--backend", "cupy", "-p", "no:cacheprovider"]
    command += ["-n", str(TEST_WORKERS), "--dist", "worksteal"]
    command += ["--tb=short", "--maxfail=20", *files]
    lines: list[str] = []
    how: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **how) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            print(lines[-1], file=sys.stderr, flush=True)  # counts if the time is over
    if process.returncode:
        return {"error": f"pytest ended with {process.returncode}", "traceback": lines[-80:]}
    return {"outcome": lines[-1] if lines else ""}


# Part and time limit in seconds; the most telling first, for time may be short.
PARTS: dict[str, tuple[Part, float]] = {
    "device": (gpu.device, 30),
    "gradients": (gpu.gradients, 45),
    "graphs_of_one_kernel": (gpu_times.graphs_of_one_kernel, 25),
    "host_side": (gpu_times.host_side, 20),
    "speed": (gpu_times.speed, 45),
    "amhcd": (gpu_times.amhcd, 75),
    "determinism": (gpu.determinism, 20),
    "parity": (gpu.parity, 60),
    **{tool: (sanitizer(tool), 30) for tool in TOOLS},
    "augmentation": (gpu.augmentation, 20),
    "backend_tests": (backend_tests, 75),
    "learning": (gpu.learning, 30),
    "kernels": (gpu_times.kernels, 25),
}


def in_a_process(name: str, limit: float, more: list[str]) -> dict[str, Any]:
    """Run a part in a process of its own and return its outcome.

    limit: seconds. more: further options of the process.
    """
    command = [sys.executable, *PROGRAM, "--part", name, *more]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=limit)
        except BaseException as error:
            with suppress(ProcessLookupError):  # its children would use the GPU in other parts
                os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            output, errors = process.communicate()
            found = {"error": f"{NOT_OVER} {limit:.0f} s", "traceback": errors.splitlines()[-40:]}
            with suppress(IndexError, ValueError):  # it has printed nothing, or half a line
                found |= json.loads(output.splitlines()[-1])
            return found
    lines = output.splitlines()
    if process.returncode or not lines:
        last = errors.splitlines()[-40:]
        return {"error": f"its process ended with {process.returncode}", "traceback": last}
    outcome: dict[str, Any] = json.loads(lines[-1])
    return outcome


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser("python -m studies.gpu_check", __doc__, EXAMPLES)
    p.add_argument("--out", type=Path, default=Path("gpu_check"), help="folder of the report")
    where = CARRIED.relative_to(ROOT)
    p.add_argument(
        "--amhcd",
        metavar="FILE",
        type=Path,
        default=CARRIED if CARRIED.is_file() else None,
        help=f"AMHCD's archive, for the times on it (default: {where} of the clone, if there)",
    )
    p.add_argument("--seconds", type=float, default=SECONDS, help="for all parts together")
    p.add_argument("--small", action="store_true", help="tiny sizes, to test this study")
    p.add_argument("--only", nargs="+", metavar="PART", help="only these parts")
    p.add_argument("--part", help="run this part alone, here, and print its outcome as JSON")
    return p.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    options = _options(arguments)
    for name in (*(options.only or ()), *filter(None, [options.part])):
        if name not in PARTS:
            raise InputError(f"no part {name!r}; {nearest(name, list(PARTS))}")
    if options.amhcd:
        if not options.amhcd.is_file():
            raise InputError(f"--amhcd {options.amhcd}: no such file")
        options.amhcd = str(options.amhcd.resolve())  # parts run in another folder
    if options.part:
        sizes = replace(SMALL if options.small else FULL, amhcd=options.amhcd)
        print(json.dumps(attempt(PARTS[options.part][0], sizes)))
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # ends the parts
    if not _all_parts(options):
        sys.exit(1)


def _all_parts(options: argparse.Namespace) -> bool:
    """Run the parts and write their outcomes; whether all succeeded."""
    begun = time.perf_counter()
    more = ["--small"] * options.small + (["--amhcd", options.amhcd] if options.amhcd else [])
    first = in_a_process("device", PARTS["device"][1], more)
    kind, _, reason = first.get("error", "").partition(": ")
    if kind == "BackendUnavailable":
        raise InputError(reason)
    taken = time.perf_counter() - begun
    first["part_seconds"] = round(taken, 2)
    folder = make_folder(options.out)
    lines: list[str] = []
    outcome: dict[str, dict[str, Any]] = {}

    def log(line: str) -> None:
        lines.append(line)
        print(line, flush=True)
        write_text(folder / "gpu_check.log", "\n".join(lines) + "\n")

    def one(name: str, limit: float) -> dict[str, Any]:
        return first if name == "device" else in_a_process(name, limit, more)

    def keep(so_far: dict[str, dict[str, Any]]) -> None:
        outcome.update(so_far)
        write_json(folder / "gpu_check.json", outcome)

    try:
        limits = {name: PARTS[name][1] for name in options.only or PARTS}
        run_parts(limits, one, options.seconds - taken, log, keep)
    finally:  # when it is stopped, too
        for line in floor_table(outcome):
            log(line)
        for word, key in (("left out", "left out"), ("failed", "error")):
            named = [name for name, values in outcome.items() if key in values]
            log(f"{word}: {', '.join(named) or 'nothing'}")
    return not any("error" in values for values in outcome.values())


if __name__ == "__main__":
    sys.exit(run(main))
