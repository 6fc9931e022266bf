#!/usr/bin/env python3
"""Check and time the CUDA backend on a GPU: python scripts/gpu_check.py --out gpu

Runs the backend tests on CuPy, compares gradients and whole runs with NumPy, repeats runs, times
kernels, steps and epochs with and without CUDA graphs, and PyTorch where it has CUDA. Each part is
reported by itself; gpu_check.json and gpu_check.log are written after every part. Takes minutes.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # this checkout, before any other

TESTS = "test_overrides test_ops test_contract test_layers test_optim test_losses test_parity"
TEST_SECONDS = 150


def backend_tests(sizes) -> dict:
    """The tests that every backend takes, on CuPy."""
    files = [str(ROOT / "tests" / f"{name}.py") for name in TESTS.split()]
    command = [sys.executable, "-m", "pytest", "-q", "--backend", "cupy", "-p", "no:cacheprovider"]
    command += ["--tb=short", "--maxfail=20", *files]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=TEST_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b"").decode(errors="replace")
        return {"error": f"not over after {TEST_SECONDS} s", "traceback": output.splitlines()[-40:]}
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    if done.returncode:
        return {"error": f"pytest ended with {done.returncode}", "traceback": lines[-80:]}
    return {"outcome": lines[-1] if lines else ""}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu_check"), help="folder for the report")
    parser.add_argument("--seconds", type=float, default=330, help="begin no part after so many")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to test this script")
    parser.add_argument("--only", nargs="+", metavar="PART", help="these parts alone")
    options = parser.parse_args()

    from lenet_xp.benchmark.gpu import CHECKS, FULL, SMALL, run_parts
    from lenet_xp.benchmark.gpu_times import TIMES
    from lenet_xp.files import make_folder, write_json, write_text

    parts = {**CHECKS, **TIMES, "backend_tests": backend_tests}
    if options.only:
        parts = {name: parts[name] for name in options.only}
    folder = make_folder(options.out)
    lines: list[str] = []

    def log(line: str) -> None:
        print(line, flush=True)
        lines.append(line)
        write_text(folder / "gpu_check.log", "\n".join(lines) + "\n")

    outcome = run_parts(parts, SMALL if options.small else FULL, options.seconds, log)
    write_json(folder / "gpu_check.json", outcome)
    failed = [name for name, values in outcome.items() if "error" in values]
    log(f"failed: {', '.join(failed) or 'nothing'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
