"""Work shared between the cores of this machine by threads; `processes.py` has the processes.

NumPy releases the interpreter lock while it computes, so threads run side by side.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from queue import SimpleQueue
from typing import Self, TypeVar

from lenet_xp.errors import InputError, WorkerFailed

_Jobs = SimpleQueue[Callable[[], None] | None]
_Results = SimpleQueue[BaseException | None]
Item = TypeVar("Item")
Result = TypeVar("Result")


def even_slices(count: int, number: int) -> list[slice]:
    """Return at most `number` non-empty slices over `count` items, of nearly equal size."""
    number = max(min(count, number), 1)
    ends = [count * (i + 1) // number for i in range(number)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


class WorkerThreads:
    """A context manager of `count` threads, the caller's included, that run jobs side by side.

    Every thread has the caller's context, so NumPy handles floating-point errors as it does in the
    caller. Raises ValueError for a count below 1, and InputError where the system cannot start that
    many threads.
    """

    def __init__(self, count: int):
        if count < 1:
            raise ValueError(f"there must be at least 1 thread, not {count}")
        self.count = count
        self._jobs: list[_Jobs] = [SimpleQueue() for _ in range(count - 1)]
        self._results: list[_Results] = [SimpleQueue() for _ in range(count - 1)]

    def __enter__(self) -> Self:
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


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """Yield work(item) of each item, in their order, computed on so many threads.

    What `work` raises is raised here, and what has not begun by then is left out. Raises
    WorkerFailed where the system cannot start a thread.
    """
    problem = f"the system cannot start {threads} threads"
    with ThreadPoolExecutor(threads, "worker") as pool:
        try:
            results = pool.map(work, items)
        except RuntimeError as error:  # "can't start new thread"
            pool.shutdown(cancel_futures=True)
            raise WorkerFailed(f"{problem} ({error})") from error
        try:
            yield from results
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C ends after the work under way
            raise
