"""Shuffled and distorted batches, made ahead of their use."""

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from lenet_xp.data.augment import Distortion, basis
from lenet_xp.ops import Array, Ops
from lenet_xp.pictures.preprocess import Preprocessing

T = TypeVar("T")

AHEAD = 8  # batches that may wait: enough to ride out a pause, little memory


class Batch(NamedTuple):
    """What one training step learns from.

    images: (N, S, S) uint8, or where the device holds all images the places (N,) int64 of these.
    labels: (N,) int64. coefficients: (2, N, F) float32 of `warp.basis`, by which the device is to
    distort them, or None.
    """

    images: np.ndarray
    labels: np.ndarray
    coefficients: np.ndarray | None = None

    def part(self, some: slice) -> "Batch":
        """Some of its images."""
        maps = self.coefficients
        return Batch(self.images[some], self.labels[some], None if maps is None else maps[:, some])


def epoch_batches(
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    rng: np.random.Generator,
    distortion: Distortion | None = None,
    behind: int = 0,
    held: bool = False,
) -> Iterator[Batch]:
    """One epoch of a fresh shuffle of images (M, S, S) uint8; the last batch may be short.

    Everything random is drawn here, on the host and in batch order, so that a seed gives the same
    batches to every backend. behind: how many batches to leave out at the start, as if they had
    been given already. held: give places and coefficients, for a device that holds the images.
    """
    order = rng.permutation(len(labels))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        drawn = None if distortion is None else distortion.draw(rng, len(chosen))
        if start < behind * batch_size:
            continue
        if held:
            yield Batch(chosen, labels[chosen], None if drawn is None else drawn.coefficients)
            continue
        batch = images[chosen]
        if distortion is not None and drawn is not None:
            batch = distortion.apply(batch, drawn)
        yield Batch(batch, labels[chosen])


def in_groups(batches: Iterable[Batch], most: int) -> Iterator[list[Batch]]:
    """Up to `most` batches at a time as they come, all of a group of one size."""
    group: list[Batch] = []
    for batch in batches:
        if group and len(batch.labels) != len(group[0].labels):
            yield group
            group = []
        group.append(batch)
        if len(group) == most:
            yield group
            group = []
    if group:
        yield group


def prefetch(items: Iterator[T], ahead: int = AHEAD) -> Iterator[T]:
    """The same items, made on a background thread up to `ahead` in advance.

    An exception of the producer is raised here. When the consumer stops early, so does the thread.
    """
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()

    def offer(kind: str, value: object) -> bool:
        while not stopped.is_set():
            try:
                ready.put((kind, value), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        try:
            for item in items:
                if not offer("item", item):
                    return
            offer("end", None)
        except BaseException as error:
            offer("error", error)

    thread = threading.Thread(target=produce, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stopped.set()
        thread.join()


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


def steps_at_once(ops: Ops, batch_size: int) -> int:
    """How many training steps to ask for in one go: on a GPU asking can take longer than a step."""
    return min(max(ops.images_per_launch // batch_size, 1), ops.steps_per_launch)
