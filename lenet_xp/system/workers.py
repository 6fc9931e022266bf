"""Work shared between the cores of this machine by threads; `processes.py` has the processes.

NumPy releases the interpreter lock while it computes, so threads run side by side.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TypeVar

from lenet_xp.errors import InputError, WorkerFailed

MAX_THREADS = 256

Item = TypeVar("Item")
Result = TypeVar("Result")


def even_slices(count: int, number: int) -> list[slice]:
    """Return at most `number` non-empty slices over `count` items, of nearly equal size."""
    number = max(min(count, number), 1)
    ends = [count * (i + 1) // number for i in range(number)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


class WorkerThreads(ThreadPoolExecutor):
    """A context manager of `count` threads, the caller's included, that run jobs side by side.

    Every job has the caller's context, so NumPy handles floating-point errors as it does there.
    Raises ValueError for a count below 1.
    """

    def __init__(self, count: int):
        super().__init__(count, "worker")
        self.count = count

    def run(self, jobs: Sequence[Callable[[], None]]) -> None:
        """Run up to `count` jobs, the first in the caller's thread; raise an error at the end.

        Raises InputError where the system cannot start that many threads.
        """
        try:
            others = [self.submit(copy_context().run, job) for job in jobs[1:]]
        except RuntimeError as error:
            raise InputError(
                f"the system cannot start {self.count} threads ({error}); give fewer with --threads"
            ) from error
        try:
            for job in jobs[:1]:
                job()
        finally:
            wait(others)
        for other in others:
            other.result()


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Generator[Result]:
    """Yield work(item) of each item, in their order, computed on so many threads.

    Raises what `work` raises, and WorkerFailed where the system cannot start a thread.
    """
    with ThreadPoolExecutor(threads, "worker") as pool:
        try:
            results = pool.map(work, items)
        except RuntimeError as error:  # "can't start new thread"
            pool.shutdown(cancel_futures=True)
            raise WorkerFailed(f"the system cannot start {threads} threads ({error})") from error
        try:
            yield from results
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C ends after the work under way
            raise
