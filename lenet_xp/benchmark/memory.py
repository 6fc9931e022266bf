"""How much memory and time a whole command takes, measured from outside."""

import os
import subprocess
import sys
import time


def measure_command(arguments: list[str]) -> dict:
    """Run this Python with arguments; its wall seconds, CPU seconds, peak memory in MB, status."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "command": " ".join(["python", *arguments]),
        "exit_status": process.returncode,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_megabytes": usage.ru_maxrss / (1024 if sys.platform != "darwin" else 2**20),
    }
