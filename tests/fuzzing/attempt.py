"""One case after another in this process, each in a folder of its own, under watch."""

import os
import resource
import shutil
import subprocess
import sys
import time
import traceback
import warnings
from pathlib import Path

from fuzzing import payload, place
from fuzzing.case import Case
from fuzzing.outcome import Outcome
from fuzzing.served import Demo
from fuzzing.watch import Streams, Watch
from lenet_xp.commands.main import start

ROOT = Path(__file__).resolve().parents[2]
ROOM = 2**30  # bytes of address space that a process may take beyond what it has at the start
PATIENCE = 60  # seconds for a process of its own
_LINKS = {"HOME": "home", "XDG_CACHE_HOME": "home", "MPLCONFIGDIR": "home"}


class Attempts:
    """The folder of a process's cases. Takes over the process's streams, for good.

    root: a folder that is there. The cases' own is several levels below, so that a path that
    climbs out of it ends where it is found.
    """

    def __init__(self, root: Path):
        self.root = root
        self.base = place.build(root / "a" / "b" / "c")
        self.folder = self.base.parent / "case"
        (root / "home").mkdir(exist_ok=True)
        for name, folder in _LINKS.items():
            os.environ[name] = str(root / folder)
        os.environ["LENET_XP_CACHE"] = str(self.folder / "cache")
        self._expected = _tree(root)
        self._demo: Demo | None = None
        self.streams, self.watch = Streams(), Watch(root)
        warnings.simplefilter("always", append=True)  # not only the first time: each case anew
        _limit_memory()

    def run(self, case: Case) -> Outcome:
        """Run a case and see what came of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        os.chdir(self.folder)
        case.lay(self.folder)
        before = _tree(self.folder)
        began = time.perf_counter()
        if case.command == "demo" and case.door == "demo":
            status, out, err = self._asked(case)
        else:
            status, out, err = self._apart(case) if case.apart else self._here(case)
        seconds = time.perf_counter() - began
        new = sorted(_tree(self.folder) - before)
        return Outcome(
            status, out, err, new, [*self.watch.notes(), *self._escaped(new)], seconds, _peak()
        )

    def _here(self, case: Case) -> tuple[int | None, str, str]:
        self.watch.on = True
        try:
            status = start(case.command, list(case.arguments)) if _known(case.command) else 2
            if not _known(case.command):
                print("error: no such command", file=sys.stderr)
        except SystemExit as left:  # argparse's way
            status = left.code
        except BaseException:
            status = None
            traceback.print_exc()
        finally:
            self.watch.on = False
        return status, *self.streams.taken()

    def _asked(self, case: Case) -> tuple[int | None, str, str]:
        """Of the demo's server, which is no command that ends: one stands beside all cases."""
        if self._demo is None:
            self._demo = Demo(self.base / "model.npz")
        status, reason = self._demo.asked(case.files["request"])
        out, err = self.streams.taken()
        return status, out, err + reason

    def _apart(self, case: Case) -> tuple[int | None, str, str]:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "lenet_xp", case.command, *case.arguments],
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return None, "", f"not over after {PATIENCE} s"
        except OSError as error:  # an argument too long for the system: nothing was run
            return 2, "", f"error: {error}"
        except (ValueError, UnicodeEncodeError):
            return 2, "", "error: no argument to give"
        return done.returncode, *(s.decode(errors="replace") for s in (done.stdout, done.stderr))

    def _escaped(self, new: list[str]) -> list[str]:
        """Files that stand beside the case's folder, or are what a pickle leaves."""
        found = [f"a pickle ran: {name}" for name in new if Path(name).name == payload.CANARY]
        above = (self.root, self.root / "a", self.root / "a/b", self.base.parent, self.base)
        for folder in above:
            for entry in os.scandir(folder):
                name = os.path.relpath(entry.path, self.root)
                if name not in self._expected and entry.path != str(self.folder):
                    found.append(name)
        return found


def _known(command: str) -> bool:
    return (ROOT / "lenet_xp" / "commands" / f"{command}.py").is_file()


def _tree(folder: Path) -> set[str]:
    """Everything in a folder, by its path from there."""
    found, waiting = set(), [""]
    while waiting:
        prefix = waiting.pop()
        for entry in os.scandir(folder / prefix):
            name = prefix + entry.name
            found.add(name)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(name + "/")
    return found


def _peak() -> int:
    """The most memory that this process or any of its children ever held, bytes."""
    who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return max(resource.getrusage(each).ru_maxrss for each in who) * 1024


def _limit_memory() -> None:
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + ROOM, held + ROOM))
