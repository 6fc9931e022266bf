"""Shuffled and distorted batches, made ahead of their use."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np

from lenet_xp.data.augment import Distortion

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
