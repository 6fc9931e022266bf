"""Several cores in one process: each thread takes a part of the batch through its own replica.

NumPy lets go of the interpreter lock while it computes, so plain threads run side by side. Inside
each the matrix library keeps to one thread, for two levels of threads would fight for the cores.
Every part goes to the same replica each time and gradients are summed in the replicas' order, so a
run with a given number of threads is repeatable to the bit.
"""

import os
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from queue import SimpleQueue

from threadpoolctl import threadpool_limits

from lenet_xp.errors import InputError
from lenet_xp.ops import Ops

_Jobs = SimpleQueue[Callable[[], None] | None]
_Done = SimpleQueue[BaseException | None]


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_count(ops: Ops, threads: int | None) -> int:
    """How many threads serve a backend: `threads` or every core if it uses cores, else one."""
    return (threads or usable_cores()) if ops.uses_cores else 1


def piece_size(ops: Ops, count: int) -> int:
    """The number of images in each of the equal pieces that suit the device, for `count` images."""
    return -(-count // -(-count // ops.images_per_piece))


def steps_at_once(ops: Ops, batch_size: int) -> int:
    """How many training steps to ask for in one go: on a GPU asking can take longer than a step."""
    return min(max(ops.images_per_launch // batch_size, 1), ops.steps_per_launch)


def parts(count: int, number: int) -> list[slice]:
    """`count` items in at most `number` slices of nearly the same size, none of them empty."""
    number = max(min(count, number), 1)
    ends = [count * (i + 1) // number for i in range(number)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


class Workers:
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

    def __enter__(self) -> "Workers":
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
