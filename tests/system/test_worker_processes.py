"""Work in processes: the same gradients and readings, and no process is left running."""

import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from lenet_xp import inference
from lenet_xp.inference import BatchReader, ForwardPass
from lenet_xp.model import LeNet5
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.workers import WorkerThreads, can_fork, shared_zeros
from lenet_xp.training import loop as training
from lenet_xp.training import trainer
from lenet_xp.training.batches import Batch
from lenet_xp.training.recipes import BEST, CLASSIC
from lenet_xp.training.step import ForkedWorker, GradientWorker

pytestmark = pytest.mark.skipif(not can_fork(), reason="this system trains with threads")

PREPROCESSING = Preprocessing(mean=0.4, std=0.3)


@pytest.fixture
def batch(rng):
    return rng.integers(0, 256, (70, 32, 32), dtype=np.uint8), rng.integers(0, 33, 70)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def gradient_worker(seed=0):
    model = LeNet5(ops=get_ops("numpy"), seed=seed)
    own = model.replica(*(shared_zeros(model.values.shape, np.float32) for _ in range(2)))
    own.values[...] = model.values
    return GradientWorker(own, PREPROCESSING)


def test_a_forked_worker_gives_the_gradients_of_a_local_one(batch):
    images, labels = batch
    local, other = gradient_worker(), gradient_worker(seed=5)  # the values are sent with the batch
    expected = np.empty((2, 70), np.float32)
    one_thread = threadpool_limits(1, user_api="blas")  # more would sum in another order
    with one_thread, ForkedWorker(other, max_images=80, size=32) as forked:
        for count in (70, 40, 1):
            local.differentiate(Batch(images[:count], labels[:count]), 0.5, *expected[:, :count])
            got = np.empty((2, count), np.float32)
            forked.begin(local.model.values, Batch(images[:count], labels[:count]), 0.5)
            forked.finish(*got)
            assert np.array_equal(got, expected[:, :count])
            assert np.array_equal(forked.gradients, local.model.gradients)


@pytest.mark.parametrize("recipe", (CLASSIC, BEST))
def test_processes_and_threads_train_to_the_same_bits(batch, recipe, monkeypatch):
    recipe = replace(recipe, epochs=2, batch_size=32)  # the last batch is of 6
    values = []
    for forks in (True, False):
        monkeypatch.setattr(trainer, "can_fork", lambda forks=forks: forks)
        model = LeNet5(ops=get_ops("numpy"))
        training.fit(model, recipe, batch, batch, PREPROCESSING, threads=3)
        values.append(model.values.copy())
    assert np.array_equal(*values)


def test_a_failure_in_the_process_is_reported(batch):
    images, labels = batch
    worker = gradient_worker()
    worker._step = None
    with ForkedWorker(worker, max_images=80, size=32) as forked:
        forked.begin(forked.values, Batch(images, labels), 1.0)
        with pytest.raises(RuntimeError, match="worker process failed: TypeError"):
            forked.finish(*np.empty((2, 70)))


def test_the_death_of_the_process_is_reported(batch):
    images, labels = batch
    with ForkedWorker(gradient_worker(), max_images=80, size=32) as forked:
        os.kill(forked._forked._process.pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match="it died"):
            forked.begin(forked.values, Batch(images, labels), 1.0)
            forked.finish(*np.empty((2, 70)))


def test_the_process_ends_with_its_context():
    with ForkedWorker(gradient_worker(), max_images=8, size=32) as forked:
        os.kill(forked._forked._process.pid, signal.SIGINT)  # Ctrl-C goes to the whole group
        assert forked._forked._process.is_alive()
    assert forked._forked._process.exitcode == 0


# Inference


@pytest.mark.parametrize("forks", (True, False))
def test_a_batch_is_read_alike_in_processes_and_in_threads(batch, forks, monkeypatch):
    monkeypatch.setattr(inference, "can_fork", lambda: forks)
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
        assert len(read._forked) == (2 if forks else 0)
        for count in (70, 1, 0, 33, 65):
            np.testing.assert_allclose(read(images[:count]), expected[:count], atol=1e-6)
        many = np.concatenate([images, images])  # more than the processes have room for
        np.testing.assert_allclose(read(many), np.concatenate([expected, expected]), atol=1e-6)


def test_many_images_are_read_in_processes(rng, monkeypatch):
    monkeypatch.setattr(inference, "MIN_FORKED", 60)
    images = rng.integers(0, 256, (70, 32, 32), dtype=np.uint8)
    model = LeNet5(ops=get_ops("numpy"))
    expected = ForwardPass(model, PREPROCESSING, 70)(images)
    got = inference.predict_probabilities(model, images, PREPROCESSING, threads=2)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_only_the_main_thread_forks():
    """Two threads that forked at once would wait for each other's children for ever."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(can_fork()))
    thread.start()
    thread.join()
    assert answers == [False] and can_fork()
