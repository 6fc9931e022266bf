"""Runs tests on a copy of the tree that has one fault."""

import compileall
import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import NamedTuple

from studies.mutants.rooms import Mutant

COPIED = ("lenet_xp", "tests", "studies", "scripts", "docs", "pyproject.toml", "README.md")
MEMORY = 8 * 2**30  # bytes of addresses a process: a fault may ask for all there is
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
QUIET = (0, 5)  # exit statuses of pytest: all passed; no tests, as where a library is missing
KILLED, TIMED_OUT, SURVIVED = "killed", "timed out", "survived"


class Outcome(NamedTuple):
    """What became of a mutant: KILLED, TIMED_OUT or SURVIVED, after how long, by which test."""

    status: str
    seconds: float
    by: str | None


@dataclass
class Tree:
    """A copy of the tree for one process of tests at a time; the tree itself is never changed."""

    root: Path
    running: subprocess.Popen[str] | None = None

    def judge(self, mutant: Mutant, seconds: float) -> Outcome:
        """Whether the tests of a mutant's room notice it within some seconds."""
        path = self.root / mutant.file
        source = path.read_bytes()
        path.write_bytes(mutant.change.applied(source))
        try:
            return self.test(mutant.tests, seconds)
        finally:
            path.write_bytes(source)

    def test(self, tests: Sequence[str], seconds: float) -> Outcome:
        """Run test files in this order until one fails or the time is over."""
        start = time.monotonic()
        options = ["-x", "--tb=no", "-rfE", "-p", "no:cacheprovider", "--basetemp", "../pytest"]
        self.running = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=self.root,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # so that all that it starts can be ended with it
        )
        resource.prlimit(self.running.pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
        try:
            said, _ = self.running.communicate(timeout=seconds)
            status = SURVIVED if self.running.returncode in QUIET else KILLED
        except subprocess.TimeoutExpired:
            said, status = "", TIMED_OUT
        finally:
            self.stop()
        by = FAILED.search(said) if status == KILLED else None
        return Outcome(status, round(time.monotonic() - start, 1), by and by[1])

    def _environment(self) -> dict[str, str]:
        # A host's options, such as for a floor of coverage, would fail every run of a few tests.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
        return kept | {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}

    def stop(self) -> None:
        """End the tests and all processes that they started."""
        if self.running is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.running.pid, signal.SIGKILL)
            self.running.wait()


@contextmanager
def copy_of(root: Path) -> Iterator[Tree]:
    """Yield a copy of the tree in a temporary folder, beside the same shared data."""
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "tree"
        copy.mkdir()
        for name in COPIED:
            if (root / name).is_dir():
                junk = shutil.ignore_patterns("__pycache__", ".*")
                shutil.copytree(root / name, copy / name, ignore=junk)
            elif (root / name).exists():
                shutil.copy2(root / name, copy / name)
        if (root.parent / "shared").is_dir():
            (Path(folder) / "shared").symlink_to((root.parent / "shared").resolve())
        by_content = PycInvalidationMode.CHECKED_HASH  # a fault may keep time and size
        compileall.compile_dir(copy, quiet=2, invalidation_mode=by_content)
        tree = Tree(copy)
        try:
            yield tree
        finally:
            tree.stop()
