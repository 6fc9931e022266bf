"""Worker threads that the system refuses to start."""

import threading
import time

import pytest

from lenet_xp.errors import InputError, WorkerFailed
from lenet_xp.letters.synthetic import generate
from lenet_xp.system.workers import WorkerThreads, in_order
from lenet_xp.training.batches import prefetch


def test_threads_that_the_system_does_not_start(monkeypatch):
    """Found by fuzzing: those that did start must not be left waiting for ever."""
    start, started = threading.Thread.start, []

    def starts_two(thread):
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", starts_two)
    problem = r"cannot start 5 threads .* fewer with --threads"
    with pytest.raises(InputError, match=problem), WorkerThreads(5) as workers:
        workers.run([lambda: time.sleep(0.1)] * 5)
    assert len(started) == 2 and not any(thread.is_alive() for thread in started)


@pytest.mark.parametrize(
    "work",
    (
        lambda: list(in_order(str, range(3), 2)),
        lambda: list(prefetch(iter(range(3)))),
        lambda: generate(1, seed=0),
    ),
)
def test_a_thread_that_the_system_does_not_start_is_told_in_words(work, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(WorkerFailed, match=r"the system cannot start .*can't start new thread"):
        work()


def test_results_come_in_order_and_an_error_ends_the_rest():
    done = []

    def work(number):
        if number == 3:
            raise ZeroDivisionError
        time.sleep(0.005)
        done.append(number)
        return number * number

    results = in_order(work, range(1000), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(done) < 500
