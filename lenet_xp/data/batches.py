"""Shuffled and distorted batches, made ahead of their use."""

import queue
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from lenet_xp.data.augment import Distortion

T = TypeVar("T")

AHEAD = 8  # batches that may wait: enough to ride out a pause, little memory


def epoch_batches(
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    rng: np.random.Generator,
    distortion: Distortion | None = None,
    behind: int = 0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One epoch: (images (N, S, S) uint8, labels (N,)) of a fresh shuffle; the last may be short.

    Everything random is drawn here, on the host and in batch order, so that a seed gives the same
    batches to every backend. behind: how many batches to leave out at the start, as if they had
    been given already.
    """
    order = rng.permutation(len(labels))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        drawn = None if distortion is None else distortion.draw(rng, len(chosen), images.shape[1])
        if start < behind * batch_size:
            continue
        batch = images[chosen]
        if distortion is not None and drawn is not None:
            batch = distortion.apply(batch, drawn)
        yield batch, labels[chosen]


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
