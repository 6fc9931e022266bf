"""The one place that imports OpenCV: `from lenet_xp.system.opencv import cv2`."""

import os
import threading
from contextlib import suppress

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


class _StderrMuted:
    """A context manager that drops what C libraries print about damaged files, in a command.

    libjpeg, libtiff and others write to file descriptor 2 directly, lines that a hostile file can
    influence; what a command says goes through another (`streams.py`). In a host's process the
    context does nothing, for the host's other threads write there, too. It may be nested and
    entered by several threads: the first to enter mutes, the last to leave restores.
    """

    def __init__(self) -> None:
        self._lock, self._entered = threading.Lock(), 0
        self._saved: int | None = None  # a copy of descriptor 2

    def __enter__(self) -> None:
        with self._lock:
            if self._entered == 0 and is_owned():
                with suppress(OSError), open(os.devnull, "wb") as devnull:  # it may be closed
                    self._saved = os.dup(2)
                    os.dup2(devnull.fileno(), 2)
            self._entered += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._entered -= 1
            if self._entered == 0 and self._saved is not None:
                os.dup2(self._saved, 2)
                os.close(self._saved)
                self._saved = None


stderr_muted = _StderrMuted()
