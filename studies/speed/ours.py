"""The contenders of this project: the fast network, and its textbook version."""

from contextlib import AbstractContextManager, ExitStack
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from lenet_xp.data.augment import Distortion
from lenet_xp.inference import BatchReader, ForwardPass
from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5
from lenet_xp.ops import Ops, get_ops
from lenet_xp.optim import SGD
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.workers import WorkerThreads
from lenet_xp.training.batches import Batch, epoch_batches, prefetch
from lenet_xp.training.recipes import CLASSIC
from lenet_xp.training.trainer import Trainer
from studies.speed.measure import Contender

PREPROCESSING = Preprocessing(mean=0.1, std=0.25)


def random_batch(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images (count, 32, 32) uint8 and labels (count,), the same ones for each count."""
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (count, 32, 32), dtype=np.uint8), rng.integers(0, 33, count)


def train_step(stack: ExitStack, batch: int, threads: int) -> Contender:
    """Return a whole training step from uint8 images: standardise, forward, backward, SGD.

    stack: keeps the workers alive. Images are standardised within the step, while peers are given
    finished tensors.
    """
    images, labels = random_batch(batch)
    workers = WorkerThreads(min(threads, batch))
    model = LeNet5(ops=get_ops("numpy"))
    recipe = CLASSIC.with_options(batch_size=batch)
    trainer = stack.enter_context(Trainer(model, recipe, PREPROCESSING, workers, 1))
    losses, hits = np.empty(batch, np.float32), np.empty(batch, np.float32)
    setting = _Standing(stack, workers)
    return Contender(
        partial(trainer.steps_on, [Batch(images, labels)], losses, hits), batch, setting
    )


def epoch(stack: ExitStack, threads: int, distortion: Distortion | None) -> Contender:
    """Return an epoch of 2,048 images in batches of 64, with the whole input pipeline."""
    images, labels = random_batch(2048)
    workers = WorkerThreads(threads)
    model = LeNet5(ops=get_ops("numpy"))
    trainer = stack.enter_context(Trainer(model, CLASSIC, PREPROCESSING, workers, 32))
    rng = np.random.default_rng(0)

    losses, hits = np.empty((2, 64), np.float32)

    def run() -> None:
        for batch in prefetch(epoch_batches(images, labels, 64, rng, distortion)):
            trainer.steps_on([batch], losses, hits)

    return Contender(run, len(labels), _Standing(stack, workers))


def textbook_step(batch: int) -> Contender:
    """Return the same step through the portable reference: fresh arrays, plain im2col."""
    images, labels = random_batch(batch)
    model = LeNet5(ops=Ops(np))
    loss = SoftmaxCrossEntropy(model.ops)
    optimiser = SGD(model.ops, model.values, model.gradients)

    def step() -> None:
        x = model.ops.image_batch(images, *PREPROCESSING.scale_and_shift())
        model.backward(loss(model.forward(x), labels)[2])
        optimiser.step(CLASSIC.learning_rate)

    return Contender(step, batch)


def inference(stack: ExitStack, batch: int, threads: int) -> Contender:
    """Return the reading of a batch of uint8 images; one image takes the low-latency path."""
    images, _ = random_batch(batch)
    model = LeNet5(ops=get_ops("numpy"))
    if batch == 1:
        read_one = ForwardPass(model, PREPROCESSING)
        return Contender(partial(read_one, images), 1, partial(threadpool_limits, 1, "blas"))
    workers = WorkerThreads(min(threads, batch))
    reader = stack.enter_context(BatchReader(model, PREPROCESSING, workers, batch))
    return Contender(partial(reader, images), batch, _Standing(stack, workers))


class _Standing:
    """Gives a context with workers that are started once, not at each turn."""

    def __init__(self, stack: ExitStack, workers: WorkerThreads):
        stack.enter_context(workers)

    def __call__(self) -> AbstractContextManager[object]:
        limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
        return limits
