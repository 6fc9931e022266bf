"""Work in processes: the same gradients and readings, and no process is left running.

`how` runs a test twice: as a command, and as a library in somebody's process.
"""

import gc
import os
import signal
import time
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from lenet_xp import inference
from lenet_xp.errors import WorkerFailed
from lenet_xp.inference import BatchReader, ForwardPass
from lenet_xp.model import LeNet5
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system import processes
from lenet_xp.system.own_process import owned
from lenet_xp.system.processes import WorkerProcess, can_start, is_alive, start_all
from lenet_xp.system.workers import WorkerThreads
from lenet_xp.training import loop as training
from lenet_xp.training import trainer
from lenet_xp.training.batches import Batch
from lenet_xp.training.recipes import BEST, CLASSIC
from lenet_xp.training.step import GradientProcess, GradientWorker

pytestmark = pytest.mark.skipif(not can_start(), reason="this system trains with threads")

PREPROCESSING = Preprocessing(mean=0.4, std=0.3)
SOON = 10.0  # seconds: a process that has not ended by then never will


@pytest.fixture(params=["command", "library"])
def how(request):
    with owned() if request.param == "command" else nullcontext():
        yield request.param


@pytest.fixture
def batch(rng):
    return rng.integers(0, 256, (70, 32, 32), dtype=np.uint8), rng.integers(0, 33, 70)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def gone(pid: int) -> bool:
    """Whether a process ends soon; one that is ours must be waited for."""
    for _ in range(int(SOON / 0.02)):
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        if not is_alive(pid):
            return True
        time.sleep(0.02)
    return False


def test_another_process_gives_the_gradients_of_a_local_one(batch, how, stack):
    images, labels = batch
    model = LeNet5(ops=get_ops("numpy"))
    local = GradientWorker(model.replica(), PREPROCESSING)
    elsewhere = LeNet5(ops=get_ops("numpy"), seed=5)
    other = GradientProcess(elsewhere, PREPROCESSING, 80)
    assert start_all(stack, [other])
    elsewhere.values[...] = model.values
    expected = np.empty((2, 70), np.float32)
    with threadpool_limits(1, user_api="blas"):  # more would sum in another order
        for count in (70, 40, 1):
            local.differentiate(Batch(images[:count], labels[:count]), 0.5, *expected[:, :count])
            got = np.empty((2, count), np.float32)
            other.begin_gradient(Batch(images[:count], labels[:count]), 0.5)
            other.finish_gradient(*got)  # the values were sent with the batch
            assert np.array_equal(got, expected[:, :count])
            assert np.array_equal(other.gradients, local.model.gradients)


@pytest.mark.parametrize("threads", (1, 3))
@pytest.mark.parametrize("recipe", (CLASSIC, BEST))
def test_processes_and_threads_train_to_the_same_bits(batch, recipe, threads, monkeypatch):
    recipe = replace(recipe, epochs=2, batch_size=32)  # the last batch is of 6
    results = []
    for possible, process in ((True, owned), (True, nullcontext), (False, owned)):
        monkeypatch.setattr(trainer, "can_start", lambda possible=possible: possible)
        model = LeNet5(ops=get_ops("numpy"))
        with process():
            result = training.fit(model, recipe, batch, batch, PREPROCESSING, threads=threads)
        losses = [row["val_loss"] for row in result.history]
        results.append((model.values.tobytes(), losses))
    assert results[0] == results[1] == results[2]


def failing(arrays):
    def serve(number):
        raise ZeroDivisionError(f"of {number}")

    return serve


def unable(arrays):
    raise ZeroDivisionError("from the start")


def working(arrays):
    def serve(number):
        arrays["answer"][0] = number

    return serve


SHAPES = {"answer": ((1,), np.int64)}


def test_a_failure_in_the_process_is_reported(how, stack):
    worker = WorkerProcess(failing, SHAPES)
    assert start_all(stack, [worker])
    for number in (3, -3):  # it goes on
        worker.begin(number)
        with pytest.raises(WorkerFailed, match=f"worker process failed: ZeroDivi.*: of {number}"):
            worker.finish()


def test_a_process_that_cannot_begin(how, stack):
    """A command is told; the library does the work in another way."""
    workers = [WorkerProcess(working, SHAPES), WorkerProcess(unable, SHAPES)]
    if how == "command":
        with pytest.raises(WorkerFailed, match="cannot work: ZeroDivisionError: from the start"):
            start_all(stack, workers)
    else:
        assert not start_all(stack, workers)
    assert gone(workers[0].pid)


def test_the_death_of_the_process_is_reported(how, stack):
    worker = WorkerProcess(working, SHAPES)
    assert start_all(stack, [worker])
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerFailed, match="it died"):
        worker.begin(1)
        worker.finish()


def test_the_process_ends_with_its_context(how):
    with ExitStack() as stack:
        workers = [WorkerProcess(working, SHAPES) for _ in range(3)]
        assert start_all(stack, workers)
        for worker in workers:
            os.kill(worker.pid, signal.SIGINT)  # Ctrl-C goes to the whole group
        for number, worker in enumerate(workers):
            worker.begin(-number)
            worker.finish()
            assert worker.arrays["answer"][0] == -number
        workers[0].close()  # though the others were given copies of its end of the socket
        assert gone(workers[0].pid)
    assert all(gone(worker.pid) for worker in workers)


def test_a_server_that_was_ended_is_started_again(stack):
    first, second = WorkerProcess(working, SHAPES), WorkerProcess(working, SHAPES)
    assert start_all(stack, [first])
    server = processes._server(os.getpid())
    os.kill(server._process.pid, signal.SIGKILL)
    assert server._process.wait(SOON) == -signal.SIGKILL
    first.begin(1)
    first.finish()  # its workers go on
    assert start_all(stack, [second])


def test_without_a_server_threads_do_the_work(batch, monkeypatch):
    monkeypatch.setattr(processes, "_server", lambda process: processes._Server())
    monkeypatch.setattr(processes.multiprocessing.spawn, "get_executable", lambda: "/no/python")
    model = LeNet5(ops=get_ops("numpy"))
    recipe = replace(CLASSIC, epochs=1, batch_size=32)
    result = training.fit(model, recipe, batch, batch, PREPROCESSING, threads=2)
    assert result.epochs == 1 and np.isfinite(model.values).all()


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("os.memfd_create", OSError(38, "Function not implemented")),  # old kernels, sandboxes
        ("mmap.mmap", OSError(12, "Cannot allocate memory")),
        ("socket.socketpair", OSError(24, "Too many open files")),
        ("subprocess.Popen", RuntimeError("this host starts no processes")),
    ],
)
def test_where_a_process_cannot_be_had_none_is_left(place, error, stack, monkeypatch):
    def refuse(*arguments, **options):
        raise type(error)(*error.args)

    module, name = place.split(".")
    monkeypatch.setattr(processes, "_server", lambda process: processes._Server())
    monkeypatch.setattr(getattr(processes, module, os), name, refuse)
    before = os.listdir("/proc/self/fd")
    started = start_all(stack, [WorkerProcess(working, SHAPES)])
    gc.collect()  # of the error, which knows the process
    assert not started
    assert os.listdir("/proc/self/fd") == before


# Inference


@pytest.mark.parametrize("possible", (True, False))
def test_a_batch_is_read_alike_in_processes_and_in_threads(batch, how, possible, monkeypatch):
    monkeypatch.setattr(inference, "can_start", lambda: possible)
    images, _ = batch
    model = LeNet5(ops=get_ops("numpy"))
    with WorkerThreads(1) as alone:
        expected = ForwardPass(model, PREPROCESSING, 70)(images)
        with BatchReader(model, PREPROCESSING, alone) as read:
            np.testing.assert_allclose(read(images), expected, atol=1e-6)
    with (
        WorkerThreads(3) as workers,
        BatchReader(model, PREPROCESSING, workers, capacity=70) as read,
    ):
        assert len(read._processes) == {"command": 2, "library": 3}[how] * possible
        for count in (70, 1, 0, 33, 65):
            np.testing.assert_allclose(read(images[:count]), expected[:count], atol=1e-6)
        many = np.concatenate([images, images])  # more than the processes have room for
        np.testing.assert_allclose(read(many), np.concatenate([expected, expected]), atol=1e-6)


def test_many_images_are_read_in_processes_by_a_guest(rng, how, monkeypatch):
    monkeypatch.setattr(inference, "MIN_IN_PROCESSES", 60)
    started = []
    monkeypatch.setattr(inference, "start_all", partial(_noted, started))
    images = rng.integers(0, 256, (70, 32, 32), dtype=np.uint8)
    model = LeNet5(ops=get_ops("numpy"))
    expected = ForwardPass(model, PREPROCESSING, 70)(images)
    got = inference.predict_probabilities(model, images, PREPROCESSING, threads=2)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert len(started) == {"command": 0, "library": 2}[how]


def _noted(started, stack, workers):
    started += workers
    return start_all(stack, workers)
