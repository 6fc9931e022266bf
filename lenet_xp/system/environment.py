"""Where a result comes from: versions, commit and processor, for the run record."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lenet_xp import __version__

PACKAGES = (
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "scikit-learn",
    "matplotlib",
    "cupy-cuda12x",
    "cupy-cuda13x",
)


def versions() -> dict[str, str]:
    """The version of this package, of Python and of each installed dependency."""
    found = {"lenet_xp": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """The commit of this checkout, "-dirty" behind it if files differ; None outside of one."""
    folder = Path(__file__).resolve().parent
    try:
        tracked = _git(folder, "ls-files", "--error-unmatch", Path(__file__).name)
        commit = _git(folder, "rev-parse", "HEAD") if tracked else None
        if commit is None:
            return None
        return commit + ("-dirty" if _git(folder, "status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def cpu_name() -> str:
    """The processor in words."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git(folder: Path, *arguments: str) -> str:
    answer = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
    )
    answer.check_returncode()
    return answer.stdout.strip()
