"""The environment that a result comes from: versions, commit and processor, for a run's record."""

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lenet_xp import __version__

PACKAGES = ["numpy", "opencv-python", "opencv-python-headless", "scikit-learn", "matplotlib"]
PACKAGES += ["cupy-cuda12x", "cupy-cuda13x"]
COMMIT = "describe --always --abbrev=40 --exclude=* --dirty"  # to git: the commit itself, no tag


def versions() -> dict[str, str]:
    """Return the versions of this package, of Python and of each installed dependency."""
    found = {"lenet_xp": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def git_commit() -> str | None:
    """Return this checkout's commit, with "-dirty" if files differ from it; None if it has none."""
    git = ["git", "-C", os.path.dirname(__file__)]
    try:
        for command in ("ls-files --error-unmatch environment.py", COMMIT):  # fails if not tracked
            done = subprocess.run(
                [*git, *command.split()], capture_output=True, timeout=10, check=True
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip()


def cpu_name() -> str:
    """Return the processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
