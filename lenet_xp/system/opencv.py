"""The one place that imports OpenCV: `from lenet_xp.system.opencv import cv2`."""

import os
import sys
import threading
from contextlib import suppress
from typing import TextIO

from lenet_xp.errors import InputError
from lenet_xp.system.own_process import is_owned

try:
    import cv2
except ImportError as error:
    raise InputError(
        f"OpenCV cannot be loaded ({str(error).splitlines()[0]}): "
        "pip uninstall opencv-python opencv-python-headless, then pip install "
        "opencv-python-headless; or apt-get install libgl1 libglib2.0-0 libxcb1"
    ) from error

__all__ = ["cv2", "stderr_muted"]

_STDERR = 2  # file descriptor: of standard error


class _StderrMuted:
    """A context manager that drops what C libraries print about damaged files, in a command.

    libjpeg, libtiff and others write to file descriptor 2 directly, lines that a hostile file can
    influence; a command tells of such files itself. In a host's process the context does nothing,
    for the host's other threads write there, too.
    Within the context descriptor 2 leads to os.devnull, and `sys.stderr` to a copy of the former
    descriptor. The context may be nested and entered by several threads: the first to enter mutes,
    the last to leave restores.
    """

    def __init__(self) -> None:
        self._lock, self._entered = threading.Lock(), 0
        self._saved: int | None = None  # a copy of descriptor 2
        self._original: TextIO | None = None  # the former sys.stderr, where it was replaced
        self._replacement: TextIO | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._entered == 0 and is_owned():
                with suppress(OSError):  # standard error is closed, or no descriptor is free
                    self._mute()
            self._entered += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._entered -= 1
            if self._entered == 0:
                self._restore()

    def _mute(self) -> None:
        self._saved = os.dup(_STDERR)
        with open(os.devnull, "wb") as devnull:
            stream = sys.stderr
            if _writes_to_stderr(stream):
                stream.flush()
                copy, how = os.dup(self._saved), (stream.encoding, stream.errors)
                sys.stderr = open(copy, "w", 1, *how)  # noqa: SIM115 - closed by _restore
                self._original, self._replacement = stream, sys.stderr
            os.dup2(devnull.fileno(), _STDERR)

    def _restore(self) -> None:
        if self._replacement is not None:
            if sys.stderr is self._replacement and self._original is not None:
                sys.stderr = self._original
            with suppress(OSError):
                self._replacement.close()
        if self._saved is not None:
            os.dup2(self._saved, _STDERR)
            os.close(self._saved)
        self._replacement = self._original = self._saved = None


def _writes_to_stderr(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.fileno() == _STDERR
    except (OSError, ValueError):  # not a file: a program has replaced it, as pytest does
        return False


stderr_muted = _StderrMuted()
