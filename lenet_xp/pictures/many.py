"""Many pictures through one preprocessing, on all cores and in bounded memory."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import MAX_PIXELS
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2
from lenet_xp.system.own_process import is_owned, usable_cores
from lenet_xp.system.progress import progress_bar
from lenet_xp.system.workers import in_order

MAX_PREPARED = 2**30  # bytes: of all images together
CHUNK = 128  # pictures to a task: a task for each would cost as much as the work in it
MAX_HELD = 2_000_000  # pixels: decoded by a task before it preprocesses them
LARGE_FILE = 8 * 2**20  # bytes: a larger file is read alone, whatever picture it holds
MAX_WORKERS = 16  # threads

Admit = Callable[[int], None]


def prepare(
    count: int,
    picture: Callable[[int, Admit], np.ndarray],
    preprocessing: Preprocessing,
    label: str,
    progress: bool,
) -> tuple[np.ndarray, dict[int, str]]:
    """Preprocess `count` pictures: (count, *shape) uint8, and the problem of each unusable one.

    picture: gives the picture of an index, in several threads at once; it calls its second argument
    with the number of pixels before it decodes them. It may raise InputError.
    label, progress: the name in the report on standard error, and whether to report.
    Pictures are decoded, preprocessed and dropped a chunk at a time, and large ones wait for one
    another. Threads suffice, for OpenCV releases the interpreter's lock.
    """
    if count * math.prod(preprocessing.shape) > MAX_PREPARED:
        sides = " x ".join(map(str, preprocessing.shape))
        raise InputError(f"{label}: {count:,} images of {sides} need over a gigabyte; give fewer")
    images = np.zeros((count, *preprocessing.shape), np.uint8)
    budget = _Budget(MAX_PIXELS)

    def work(start: int) -> dict[int, str]:
        errors, chunk = {}, _Chunk(images, preprocessing, budget)
        try:
            for index in range(start, min(start + CHUNK, count)):
                try:
                    chunk.add(index, picture(index, chunk.admit))
                except InputError as error:
                    errors[index] = str(error)  # the error itself would keep the file's bytes
        finally:
            chunk.preprocess()
        return errors

    errors: dict[int, str] = {}
    with progress_bar(count, label, progress) as advance, opencv_alone():
        starts = range(0, count, CHUNK)
        found = in_order(work, starts, min(MAX_WORKERS, usable_cores()))
        for start, problems in zip(starts, found, strict=True):
            errors.update(problems)
            advance(min(CHUNK, count - start))
    return images, errors


@contextmanager
def opencv_alone() -> Iterator[None]:
    """OpenCV without threads of its own, which would compete with these, in a command's process.

    In a child it would wait for ever for the threads that its parent had.
    """
    if not is_owned() or parent_process() is not None:
        yield
        return
    inner = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(inner)


def first_problem(errors: dict[int, str]) -> str:
    """The problem of the first of several images, and how to leave such images out."""
    more = f" ({len(errors)} such images)" if len(errors) > 1 else ""
    return f"{errors[min(errors)]}{more}, or leave such images out with --skip-bad"


class _Budget:
    """A number of pixels that the large pictures of all threads share."""

    def __init__(self, pixels: int):
        self._free, self._changed = pixels, threading.Condition()

    def take(self, pixels: int) -> None:
        """Wait until so many pixels are free; a caller that has some would wait for itself."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels

    def give(self, pixels: int) -> None:
        with self._changed:
            self._free += pixels
            self._changed.notify_all()


class _Chunk:
    """Pictures on their way to `images`: a few are held at a time, a large one by itself."""

    def __init__(self, images: np.ndarray, preprocessing: Preprocessing, budget: _Budget):
        self._images, self._preprocessing, self._budget = images, preprocessing, budget
        self._pictures: dict[int, np.ndarray] = {}
        self._held, self._taken = 0, 0  # pixels

    def admit(self, pixels: int) -> None:
        """Called before a picture is decoded."""
        if self._held + pixels > MAX_HELD:
            self.preprocess()  # first, so that no task waits while it holds pixels
        if pixels > MAX_HELD:
            self._budget.take(pixels)
            self._taken = pixels

    def add(self, index: int, picture: np.ndarray) -> None:
        self._pictures[index] = picture
        self._held += picture.size
        if self._held > MAX_HELD:
            self.preprocess()

    def preprocess(self) -> None:
        """Preprocess and drop the pictures held, and give their pixels back."""
        try:
            if self._pictures:
                images = self._preprocessing.apply_all(self._pictures.values())
                self._images[list(self._pictures)] = images
        finally:
            self._budget.give(self._taken)
            self._pictures, self._held, self._taken = {}, 0, 0
