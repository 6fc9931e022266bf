"""Work in a process of its own, beside the interpreter lock.

Threads hand the lock over some seventy times a step, and where the machine is virtual each
handover may wait for a sleeping core. A forked process has a lock of its own, and all it exchanges
lies in shared memory: an order and its answer cost two messages of a few bytes.
"""

import mmap
import multiprocessing
import os
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize

import numpy as np
from numpy.typing import DTypeLike
from threadpoolctl import threadpool_limits

from lenet_xp.errors import WorkerFailed

OK = b"ok"
PATIENCE = 0.5e-3  # seconds


def can_fork() -> bool:
    """Whether processes may be forked here; where not, threads do the work.

    Not by a daemonic process, which may have no children, and by the main thread alone: children
    forked by two threads at once hold each other's pipes open, and neither ever sees its end.
    """
    if multiprocessing.current_process().daemon or sys.platform != "linux":
        return False
    return threading.current_thread() is threading.main_thread()


def shared(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """An array of zeros in memory that a process forked later shares."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(-1, max(size, 1)), dtype, int(np.prod(shape))).reshape(shape)


def _watch(pipe: Connection) -> None:
    """Return when a message is there, or after a while without.

    A process that sleeps on its pipe takes some tenths of a millisecond to wake on a virtual
    machine, a twentieth of a training step. Whoever else wants the core meanwhile gets it.
    """
    until = time.perf_counter() + PATIENCE
    while not select.select([pipe], [], [], 0)[0] and time.perf_counter() < until:
        os.sched_yield()


class Forked:
    """Calls `serve(number)` in another process for each number it is sent; a context manager.

    What serve reads and writes for others lies in arrays from `shared`, everything else is as it
    was when the context was entered. The matrix library keeps to one thread there. The process
    ends with the context, and with its parent however that dies.
    """

    def __init__(self, serve: Callable[[int], None]):
        self._serve = serve

    def __enter__(self) -> "Forked":
        context = multiprocessing.get_context("fork")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=self._live, args=(other,), daemon=True)
        # Ctrl-C and the like are the parent's affair: the child is born deaf, and stays so.
        deaf_to = {signal.SIGINT, signal.SIGTERM}
        heard = signal.pthread_sigmask(signal.SIG_BLOCK, deaf_to)
        try:
            with warnings.catch_warnings():
                # Python warns of locks that other threads may hold; the child takes none of theirs.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)
        other.close()
        # Should nobody leave the context, the interpreter's end would wait for the process.
        self._end = Finalize(self, self._pipe.close, exitpriority=0)
        return self

    def __exit__(self, *error: object) -> None:
        self._end()  # the process reads the end of its orders, and leaves
        self._process.join()

    def begin(self, number: int) -> None:
        """Start serve(number) there; WorkerFailed if the process is dead."""
        try:
            self._pipe.send_bytes(number.to_bytes(4, "little"))
        except OSError as error:
            raise WorkerFailed("a worker process failed: it died") from error

    def finish(self) -> None:
        """Wait for its end; WorkerFailed if it failed."""
        try:
            _watch(self._pipe)
            answer = self._pipe.recv_bytes()
        except (EOFError, OSError):
            answer = b"it died"
        if answer != OK:
            raise WorkerFailed(f"a worker process failed: {answer.decode(errors='replace')}")

    def _live(self, pipe: Connection) -> None:
        """The process's life: orders in, answers out, until the pipe ends."""
        self._pipe.close()
        with threadpool_limits(1, user_api="blas"):
            while True:
                try:
                    _watch(pipe)
                    number = int.from_bytes(pipe.recv_bytes(), "little")
                except (EOFError, OSError):
                    return
                try:
                    self._serve(number)
                    answer = OK
                except Exception as error:
                    answer = f"{type(error).__name__}: {error}".encode()[:1000]
                pipe.send_bytes(answer)
