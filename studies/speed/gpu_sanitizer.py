"""NVIDIA's compute-sanitizer over the kernels of training and reading.

`python -m studies.speed.gpu_sanitizer` runs them on a few images.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lenet_xp.inference import ForwardPass
from lenet_xp.model import LeNet5
from lenet_xp.ops.cuda.cupy_ops import CupyOps
from studies.speed.gpu import RECIPES, SingleLaunches, Sizes, patterns, trained
from studies.speed.ours import PREPROCESSING, random_batch

TOOLS = "memcheck", "racecheck", "synccheck"
IMAGES = 35  # of a batch: more than the 32 lanes of a warp
USUAL = Path("/usr/local/cuda/bin/compute-sanitizer")
MORE = {"memcheck": ("--report-api-errors", "no")}  # CuPy asks for what a card may not have
PROGRAM = ["-m", "studies.speed.gpu_sanitizer"]
ENDED = "all kernels ran"


def sanitizer(tool: str) -> Callable[[Sizes], dict[str, Any]]:
    """Return the part that runs one of the tools: its findings, and its words if there are any."""

    def part(sizes: Sizes) -> dict[str, Any]:
        program = shutil.which("compute-sanitizer") or (str(USUAL) if USUAL.exists() else None)
        if program is None:
            return {"left out": "compute-sanitizer, which CUDA's toolkit has, is not on the PATH"}
        command = [program, "--tool", tool, *MORE.get(tool, ()), sys.executable, *PROGRAM]
        done = subprocess.run(command, capture_output=True, text=True)
        lines = done.stdout.splitlines() + done.stderr.splitlines()
        sums = [line for line in lines if "SUMMARY:" in line]
        if not sums or ENDED not in lines:
            return {
                "error": f"compute-sanitizer ended with {done.returncode}",
                "traceback": lines[-40:],
            }
        findings = int(sums[-1].partition("SUMMARY:")[2].split()[0])
        if findings:
            return {"findings": findings, "error": sums[-1], "traceback": lines[:80]}
        return {"findings": 0}

    return part


def run_all() -> None:
    """Train two steps of each recipe, joined and not, and read, each array in memory of its own."""
    kinds = CupyOps(graph=False), SingleLaunches()
    ops = kinds[0]
    ops.xp.cuda.set_allocator(None)  # a pool's blocks lie side by side, so that no end would show
    for recipe in RECIPES.values():
        for each in kinds:
            own = recipe.with_options(batch_size=IMAGES, epochs=1)
            trained(each, own, *patterns(2 * IMAGES))
    ForwardPass(LeNet5(ops=ops), PREPROCESSING, IMAGES)(random_batch(IMAGES)[0])
    print(ENDED)


if __name__ == "__main__":
    run_all()
