"""The workers of a trainer: as many replicas of the network as share its batches, and no more."""

import numpy as np
import pytest

from lenet_xp.model import LeNet5
from lenet_xp.ops import Ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.workers import WorkerThreads
from lenet_xp.training import trainer as trainers
from lenet_xp.training.recipes import CLASSIC
from lenet_xp.training.trainer import Trainer


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_thread_has_one_replica(count, monkeypatch):
    monkeypatch.setattr(trainers, "can_start", lambda: False)
    model = LeNet5(ops=Ops(np))
    with (
        WorkerThreads(count) as workers,
        Trainer(model, CLASSIC, Preprocessing(), workers, 8) as trainer,
    ):
        models = [worker.model for worker in trainer.local]
    assert models[0] is model and len({id(each) for each in models}) == len(models) == count
