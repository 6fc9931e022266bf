"""The gradient of a part of a batch: what one worker of a training step does."""

import numpy as np

from lenet_xp.data.preprocess import Preprocessing
from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5
from lenet_xp.ops import Array
from lenet_xp.parallel import pieces


class GradientWorker:
    """A model that leaves in its `gradients` those of the images it is given.

    smoothing: of the labels.
    """

    def __init__(self, model: LeNet5, smoothing: float, preprocessing: Preprocessing):
        self.model = model
        self.loss = SoftmaxCrossEntropy(model.ops, smoothing)
        self.total = model.ops.zeros(model.values.shape)
        self.standardise = preprocessing.scale_and_shift()

    def differentiate(
        self, images: np.ndarray, labels: np.ndarray, scale: float, losses: Array, hits: Array
    ) -> None:
        """Gradients of scale * sum of the losses of images (N, S, S) uint8, worked off in pieces.

        labels (N,) int64 on the host; losses and hits (N,) are filled in.
        """
        model, ops = self.model, self.model.ops
        cuts = pieces(ops, slice(0, len(labels)))
        for piece in cuts:
            with ops.step():
                x = ops.image_batch(images[piece], *self.standardise)
                on_device = ops.asarray(labels[piece])
                losses[piece], hits[piece], dlogits = self.loss(model.forward(x), on_device, scale)
                model.backward(dlogits)
            if len(cuts) > 1:
                self.total += model.gradients
        if len(cuts) > 1:
            model.gradients[...] = self.total
            self.total[...] = 0.0
