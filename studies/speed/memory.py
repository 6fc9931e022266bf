"""Time and memory of a whole command, measured from outside.

`python -m studies.speed.memory -m lenet_xp train --epochs 1` prints them as JSON.
"""

import json
import os
import subprocess
import sys
import time
from typing import Any


def measure_command(arguments: list[str]) -> dict[str, Any]:
    """Run this Python with arguments; return wall and CPU seconds, peak memory in MB and status.

    It finds this lenet_xp first. A small process of its own starts the command, because the peak
    that Linux reports is at least the size of the process that started it.
    """
    starter = [sys.executable, __file__, *arguments]
    done = subprocess.run(starter, capture_output=True, text=True, check=True, env=package_first())
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def package_first() -> dict[str, str]:
    """Return the environment of a Python process that finds this lenet_xp before any other."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    paths = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": paths}


def _measure(arguments: list[str]) -> dict[str, Any]:
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "command": " ".join(["python", *map(os.path.basename, arguments)]),
        "exit_status": process.returncode,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_megabytes": usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 1024),
    }


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1:])))
