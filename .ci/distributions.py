"""Check what the wheel and the source distribution of a folder hold."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def tracked() -> set[str]:
    """The files that Git knows, as paths from the repository's root."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


def problems(folder: Path) -> list[str]:
    """One line for each file that is missing or should not be there."""
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = {name for name in tracked() if name.startswith("lenet_xp/")}
    with tarfile.open(sdist) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    return [
        *(f"{wheel.name} lacks {name}" for name in sorted(package - names)),
        *(f"{wheel.name} holds {name}" for name in sorted(names - package)),
        *(f"{sdist.name} lacks {name}" for name in sorted(tracked() - source)),
    ]


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]))
    sys.exit("\n".join(found) or 0)
