"""Resume to the bit: checkpoints, when they are saved, how a run is stopped, who holds its folder.

Everything that the next step depends on is a handful of vectors and the number of the step. A new
checkpoint reaches the disk before an older one is removed, so that at every moment, whatever dies,
a whole one is there. The format is npz and not safetensors: it needs nothing but NumPy, and each
file carries a checksum, which safetensors lacks.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.errors import Stopped as Stopped
from lenet_xp.model_file import SavedModel, save_model
from lenet_xp.system.files import atomic_write, is_full, make_folder
from lenet_xp.system.npz_file import MAX_CONTAINER, Damaged, read_container, write_container
from lenet_xp.system.text import in_shell, reason_of

FORMAT, VERSION = "lenet_xp checkpoint", 1
BEST = "best.npz"
MAX_CHECKPOINT = 5 * MAX_CONTAINER  # bytes: weights, the best and averaged ones, Adam's moments
KEPT_CHECKPOINTS = 3  # the newest, and two to fall back on
MOST = 2**53  # of any number in a history: a larger whole one may be no float
START_AGAIN = "start the run again"
HISTORY_COLUMNS = (
    *("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy"),
    *("learning_rate", "seconds"),
)


@dataclass(frozen=True)
class State:
    """Where a run stands after `step` steps: arrays, and values that JSON can hold."""

    step: int
    arrays: dict[str, np.ndarray]
    values: dict[str, Any]


class Checkpoints:
    """The checkpoints of a run, in a folder of their own, where the newest few stay."""

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)

    def save(self, state: State, run: dict[str, Any]) -> None:
        """Write a state, then remove the oldest checkpoints; `run` describes the run.

        On a full disk all but the newest make room. Raises InputError where it cannot be written;
        then the newest stays.
        """
        make_folder(self.folder)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "step": state.step,
            "values": state.values,
            "run": run,
        }
        path = self.folder / f"step-{state.step:010d}.npz"
        try:
            write_container(path, header, state.arrays)
        except InputError as error:
            if not is_full(error) or not self._newest_first()[1:]:
                raise
            self.prune(1)
            write_container(path, header, state.arrays)
        self.prune(KEPT_CHECKPOINTS)

    def save_last(self, state: State, run: dict[str, Any]) -> None:
        """Write the state in which a training ends; on a full disk, in the place of all older ones.

        Raises InputError where it cannot be written; then the older ones are back in their places.
        """
        try:
            self.save(state, run)
        except InputError as error:
            files = [path for path in (*self._newest_first(), self.folder / BEST) if path.is_file()]
            older = {path: path.read_bytes() for path in files}
            room = sum(map(len, older.values()))
            if not is_full(error) or room < sum(each.nbytes for each in state.arrays.values()):
                raise
            for path in older:
                path.unlink()
            try:
                self.save(state, run)
            except BaseException:
                for path, content in older.items():
                    with suppress(InputError), atomic_write(path) as handle:
                        handle.write(content)
                raise

    def prune(self, keep: int) -> None:
        """Remove all but so many of the newest checkpoints."""
        for old in self._newest_first()[keep:]:
            old.unlink(missing_ok=True)

    def latest(self, say: Callable[[str], None]) -> tuple[State, dict[str, Any]]:
        """State and description of the newest whole checkpoint.

        say: called with a line on each damaged one. Raises InputError if all are, or there is none.
        """
        for path in self._newest_first():
            try:
                return _read(path)
            except InputError:
                raise
            except Exception as error:  # damaged bytes have a dozen ways to go wrong
                reason = reason_of(error)
                say(f"checkpoint {path.name} is damaged ({reason}); falling back to the one before")
        problem = "every checkpoint is damaged" if self.any() else "holds no checkpoint"
        raise InputError(f"{self.folder.parent}: {problem}; {START_AGAIN}")

    def save_best(self, saved: SavedModel) -> None:
        """Write the best model so far as a model file beside the checkpoints."""
        make_folder(self.folder)
        save_model(self.folder / BEST, saved)

    def any(self) -> bool:
        """Whether there is a checkpoint, whole or not."""
        return bool(self._newest_first())

    def remains(self) -> str:
        """What a failed run can go on from, as the end of a sentence."""
        best, newest = self.folder / BEST, self._newest_first()[:1]
        words = f"; the best model so far is {best}" if best.exists() else ""
        return words + "".join(f"; the last good checkpoint is {path}" for path in newest)

    def way_on(self, do: str = "go on") -> str:
        """How to go on with the run, as the end of a sentence; "" where nothing is kept of it."""
        return f"; {do} with: {resume_command(self.folder.parent)}" if self.any() else ""

    def clear(self) -> None:
        """Remove all checkpoints and the best model, and the folder if it is then empty."""
        for path in (*self._newest_first(), self.folder / BEST):
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.npz"), reverse=True)


def resume_command(run: Path) -> str:
    """The command, ready to copy, that goes on with the run in a folder."""
    return f"lenet-xp train --resume {in_shell(run)}"


def _read(path: Path) -> tuple[State, dict[str, Any]]:
    if not path.is_file():
        raise Damaged("it is no file")
    if path.stat().st_size > MAX_CHECKPOINT:
        raise Damaged("it is too large")
    header, arrays = read_container(path.read_bytes(), MAX_CHECKPOINT)
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


def check_values(values: dict[str, Any]) -> None:
    """InputError unless the values of a state are of the types that a run saves."""
    history, best_epoch = values.get("history"), values.get("best_epoch")
    rows: list[Any] = history if isinstance(history, list) else [None]
    if not all(isinstance(row, dict) and tuple(row) == HISTORY_COLUMNS for row in rows):
        raise InputError(f"the checkpoint's history is not a run's; {START_AGAIN}")
    numbers = [values.get(name) for name in ("seconds", "best_accuracy", "best_loss")]
    numbers += [number for row in rows for number in row.values()]
    whole = all(type(n) is float or (type(n) is int and abs(n) <= MOST) for n in numbers)
    if not whole or not all(row["seconds"] > 0 for row in rows):
        raise InputError(f"the checkpoint's history is not a run's; {START_AGAIN}")
    if type(best_epoch) is not int or not min(1, len(rows)) <= best_epoch <= len(rows):
        raise InputError(f"the checkpoint's best epoch cannot be {best_epoch!r:.20}; {START_AGAIN}")


class StopRequest:
    """The signal that asked the run to stop; None while there was none."""

    signum: int | None = None


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Record the first Ctrl-C or SIGTERM instead of stopping at once; a second Ctrl-C stops.

    Nothing changes outside of the main thread, which alone may handle signals.
    """
    request = StopRequest()

    def record(signum: int, frame: FrameType | None) -> None:
        if request.signum is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        request.signum = signum

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, record) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Lock a folder for this process; the lock ends with it. InputError if another one has it.

    Where a system cannot lock a folder, as on some network disks, nothing is locked.
    """
    with ExitStack() as stack:
        if sys.platform != "win32":
            import fcntl

            handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(
                    f"{folder}: another run is writing there; wait for its end, "
                    "or choose another --out"
                ) from error
            except OSError:
                pass
        yield


class CheckpointTimer:
    """Saves a run's state every few seconds and when the run is asked to stop.

    It never saves values that are not finite. run: description of the run, saved with each state.
    state: the one to go on from, if there is one. interval: seconds between checkpoints.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        run: dict[str, Any],
        state: State | None,
        interval: float,
        request: StopRequest,
        say: Callable[[str], None],
    ):
        self._checkpoints, self._run, self.state = checkpoints, run, state
        self._interval, self._request, self._say = interval, request, say
        self._saved = time.monotonic()  # a clock that cannot be set back
        self._warned = False
        self._latest: Callable[[], State] | None = None

    def after_step(self, state: Callable[[], State]) -> None:
        """Save if the interval is over; save and raise Stopped if the run is asked to stop."""
        self._latest = state
        if self._request.signum is not None:
            warning = "what was learned since the last checkpoint is lost"
            self._save(state(), warning, last=True)
            way_on = self._checkpoints.way_on() or "; start the run again"
            raise Stopped(f"stopped{way_on}", self._request.signum)
        if time.monotonic() - self._saved >= self._interval:
            warning = "" if self._warned else "training goes on without checkpoints"
            if not self._save(state(), warning):  # the training is worth more than its copy
                self._warned = True
            self._saved = time.monotonic()

    def after_last_epoch(self) -> None:
        """Save the end of the training: results that cannot be written then need no more of it."""
        if self._latest is not None:
            self._save(self._latest(), "the end of the training is not kept", last=True)

    def _save(self, state: State, warning: str, last: bool = False) -> bool:
        """Save a state; False where it cannot be written, which a warning says, if one is given."""
        try:
            if np.isfinite(state.arrays["values"]).all():  # or the last good one stays
                save = self._checkpoints.save_last if last else self._checkpoints.save
                save(state, self._run)
        except InputError as error:
            if warning:
                self._say(f"WARNING: {warning}: {error}")
            return False
        return True
