"""A command owns its process; the library is a guest in somebody's.

What all threads of a process share only its owner may change: the threads of the matrix library,
file descriptor 2, filters of warnings and handlers of loggers.
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

    Matrix products take one thread each, Pillow and matplotlib neither warn nor log, and what C
    libraries print of damaged files is dropped.
    """
    global _owners
    pillow, silent = logging.getLogger("PIL"), logging.NullHandler()
    matplotlib = logging.getLogger("matplotlib")
    level = matplotlib.level
    with _muted(), threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
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


@contextmanager
def _muted() -> Iterator[None]:
    """Drop what is written to descriptor 2; what a command says goes through another.

    libjpeg, libtiff and others write there directly, lines that a hostile file can influence.
    """
    saved = None
    with suppress(OSError), open(os.devnull, "wb") as devnull:  # it may be closed
        saved = os.dup(2)
        os.dup2(devnull.fileno(), 2)
    try:
        yield
    finally:
        if saved is not None:
            os.dup2(saved, 2)
            os.close(saved)


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
