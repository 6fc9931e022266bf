"""Work shared between the cores of this machine: threads, and processes forked on Linux.

NumPy releases the interpreter lock while it computes, so threads run side by side; processes share
no lock and are faster, and exchange arrays through shared memory. Inside each worker the matrix
library keeps to one thread, because two levels of threads would compete for the cores.
"""

import math
import mmap
import multiprocessing
import os
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from contextvars import copy_context
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize
from queue import SimpleQueue
from typing import Self

import numpy as np
from numpy.typing import DTypeLike
from threadpoolctl import threadpool_limits

from lenet_xp.errors import InputError, WorkerFailed

POLLING_TIME = 0.5e-3  # seconds: for how long a process polls its pipe before it sleeps on it
SUCCESS = b"ok"  # a worker process's answer; any other is an error message

_Jobs = SimpleQueue[Callable[[], None] | None]
_Results = SimpleQueue[BaseException | None]


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def even_slices(count: int, number: int) -> list[slice]:
    """Return at most `number` non-empty slices over `count` items, of nearly equal size."""
    number = max(min(count, number), 1)
    ends = [count * (i + 1) // number for i in range(number)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


class WorkerThreads:
    """A context manager of `count` threads, the caller's included, that run jobs side by side.

    Within the context the matrix library uses one thread in each of them; its former setting
    returns at the end. Every thread has the caller's context, so NumPy handles floating-point
    errors as it does in the caller. Raises ValueError for a count below 1, and InputError where
    the system cannot start that many threads.
    """

    def __init__(self, count: int):
        if count < 1:
            raise ValueError(f"there must be at least 1 thread, not {count}")
        self.count = count
        self._jobs: list[_Jobs] = [SimpleQueue() for _ in range(count - 1)]
        self._results: list[_Results] = [SimpleQueue() for _ in range(count - 1)]

    def __enter__(self) -> Self:
        self._limits = threadpool_limits(1, user_api="blas")
        self._threads = [
            threading.Thread(
                target=copy_context().run, args=(_serve, *queues), name=f"worker-{i}", daemon=True
            )
            for i, queues in enumerate(zip(self._jobs, self._results, strict=True), start=1)
        ]
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError as error:
            self.__exit__()
            raise InputError(
                f"the system cannot start {self.count} threads ({error}); give fewer with --threads"
            ) from error
        return self

    def __exit__(self, *error: object) -> None:
        for jobs in self._jobs:
            jobs.put(None)
        for thread in self._threads:
            if thread.ident is not None:  # None: it was never started
                thread.join()
        self._limits.restore_original_limits()

    def run(self, jobs: Sequence[Callable[[], None]]) -> None:
        """Run at most `count` jobs at once, the first in the caller's thread, and wait for all.

        Job i always goes to thread i. Once all have ended, the first exception of a job is raised.
        """
        for job, queue in zip(jobs[1:], self._jobs, strict=False):
            queue.put(job)
        errors = [_attempt(jobs[0])]
        for error in errors + [results.get() for results in self._results[: len(jobs) - 1]]:
            if error is not None:
                raise error


def _attempt(job: Callable[[], None]) -> BaseException | None:
    try:
        job()
    except BaseException as error:
        return error
    return None


def _serve(jobs: _Jobs, results: _Results) -> None:
    while (job := jobs.get()) is not None:
        results.put(_attempt(job))


def can_fork() -> bool:
    """Return whether a WorkerProcess can be started here; otherwise threads do the work.

    Only on Linux, and never in a daemonic process, which may have no children. Only in the main
    thread: children that two threads fork at once hold each other's pipes open and never end.
    """
    if multiprocessing.current_process().daemon or sys.platform != "linux":
        return False
    return threading.current_thread() is threading.main_thread()


def shared_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Return an array of zeros in memory that is shared with every process forked later."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return np.ndarray(shape, dtype, mmap.mmap(-1, max(size, 1)))


class WorkerProcess:
    """A context manager that calls `serve(number)` in a forked process for each number sent to it.

    The process exchanges data through arrays from `shared_zeros`; it sees everything else as it was
    when the context was entered. The matrix library uses one thread there. The process ends with
    the context, and with its parent however that dies.
    """

    def __init__(self, serve: Callable[[int], None]):
        self._serve = serve

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("fork")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=self._live, args=(other,), daemon=True)
        # The parent alone answers Ctrl-C and the like: the child inherits the blocked signals.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            with warnings.catch_warnings():
                # Python warns of locks that other threads may hold; the child takes none of theirs.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        other.close()
        # If the context is never left, the interpreter would wait for the process at its end.
        self._close = Finalize(self, self._pipe.close, exitpriority=0)
        return self

    def __exit__(self, *error: object) -> None:
        self._close()  # the process meets the end of the pipe and returns
        self._process.join()

    def begin(self, number: int) -> None:
        """Start serve(number) in the process; WorkerFailed if the process is dead."""
        try:
            self._pipe.send_bytes(number.to_bytes(4, "little"))
        except OSError as error:
            raise WorkerFailed("a worker process failed: it died") from error

    def finish(self) -> None:
        """Wait until serve has returned; WorkerFailed if it raised or the process died."""
        try:
            answer = _receive(self._pipe)
        except (EOFError, OSError):
            answer = b"it died"
        if answer != SUCCESS:
            raise WorkerFailed(f"a worker process failed: {answer.decode(errors='replace')}")

    def _live(self, pipe: Connection) -> None:
        """Run in the process: answer numbers until the pipe ends."""
        self._pipe.close()
        with threadpool_limits(1, user_api="blas"):
            while True:
                try:
                    number = int.from_bytes(_receive(pipe), "little")
                except (EOFError, OSError):
                    return
                try:
                    self._serve(number)
                    answer = SUCCESS
                except Exception as error:
                    answer = f"{type(error).__name__}: {error}".encode()[:1000]
                pipe.send_bytes(answer)


def _receive(pipe: Connection) -> bytes:
    """Return the next message, polling for POLLING_TIME before sleeping."""
    # A process that sleeps on its pipe takes some tenths of a millisecond to wake on a virtual
    # machine, a twentieth of a training step. While it polls, any other process may have its core.
    until = time.perf_counter() + POLLING_TIME
    while not select.select([pipe], [], [], 0)[0] and time.perf_counter() < until:
        os.sched_yield()
    return pipe.recv_bytes()
