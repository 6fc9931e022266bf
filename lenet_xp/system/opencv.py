"""The one place OpenCV is imported: `from lenet_xp.system.opencv import cv2`."""

import os
import sys
import threading
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import TextIO

from lenet_xp.errors import InputError

# OpenCV reads this once, while it is imported. Whatever it would print about a bad image is
# found out and said by lenet_xp itself, in one line that names the file; a level the user has
# chosen stays.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

try:
    import cv2
except ImportError as error:
    raise InputError(
        f"OpenCV cannot be loaded ({str(error).splitlines()[0]}): "
        "apt-get install libgl1 libglib2.0-0 libxcb1, or without these libraries: "
        "pip install --force-reinstall --no-deps opencv-python-headless"
    ) from error

__all__ = ["cv2"]


_STANDARD_ERROR = 2


class _StderrMuted(AbstractContextManager[None]):
    """Silence what libjpeg, libtiff and their like print themselves about damaged files.

    They write to descriptor 2 whatever Python does, lines that nobody asked for and that a hostile
    file has a hand in. Meanwhile it leads nowhere, and `sys.stderr` to where it led before. May be
    entered within itself and by several threads: the first in and the last out do the work.
    """

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._kept: int | None = None  # a descriptor of the true standard error
        self._before: TextIO | None = None
        self._own: TextIO | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                with suppress(OSError):  # closed, or no descriptor to be had: then they are heard
                    self._silence()
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._restore()

    def _silence(self) -> None:
        self._kept = os.dup(_STANDARD_ERROR)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            if _is_standard_error(sys.stderr):
                sys.stderr.flush()
                self._before = sys.stderr
                self._own = open(  # noqa: SIM115 - closed when the last one is out
                    *(os.dup(self._kept), "w", 1),
                    encoding=self._before.encoding,
                    errors=self._before.errors,
                )
                sys.stderr = self._own
            os.dup2(nowhere, _STANDARD_ERROR)
        finally:
            os.close(nowhere)

    def _restore(self) -> None:
        if self._own is not None:
            if sys.stderr is self._own and self._before is not None:
                sys.stderr = self._before
            with suppress(OSError):
                self._own.close()
        if self._kept is not None:
            os.dup2(self._kept, _STANDARD_ERROR)
            os.close(self._kept)
        self._own = self._before = self._kept = None


def _is_standard_error(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.fileno() == _STANDARD_ERROR
    except (OSError, ValueError):  # a program's own, which no C library writes to
        return False


stderr_muted = _StderrMuted()
