"""Checkpoints: everything a run needs to go on to the bit, in files that prove they are whole.

Each is written beside the others and reaches the disk before an older one is removed, so that at
every moment, whatever dies, a whole one is there. npz rather than safetensors: it needs nothing
but NumPy, and each file carries a checksum, which safetensors lacks.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.files import make_folder
from lenet_xp.model_file import SavedModel, save_model
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
