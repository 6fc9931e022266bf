"""A command owns its process; the library is a guest in somebody's.

What all threads of a process share only its owner may change: the threads of the matrix library,
file descriptor 2, filters of warnings, handlers of loggers, and copies of the process by fork.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from threadpoolctl import threadpool_info, threadpool_limits

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container, the last core in part perhaps
_owners = 0  # blocks of `owned` that are open


@contextmanager
def owned() -> Iterator[None]:
    """While the block runs, this process is the package's: only a command says so.

    Matrix products take one thread each, and Pillow and matplotlib neither warn nor log.
    """
    global _owners
    pillow, silent = logging.getLogger("PIL"), logging.NullHandler()
    matplotlib = logging.getLogger("matplotlib")
    level = matplotlib.level
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        pillow.addHandler(silent)  # else its errors go to standard error
        matplotlib.setLevel(logging.ERROR)  # it warns of its cache folder
        _owners += 1
        try:
            yield
        finally:
            _owners -= 1
            pillow.removeHandler(silent)
            matplotlib.setLevel(level)


def is_owned() -> bool:
    """Whether a command runs in this process."""
    return _owners > 0


def one_blas_thread() -> bool:
    """Whether matrix products run in the thread that asks for them, and in no other.

    Elsewhere they share threads with the host's own, and their sums depend on how many these are.
    """
    if is_owned():
        return True
    return all(each["num_threads"] == 1 for each in threadpool_info() if each["user_api"] == "blas")


def usable_cores() -> int:
    """How many cores this process may use: by its affinity and by its container's quota."""
    affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError, ZeroDivisionError):  # no Linux; "max" stands for no limit
        quota, period = _QUOTA.read_text().split()
        cores = min(cores, -(-int(quota) // int(period)))
    return max(1, cores)
