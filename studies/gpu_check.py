"""Check and time the CUDA backend on a GPU.

Compares gradients and whole runs with NumPy, repeats runs, times the real data, steps, epochs and
kernels, and PyTorch where it has CUDA, and runs the backend tests on CuPy. Each part is a process
of its own with a time limit, so that a part that fails or hangs hides no other. gpu_check.json and
gpu_check.log are written after every part. All parts take ten minutes at most. The exit status is
2, with the reason in one line, where CuPy cannot compute, and 1 if a part failed.
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
from studies.speed.gpu import CHECKS, FULL, MORE_CHECKS, SMALL, Part, Sizes, attempt, run_parts
from studies.speed.gpu_times import MORE_TIMES, TIMES

EXAMPLES = """\
  python -m studies.gpu_check --out gpu
      everything that needs no data
  python -m studies.gpu_check --amhcd amhcd_64.zip --out gpu
      also the times on AMHCD
  python -m studies.gpu_check --only device gradients"""

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ["-m", "studies.gpu_check"]
TESTS = (
    *("ops/test_overrides", "ops/test_ops", "ops/test_contract", "network/test_layers"),
    *("network/test_fused", "network/test_optim", "network/test_losses", "network/test_parity"),
)
TEST_SECONDS = 140
TEST_WORKERS = 8  # processes: most of the time goes into compiling kernels, each on one core
SECONDS = 580.0  # for all parts together


def backend_tests(sizes: Sizes) -> dict[str, Any]:
    """Run the tests that every backend takes, on CuPy."""
    files = [str(ROOT / "tests" / f"{name}.py") for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "--backend", "cupy", "-p", "no:cacheprovider"]
    command += ["-n", str(TEST_WORKERS), "--dist", "worksteal"]
    command += ["--tb=short", "--maxfail=20", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    if done.returncode:
        return {"error": f"pytest ended with {done.returncode}", "traceback": lines[-80:]}
    return {"outcome": lines[-1] if lines else ""}


def parts() -> dict[str, tuple[Part, float]]:
    """Return each part's function and time limit in seconds by its name, the weightiest first."""
    tests = [("backend_tests", backend_tests, TEST_SECONDS)]
    order = (*CHECKS, *TIMES, *MORE_CHECKS, *tests, *MORE_TIMES)
    return {name: (part, limit) for name, part, limit in order}


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
            last = process.communicate()[1].splitlines()[-40:]
            return {"error": f"not over after {limit:.0f} s", "traceback": last}
    lines = output.splitlines()
    if process.returncode or not lines:
        last = errors.splitlines()[-40:]
        return {"error": f"its process ended with {process.returncode}", "traceback": last}
    outcome: dict[str, Any] = json.loads(lines[-1])
    return outcome


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser("python -m studies.gpu_check", __doc__, EXAMPLES)
    p.add_argument("--out", type=Path, default=Path("gpu_check"), help="folder of the report")
    p.add_argument("--amhcd", metavar="FILE", help="AMHCD's archive, for the times on it")
    p.add_argument("--seconds", type=float, default=SECONDS, help="for all parts together")
    p.add_argument("--small", action="store_true", help="tiny sizes, to test this study")
    p.add_argument("--only", nargs="+", metavar="PART", help="only these parts")
    p.add_argument("--part", help="run this part alone, here, and print its outcome as JSON")
    return p.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    options, known = _options(arguments), parts()
    for name in (*(options.only or ()), *filter(None, [options.part])):
        if name not in known:
            raise InputError(f"no part {name!r}; {nearest(name, list(known))}")
    if options.part:
        sizes = replace(SMALL if options.small else FULL, amhcd=options.amhcd)
        print(json.dumps(attempt(known[options.part][0], sizes)))
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # ends the parts
    if not _all_parts(options, {name: limit for name, (_, limit) in known.items()}):
        sys.exit(1)


def _all_parts(options: argparse.Namespace, limits: dict[str, float]) -> bool:
    """Run the parts and write their outcomes; whether all succeeded."""
    begun = time.perf_counter()
    more = ["--small"] * options.small + (["--amhcd", options.amhcd] if options.amhcd else [])
    first = in_a_process("device", limits["device"], more)
    kind, _, reason = first.get("error", "").partition(": ")
    if kind == "BackendUnavailable":
        raise InputError(reason)
    folder = make_folder(options.out)
    lines: list[str] = []

    def log(line: str) -> None:
        print(line, flush=True)
        lines.append(line)
        write_text(folder / "gpu_check.log", "\n".join(lines) + "\n")

    outcome = run_parts(
        {name: limits[name] for name in options.only or limits},
        lambda name, limit: in_a_process(name, limit, more),
        options.seconds - (time.perf_counter() - begun),
        log,
        lambda so_far: write_json(folder / "gpu_check.json", so_far),
    )
    failed = [name for name, values in outcome.items() if "error" in values]
    log(f"failed: {', '.join(failed) or 'nothing'}")
    return not failed


if __name__ == "__main__":
    sys.exit(run(main))
