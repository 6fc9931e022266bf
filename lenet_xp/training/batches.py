"""Batches: shuffled, distorted, made ahead of their use, and placed where the network reads them.

A batch is made on the host by `epoch_batches`, waits in `prefetch`, and is copied by `InputBatch`
into arrays that stay in place, so that a captured step can read it.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, NamedTuple, TypeVar

import numpy as np

from lenet_xp.data.augment import Changes, Distortion, basis
from lenet_xp.data.stream import BLOCK, Made
from lenet_xp.errors import WorkerFailed
from lenet_xp.ops import Array, Ops
from lenet_xp.pictures.preprocess import Preprocessing

T = TypeVar("T")

TOGETHER = 1024  # images: whose changes are computed at once; arrays of more cost page faults
PREFETCHED = 8  # batches that may wait: enough to ride out a pause, little memory
_END: Any = object()


class Batch(NamedTuple):
    """What one training step learns from.

    images: (N, S, S) or (N, S, S, 3) uint8; or, where all images lie on the device, their indices
    (N,) int64.
    labels: (N,) int64. coefficients: (2, N, F) float32, by which the device distorts the images
    (`augment.basis`), or None.
    """

    images: np.ndarray
    labels: np.ndarray
    coefficients: np.ndarray | None = None

    def part(self, chosen: slice) -> "Batch":
        """The batch of some of its images."""
        maps = None if self.coefficients is None else self.coefficients[:, chosen]
        return Batch(self.images[chosen], self.labels[chosen], maps)


def epoch_batches(
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    rng: np.random.Generator,
    distortion: Distortion | None = None,
    skip: int = 0,
    on_device: bool = False,
) -> Iterator[Batch]:
    """One epoch of a fresh shuffle of prepared images; the last batch may be short.

    Images of a stream are made some thousand at a time, and changes are computed for some batches.

    Everything random is drawn here, on the host and in batch order, so that a seed gives the same
    batches to every backend. skip: the first so many batches are drawn but not made, for a run that
    goes on in mid-epoch. on_device: give indices and coefficients, for images on the device.
    """
    order = rng.permutation(len(labels))
    labels = labels[order]
    span, together = (batch_size * -(-count // batch_size) for count in (BLOCK, TOGETHER))
    drawn: Changes | None = None  # of the batches from the last multiple of `together` on
    block: np.ndarray | None = None  # of a stream's images, likewise of `span`
    for start in range(0, len(order), batch_size):
        first, place = start % together, start % span
        if distortion is not None and not first:
            starts = range(start, min(start + together, len(order)), batch_size)
            drawn = distortion.draw(rng, *(len(order[k : k + batch_size]) for k in starts))
        if not place:
            block = None
        if start < skip * batch_size:
            continue
        chosen, named = (each[start : start + batch_size] for each in (order, labels))
        changes = drawn and drawn.part(slice(first, first + batch_size))
        if on_device:
            yield Batch(chosen, named, changes and changes.coefficients)
            continue
        if isinstance(images, Made):
            if block is None:
                block = images[order[start - place : start - place + span]]
            batch = block[place : place + batch_size]
        else:
            batch = images[chosen]
        if distortion is not None and changes is not None:
            batch = distortion.apply(batch, changes)
        yield Batch(batch, named)


def in_groups(batches: Iterable[Batch], max_batches: int) -> Iterator[list[Batch]]:
    """Consecutive batches in groups of at most `max_batches`; a group's batches have one size."""
    for _, same in groupby(batches, key=lambda batch: len(batch.labels)):
        while group := list(islice(same, max_batches)):
            yield group


def prefetch(items: Iterator[T], ahead: int = PREFETCHED) -> Iterator[T]:
    """The same items, made on a background thread up to `ahead` in advance.

    An exception of the producer is raised here. When the consumer stops early, so does the thread.
    Raises WorkerFailed where the system cannot start a thread.
    """
    with ThreadPoolExecutor(1, "prefetch") as pool:
        try:
            made = deque(pool.submit(next, items, _END) for _ in range(ahead))
        except RuntimeError as error:  # "can't start new thread"
            raise WorkerFailed(f"the system cannot start a thread ({error})") from error
        try:
            while (item := made.popleft().result()) is not _END:
                made.append(pool.submit(next, items, _END))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class DeviceImages:
    """All training images on the device; a batch is then a list of indices.

    images: what `ops.resident` gave. basis: of the maps that distort them (`augment.basis`), None
    if none are distorted.
    """

    images: Array
    basis: Array | None = None


def place_on_device(
    ops: Ops, images: np.ndarray, distortion: Distortion | None = None
) -> DeviceImages | None:
    """Prepared images on the device.

    None if the device keeps no images, or cannot compute all of the distortion.
    """
    if distortion is not None and not (distortion.geometric and images.ndim == 3):
        return None
    if isinstance(images, Made):
        return None
    resident = ops.resident(images)
    if resident is None:
        return None
    size = images.shape[1]
    return DeviceImages(resident, distortion and ops.asarray(basis(size, distortion.grid)))


class InputBatch:
    """Arrays that hold a batch of `count` images; `fill` overwrites them, captures read them."""

    def __init__(
        self,
        ops: Ops,
        preprocessing: Preprocessing,
        count: int,
        on_device: DeviceImages | None = None,
    ):
        self._ops, self._on_device = ops, on_device
        self._scaling = preprocessing.scale_and_shift()
        shape = (count,) if on_device else (count, *preprocessing.shape)
        self._images = np.zeros(shape, np.int64 if on_device else np.uint8)
        self._labels = np.zeros(count, np.int64)
        if on_device and on_device.basis is not None:
            self._coefficients = np.zeros((2, count, on_device.basis.shape[0]), np.float32)

    def fill(self, batch: Batch) -> None:
        """Copy in another batch of the same size."""
        np.copyto(self._images, batch.images)
        np.copyto(self._labels, batch.labels)
        if batch.coefficients is not None:
            np.copyto(self._coefficients, batch.coefficients)

    def labels(self) -> Array:
        """The labels (N,) on the device."""
        return self._ops.asarray(self._labels)

    def images(self) -> Array:
        """The network's input (C, S, S, N)."""
        ops, source = self._ops, self._on_device
        if source is None:
            return ops.image_batch(self._images, *self._scaling)
        if source.basis is None:
            return ops.image_batch(source.images, *self._scaling, chosen=self._images)
        maps = self._images, self._coefficients, source.basis
        return ops.warped_batch(source.images, *self._scaling, *maps)


def steps_at_once(ops: Ops, batch_size: int) -> int:
    """The number of training steps per launch; on a GPU a launch can take longer than a step."""
    return min(max(ops.images_per_launch // batch_size, 1), ops.steps_per_launch)
