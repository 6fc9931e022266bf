"""Whole training steps as one: captured once, repeated on other images at other rates."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lenet_xp.data.batches import Batch
from lenet_xp.inputs import InputBatch
from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5
from lenet_xp.ops import Array


class CapturedSteps:
    """Forward, loss, backward and update of as many batches as `inputs` has room for.

    updates: what follows a backward pass, called with the step's rates in an array. losses and
    hits: vectors (M,) of the epoch, in which every step leaves those of its images.
    """

    def __init__(
        self,
        model: LeNet5,
        loss: SoftmaxCrossEntropy,
        updates: Sequence[Callable[[Any], None]],
        inputs: Sequence[InputBatch],
        losses: Array,
        hits: Array,
    ):
        self._model, self._loss, self._updates = model, loss, updates
        self._inputs, self.losses, self.hits = inputs, losses, hits
        self._rates = [np.zeros(2) for _ in inputs]
        self._places = [np.zeros(1, np.int64) for _ in inputs]
        self._repeat: Callable[[], Any] | None = None

    def __call__(
        self, batches: Sequence[Batch], rates: Sequence[tuple[float, int]], start: int
    ) -> None:
        """One step for each batch.

        rates: learning rate and number of each step. start: the place of the first image.
        """
        for k, batch in enumerate(batches):
            self._inputs[k].fill(batch)
            self._rates[k][:] = rates[k]
            self._places[k][0] = start
            start += len(batch.labels)
        if self._repeat is None:  # the first run is a step already
            self._repeat = self._model.ops.capture(self._compute)
        else:
            self._repeat()

    def _compute(self) -> None:
        model, vectors = self._model, (self.losses, self.hits)
        for given, rates, place in zip(self._inputs, self._rates, self._places, strict=True):
            logits = model.forward(given.images())
            _, _, dlogits = self._loss(logits, given.labels(), into=(*vectors, place))
            model.backward(dlogits)
            for update in self._updates:
                update(rates)
