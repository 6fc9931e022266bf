"""Check and time the CUDA backend on a GPU.

    python studies/gpu_check.py --amhcd amhcd_64.zip --out gpu

Compares gradients and whole runs with NumPy, repeats runs, takes the times of the real data, of
steps, epochs and kernels, of PyTorch where it has CUDA, and runs the backend tests on CuPy. Each
part is a process of its own, with a limit, so that one that fails or hangs hides no other;
gpu_check.json and gpu_check.log are written after every part. Ten minutes at most. Where CuPy
cannot compute it says why in one line and ends with status 2.
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

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = ["-m", "studies.gpu_check"]
TESTS = (
    *("ops/test_overrides", "ops/test_ops", "ops/test_contract", "network/test_layers"),
    *("network/test_fused", "network/test_optim", "network/test_losses", "network/test_parity"),
)
TEST_SECONDS = 140
TEST_WORKERS = 8  # processes: most of the time goes into compiling kernels, each on one core


def backend_tests(sizes) -> dict:
    """The tests that every backend takes, on CuPy."""
    files = [str(ROOT / "tests" / f"{name}.py") for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "--backend", "cupy", "-p", "no:cacheprovider"]
    command += ["-n", str(TEST_WORKERS), "--dist", "worksteal"]
    command += ["--tb=short", "--maxfail=20", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    if done.returncode:
        return {"error": f"pytest ended with {done.returncode}", "traceback": lines[-80:]}
    return {"outcome": lines[-1] if lines else ""}


def parts() -> dict:
    """Each part's function and seconds by its name, the weightiest first."""
    from studies.speed.gpu import CHECKS, MORE_CHECKS
    from studies.speed.gpu_times import MORE_TIMES, TIMES

    tests = [("backend_tests", backend_tests, TEST_SECONDS)]
    order = (*CHECKS, *TIMES, *MORE_CHECKS, *tests, *MORE_TIMES)
    return {name: (part, limit) for name, part, limit in order}


def in_a_process(name: str, limit: float, more: list[str]) -> dict:
    """The outcome of a part that runs in a process of its own."""
    command = [sys.executable, *PROGRAM, "--part", name, *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes, start_new_session=True) as process:
        try:
            output, errors = process.communicate(timeout=limit)
        except BaseException as error:
            with suppress(ProcessLookupError):  # what it started would use the GPU in other parts
                os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            last = process.communicate()[1].splitlines()[-40:]
            return {"error": f"not over after {limit:.0f} s", "traceback": last}
    lines = output.splitlines()
    if process.returncode or not lines:
        last = errors.splitlines()[-40:]
        return {"error": f"its process ended with {process.returncode}", "traceback": last}
    return json.loads(lines[-1])


def options_given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("gpu_check"), help="folder for the report")
    parser.add_argument("--amhcd", metavar="FILE", help="AMHCD's archive, for the times on it")
    parser.add_argument("--seconds", type=float, default=580, help="for all parts together")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to test this script")
    parser.add_argument("--only", nargs="+", metavar="PART", help="these parts alone")
    parser.add_argument("--part", help="run this part alone, here, and print its outcome as JSON")
    return parser.parse_args()


def main() -> int:
    options = options_given()
    from lenet_xp.system.files import make_folder, write_json, write_text
    from studies.speed.gpu import FULL, SMALL, attempt, run_parts

    known = parts()
    for name in (*(options.only or ()), *filter(None, [options.part])):
        if name not in known:
            print(f"error: no part {name!r}; there are {', '.join(known)}", file=sys.stderr)
            return 2
    if options.part:
        sizes = replace(SMALL if options.small else FULL, amhcd=options.amhcd)
        print(json.dumps(attempt(known[options.part][0], sizes)))
        return 0
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # with its parts
    begun = time.perf_counter()
    more = ["--small"] * options.small + (["--amhcd", options.amhcd] if options.amhcd else [])
    first = in_a_process("device", known["device"][1], more)
    kind, _, reason = first.get("error", "").partition(": ")
    if kind == "BackendUnavailable":
        print(f"error: {reason}", file=sys.stderr)
        return 2
    folder = make_folder(options.out)
    lines: list[str] = []

    def log(line: str) -> None:
        print(line, flush=True)
        lines.append(line)
        write_text(folder / "gpu_check.log", "\n".join(lines) + "\n")

    outcome = run_parts(
        {name: known[name][1] for name in options.only or known},
        lambda name, limit: in_a_process(name, limit, more),
        options.seconds - (time.perf_counter() - begun),
        log,
        lambda so_far: write_json(folder / "gpu_check.json", so_far),
    )
    failed = [name for name, values in outcome.items() if "error" in values]
    log(f"failed: {', '.join(failed) or 'nothing'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
