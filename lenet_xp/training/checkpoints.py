"""Checkpoints: everything a run needs to go on to the bit, in files that prove they are whole.

Each is written beside the others and reaches the disk before an older one is removed, so that at
every moment, whatever dies, a whole one is there. npz rather than safetensors: it needs nothing
but NumPy, and each file carries a checksum, which safetensors lacks.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.model_file import SavedModel, save_model
from lenet_xp.system.files import make_folder
from lenet_xp.system.npz_file import MAX_CONTAINER, Damaged, read_container, write_container

FORMAT, VERSION = "lenet_xp checkpoint", 1
BEST = "best.npz"
KEEP = 3  # the newest, and two to fall back on


@dataclass(frozen=True)
class State:
    """Where a run stands after `step` steps: arrays, and values that JSON can hold."""

    step: int
    arrays: dict[str, np.ndarray]
    values: dict[str, Any]


class Checkpoints:
    """The checkpoints of a run, in a folder of their own.

    keep: how many of the newest to keep.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = KEEP):
        self.folder, self.keep = Path(folder), keep

    def save(self, state: State, run: dict[str, Any]) -> None:
        """Write the state of a run, then remove checkpoints too many; `run` says which it is.

        Raises InputError where it cannot be written, having lost none.
        """
        make_folder(self.folder)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "step": state.step,
            "values": state.values,
            "run": run,
        }
        write_container(self.folder / f"step-{state.step:010d}.npz", header, state.arrays)
        for old in self._newest_first()[self.keep :]:
            old.unlink(missing_ok=True)

    def latest(self, say: Callable[[str], None]) -> tuple[State, dict[str, Any]] | None:
        """State and run of the newest whole checkpoint, or None where there is none at all.

        say is told of each damaged one passed over. Raises InputError if all are damaged.
        """
        files = self._newest_first()
        for path in files:
            try:
                return _read(path)
            except InputError:
                raise
            except Exception as error:  # damaged bytes have a dozen ways to go wrong
                reason = " ".join(str(error).split())[:120] or type(error).__name__
                say(f"checkpoint {path.name} is damaged ({reason}); falling back to the one before")
        if files:
            raise InputError(f"{self.folder}: every checkpoint is damaged; start the run again")
        return None

    def save_best(self, saved: SavedModel) -> None:
        """Write the best model so far beside the checkpoints, ready for use."""
        make_folder(self.folder)
        save_model(self.folder / BEST, saved)

    def any(self) -> bool:
        """Whether there is one, whole or not."""
        return bool(self._newest_first())

    def left_behind(self) -> str:
        """What a run that fails leaves, in words that end a sentence about it."""
        words = ""
        if (self.folder / BEST).exists():
            words += f"; the best model so far is {self.folder / BEST}"
        newest = self._newest_first()[:1]
        return words + "".join(f"; the last good checkpoint is {path}" for path in newest)

    def clear(self) -> None:
        """Remove all that is here, and the folder if nothing else is in it."""
        for path in (*self._newest_first(), self.folder / BEST):
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.npz"), reverse=True)


def _read(path: Path) -> tuple[State, dict[str, Any]]:
    if not path.is_file():
        raise Damaged("it is no file")
    if path.stat().st_size > MAX_CONTAINER:
        raise Damaged("it is too large")
    header, arrays = read_container(path.read_bytes())
    if header.get("format") != FORMAT:
        raise Damaged("it is of another format")
    if header.get("version") != VERSION:
        raise InputError(
            f"{path}: checkpoint format {header.get('version')!r:.20}, but this lenet_xp reads "
            f"{VERSION}; go on with the version that wrote it"
        )
    step, values, run = (header.get(key) for key in ("step", "values", "run"))
    if type(step) is not int or step < 0 or not isinstance(values, dict):
        raise Damaged("it says nothing of where the run stands")
    if not isinstance(run, dict):
        raise Damaged("it does not say of which run it is")
    return State(step, arrays, values), run


class Stopped(BaseException):
    """A run ended because it was asked to; the message says how to go on.

    No Exception, as KeyboardInterrupt is none: nothing may take it for a failure.
    """

    def __init__(self, message: str, signum: int):
        super().__init__(message)
        self.signum = signum


class StopRequest:
    """Whether somebody has asked to stop, and by which signal; None while nobody has."""

    signum: int | None = None


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Note the first Ctrl-C or SIGTERM instead of stopping at once; a second Ctrl-C stops.

    Outside of the main thread, which alone may listen for signals, nothing changes.
    """
    request = StopRequest()

    def note(signum: int, frame: FrameType | None) -> None:
        if request.signum is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        request.signum = signum

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


@contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a folder for this process alone. Raises InputError where another one holds it."""
    path = Path(folder) / ".lock"
    handle = _acquire(path)
    try:
        yield
    finally:
        with suppress(OSError):  # gone already, or open on a system that minds
            path.unlink()
        handle.close()


def _acquire(path: Path) -> BinaryIO:
    while True:
        try:
            handle = path.open("ab")
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror or error}") from error
        try:
            _lock(handle)
        except OSError as error:
            handle.close()
            raise InputError(
                f"{path.parent}: another run is writing there; wait for its end, "
                "or choose another --out"
            ) from error
        # Its last holder may have removed the file between our opening and our locking it.
        with suppress(OSError):
            if os.path.samestat(os.fstat(handle.fileno()), path.stat()):
                return handle
        handle.close()


def _lock(handle: BinaryIO) -> None:
    if sys.platform == "win32":
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


class RunKeeper:
    """The keeper of a run that has a folder.

    run: which run it is, kept with every state. state: to go on from, if there is one. every:
    seconds from one checkpoint to the next.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        run: dict[str, Any],
        state: State | None,
        every: float,
        request: StopRequest,
        say: Callable[[str], None],
    ):
        self._checkpoints, self._run, self._state = checkpoints, run, state
        self._every, self._request, self._say = every, request, say
        self._saved = time.monotonic()  # no clock that can be set back
        self._warned = False

    def restored(self) -> State | None:
        """The state to go on from; None to begin."""
        return self._state

    def after_step(self, state: Callable[[], State]) -> None:
        """Save if it is time; save and raise Stopped if somebody asked for it."""
        if self._request.signum is not None:
            self._save(state())
            raise Stopped(
                f"stopped; go on with: lenet-xp train --resume {self._checkpoints.folder.parent}",
                self._request.signum,
            )
        if time.monotonic() - self._saved >= self._every:
            try:
                self._save(state())
            except InputError as error:  # what is trained is worth more than its copy
                if not self._warned:
                    self._say(f"WARNING: training goes on without checkpoints: {error}")
                self._warned = True
            self._saved = time.monotonic()

    def _save(self, state: State) -> None:
        if np.isfinite(state.arrays["values"]).all():  # the last good one is to stay
            self._checkpoints.save(state, self._run)
