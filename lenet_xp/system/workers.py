"""Several cores in one process: each thread takes a part of the batch through its own replica.

NumPy lets go of the interpreter lock while it computes, so plain threads run side by side. Inside
each the matrix library keeps to one thread, for two levels of threads would fight for the cores.
Every part goes to the same replica each time and gradients are summed in the replicas' order, so a
run with a given number of threads is repeatable to the bit.
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
from collections.abc import Callable, Sequence
from contextvars import copy_context
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize
from queue import SimpleQueue

import numpy as np
from numpy.typing import DTypeLike
from threadpoolctl import threadpool_limits

from lenet_xp.errors import InputError, WorkerFailed

_Jobs = SimpleQueue[Callable[[], None] | None]
_Done = SimpleQueue[BaseException | None]


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def even_slices(count: int, number: int) -> list[slice]:
    """`count` items in at most `number` slices of nearly the same size, none of them empty."""
    number = max(min(count, number), 1)
    ends = [count * (i + 1) // number for i in range(number)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


class WorkerThreads:
    """Threads that wait for work, the caller's among them: a context manager.

    count: how many, the caller's included. Within the context the matrix library of every thread
    keeps to one thread; the setting it had before returns at the end. Every thread has the
    caller's context, NumPy's handling of floating-point errors in it. Raises InputError where the
    system starts no more threads.
    """

    def __init__(self, count: int):
        if count < 1:
            raise ValueError(f"there must be at least 1 thread, not {count}")
        self.count = count
        self._jobs: list[_Jobs] = [SimpleQueue() for _ in range(count - 1)]
        self._done: list[_Done] = [SimpleQueue() for _ in range(count - 1)]

    def __enter__(self) -> "WorkerThreads":
        self._limits = threadpool_limits(1, user_api="blas")
        self._threads = [
            threading.Thread(
                target=copy_context().run, args=(_serve, *queues), name=f"worker-{i}", daemon=True
            )
            for i, queues in enumerate(zip(self._jobs, self._done, strict=True), start=1)
        ]
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError as error:
            self.__exit__()
            raise InputError(
                f"the system starts no {self.count} threads ({error}); give fewer with --threads"
            ) from error
        return self

    def __exit__(self, *error: object) -> None:
        for jobs in self._jobs:
            jobs.put(None)
        for thread in self._threads:
            if thread.ident is not None:  # else it never began
                thread.join()
        self._limits.restore_original_limits()

    def run(self, jobs: Sequence[Callable[[], None]]) -> None:
        """Run at most `count` jobs at once, the first in the caller's thread, and wait for all.

        An exception of any job is raised here, after all have ended.
        """
        others = jobs[1:]
        for job, queue in zip(others, self._jobs, strict=False):
            queue.put(job)
        errors = [_attempt(jobs[0])]
        errors += [self._done[i].get() for i in range(len(others))]
        for error in errors:
            if error is not None:
                raise error


def _attempt(job: Callable[[], None]) -> BaseException | None:
    try:
        job()
    except BaseException as error:
        return error
    return None


def _serve(jobs: _Jobs, done: _Done) -> None:
    while (job := jobs.get()) is not None:
        done.put(_attempt(job))


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


def shared_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
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


class WorkerProcess:
    """Calls `serve(number)` in another process for each number it is sent; a context manager.

    What serve reads and writes for others lies in arrays from `shared_zeros`, everything else is as
    it was when the context was entered. The matrix library keeps to one thread there. The process
    ends with the context, and with its parent however that dies.
    """

    def __init__(self, serve: Callable[[int], None]):
        self._serve = serve

    def __enter__(self) -> "WorkerProcess":
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
