"""What a run saves is checked; what asks it to stop is noted, and afterwards as it was before."""

import os
import signal
import threading

import pytest

from lenet_xp.errors import InputError
from lenet_xp.training.checkpoints import check_values, stop_requests

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def own_handlers():
    """Handlers of a host program; they list the signals that reach it."""
    reached = []
    before = [signal.signal(each, lambda number, _: reached.append(number)) for each in NUMBERS]
    yield reached
    for number, handler in zip(NUMBERS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_run_takes_signals_and_gives_their_handlers_back(own_handlers, number):
    with stop_requests() as request:
        assert request.signum is None
        os.kill(os.getpid(), number)
        assert request.signum == number
    with pytest.raises(RuntimeError), stop_requests():
        raise RuntimeError
    assert own_handlers == []
    os.kill(os.getpid(), number)
    assert own_handlers == [number]


def test_a_second_interrupt_stops_at_once(own_handlers):
    with pytest.raises(KeyboardInterrupt), stop_requests():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    with stop_requests() as request:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
    assert request.signum == signal.SIGTERM


def test_another_thread_leaves_signals_alone(own_handlers):
    handlers = []

    def run():
        with stop_requests() as request:
            handlers.extend(signal.getsignal(number) for number in NUMBERS)
            assert request.signum is None

    before = [signal.getsignal(number) for number in NUMBERS]
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert handlers == before


def test_a_number_that_no_float_holds_is_none_of_a_run():
    values = {"history": [], "best_epoch": 0, "best_accuracy": -1.0, "best_loss": float("inf")}
    check_values(values | {"seconds": 2.5})
    check_values(values | {"seconds": 2})
    with pytest.raises(InputError, match="history is not a run's"):
        check_values(values | {"seconds": 10**400})
