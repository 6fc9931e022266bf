"""Captured steps hold a step's memory, so only those of the last few batch sizes are kept."""

import gc

import numpy as np
import pytest

from lenet_xp.model import LeNet5
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.own_process import owned
from lenet_xp.system.workers import WorkerThreads
from lenet_xp.training.batches import Batch
from lenet_xp.training.recipes import CLASSIC
from lenet_xp.training.step import CapturedSteps
from lenet_xp.training.trainer import Trainer


def kept() -> int:
    gc.collect()
    return sum(isinstance(each, CapturedSteps) for each in gc.get_objects())


@pytest.mark.parametrize("largest", [7, 40])  # a step as one, or in pieces
def test_steps_of_four_sizes_are_kept(largest):
    ops, before = get_ops("numpy"), kept()
    images = np.random.default_rng(0).integers(0, 256, (largest, 32, 32), np.uint8)
    labels = np.arange(largest) % 33
    model = LeNet5(ops=ops)
    losses, hits = ops.zeros((largest,)), ops.zeros((largest,))
    with owned(), Trainer(model, CLASSIC, Preprocessing(), WorkerThreads(1), 8) as trainer:
        for count in range(largest, largest - 7, -1):
            trainer.steps_on([Batch(images[:count], labels[:count])], losses, hits)
            assert np.all(ops.to_host(losses)[:count] > 0)
        assert 2 <= kept() - before <= 4
