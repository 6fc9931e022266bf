"""Batches on their way into the network: host arrays that stay in place, and the input of them."""

from dataclasses import dataclass

import numpy as np

from lenet_xp.data.augment import Distortion
from lenet_xp.data.batches import Batch
from lenet_xp.data.preprocess import Preprocessing
from lenet_xp.data.warp import basis
from lenet_xp.ops import Array, Ops


@dataclass(frozen=True)
class HeldImages:
    """Images that wait on the device; batches are then their places.

    images: what `ops.resident` gave. basis: of the maps that distort them, None where none does.
    """

    images: Array
    basis: Array | None = None


def hold_images(
    ops: Ops, images: np.ndarray, distortion: Distortion | None = None
) -> HeldImages | None:
    """Images (M, S, S) uint8 held on the device.

    None where the device does not hold any, or cannot do all of the distortion.
    """
    if distortion is not None and not distortion.geometric:
        return None
    held = ops.resident(images)
    if held is None:
        return None
    size = images.shape[1]
    return HeldImages(held, distortion and ops.asarray(basis(size, distortion.grid)))


class InputBatch:
    """Room for the batches of `count` images, which `fill` overwrites; captures read it anew."""

    def __init__(
        self, ops: Ops, preprocessing: Preprocessing, count: int, held: HeldImages | None = None
    ):
        self._ops, self._held = ops, held
        self._settings = preprocessing.scale_and_shift()
        shape = (count,) if held else (count, preprocessing.size, preprocessing.size)
        self._images = np.zeros(shape, np.int64 if held else np.uint8)
        self._labels = np.zeros(count, np.int64)
        if held and held.basis is not None:
            self._coefficients = np.zeros((2, count, held.basis.shape[0]), np.float32)

    def fill(self, batch: Batch) -> None:
        """Take another batch of the same size."""
        np.copyto(self._images, batch.images)
        np.copyto(self._labels, batch.labels)
        if batch.coefficients is not None:
            np.copyto(self._coefficients, batch.coefficients)

    def labels(self) -> Array:
        """The labels (N,) on the device."""
        return self._ops.asarray(self._labels)

    def images(self) -> Array:
        """The network's input (1, S, S, N)."""
        ops, held = self._ops, self._held
        if held is None:
            return ops.image_batch(self._images, *self._settings)
        if held.basis is None:
            return ops.image_batch(held.images, *self._settings, chosen=self._images)
        maps = self._images, self._coefficients, held.basis
        return ops.warped_batch(held.images, *self._settings, *maps)
