"""Worker threads that the system refuses to start."""

import threading

import pytest

from lenet_xp.errors import InputError
from lenet_xp.system.workers import WorkerThreads


def test_threads_that_the_system_does_not_start(monkeypatch):
    """Found by fuzzing: those that did start must not be left waiting for ever."""
    start, started = threading.Thread.start, []

    def starts_two(thread):
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", starts_two)
    with pytest.raises(InputError, match=r"cannot start 5 threads .* fewer with --threads"):
        WorkerThreads(5).__enter__()
    assert len(started) == 2 and not any(thread.is_alive() for thread in started)
