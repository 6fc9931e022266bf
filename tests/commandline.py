"""Shared by the tests of the commands: small data, calls in this process and in others."""

import os
import re
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from lenet_xp.commands import audit, evaluate, export, predict, terminal, train
from lenet_xp.system.opencv import cv2
from studies import averaging, compare
from studies.report import __main__ as report
from studies.search import __main__ as search

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {
    "train": train.train,
    "evaluate": evaluate.evaluate,
    "predict": predict.predict,
    "audit": audit.audit,
    "export": export.export,
    "compare": compare.compare,
    "report": report.report,
    "search": search.search,
    "averaging": averaging.averaging,
}
QUICK = ("--epochs", "1", "--threads", "1", "--no-plots", "--backend", "numpy")


class Outcome(NamedTuple):
    """An exit status and the printed text."""

    status: int
    out: str
    err: str

    def assert_refused(self, *words: object) -> None:
        """Assert status 2 and one error line that contains every word."""
        assert self.status == 2, self
        assert self.out == ""
        lines = self.err.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1 and errors[0] == lines[-1], self.err
        # Lines of progress may precede it.
        others = [
            each for each in lines[:-1] if not re.search(r" images$| parameters; | knows ", each)
        ]
        assert not others and "Traceback" not in self.err, self.err
        assert all(str(word) in errors[0] for word in words), errors[0]


@pytest.fixture
def call(capsys):
    """A function that runs a command in this process: call("train", "--data", ...)."""

    def run(command: str, *arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            status = terminal.run(COMMANDS[command], [str(each) for each in arguments])
        except SystemExit as left:  # argparse's way
            status = left.code
        return Outcome(status, *capsys.readouterr())

    return run


def start(command: str, *arguments: object, cwd: Path, **options) -> subprocess.Popen:
    """Start a command in a process of its own, its output read as UTF-8."""
    limit = options.pop("preexec_fn", lambda: None)

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
        limit()

    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "lenet_xp", command, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=prepare,
        **options,
    )


def finish(process: subprocess.Popen) -> Outcome:
    """Wait for a started command."""
    out, err = process.communicate(timeout=300)
    return Outcome(process.returncode, out or "", err)


def letters_folder(path: Path, count: int = 15, side: int = 48) -> Path:
    """Create class folders of circles, lines and crosses, `count` JPEGs each."""
    rng = np.random.default_rng(0)
    for name in ("ya", "yan", "yat"):
        (path / name).mkdir(parents=True)
        for number in range(count):
            image = rng.integers(232, 249, (side, side), np.uint8)  # no two alike
            x, y = (int(v) for v in rng.integers(side // 2 - 4, side // 2 + 5, 2))
            if name == "ya":
                cv2.circle(image, (x, y), side // 4, 20, 3)
            else:
                cv2.line(image, (x, 6), (x, side - 7), 20, 3)
            if name == "yat":
                cv2.line(image, (6, y), (side - 7, y), 20, 3)
            cv2.imwrite(str(path / name / f"{name}_{number}.jpeg"), image)
    return path


def png(width: int, height: int) -> bytes:
    """A valid black-and-white PNG of any size in few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + checksum

    pack = zlib.compressobj(1)
    row = b"\0" + bytes(-(-width // 8))
    packed = b"".join(pack.compress(row) for _ in range(height)) + pack.flush()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x01\0\0\0\0"
    parts = chunk(b"IHDR", header), chunk(b"IDAT", packed), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def files_in(folder: Path) -> list[str]:
    """Every file under a folder, hidden ones too, except those of coverage."""
    files = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".coverage"))
    return sorted(str(p.relative_to(folder)) for p in files)
