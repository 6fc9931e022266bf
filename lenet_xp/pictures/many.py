"""Many pictures through one preprocessing, on all cores."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import MAX_PIXELS
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2, quiet_libraries
from lenet_xp.system.progress import progress_bar

# One task for this many pictures: a task for each would cost as much as the work in it.
CHUNK = 128

# Decoded pixels a task may hold before they are reduced: photos are not gathered as letters are.
HELD = 2_000_000

LARGE_FILE = 8 * 2**20  # bytes of a file that is read alone, whatever picture it holds

Admit = Callable[[int], None]


class Room:
    """Room for so many pixels of large pictures in all threads together."""

    def __init__(self, pixels: int):
        self._free, self._changed = pixels, threading.Condition()

    def take(self, pixels: int) -> None:
        """Wait until there is room for a picture; the caller has none taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels

    def give(self, pixels: int) -> None:
        with self._changed:
            self._free += pixels
            self._changed.notify_all()


class _Chunk:
    """Some pictures on their way to `images`: held a few at a time, a large one by itself."""

    def __init__(self, images: np.ndarray, preprocessing: Preprocessing, room: Room):
        self.images, self.preprocessing, self.room = images, preprocessing, room
        self.places: list[int] = []
        self.pictures: list[np.ndarray] = []
        self.held, self.taken = 0, 0

    def admit(self, pixels: int) -> None:
        """Called before a picture is decoded."""
        if self.held + pixels > HELD:
            self.reduce()  # before it waits: nobody waits who holds anything
        if pixels > HELD:
            self.room.take(pixels)
            self.taken = pixels

    def add(self, place: int, picture: np.ndarray) -> None:
        self.places.append(place)
        self.pictures.append(picture)
        self.held += picture.size
        if self.held > HELD:
            self.reduce()

    def reduce(self) -> None:
        """Preprocess what is held, and let it go with the room it took."""
        try:
            if self.places:
                self.images[self.places] = self.preprocessing.apply_all(self.pictures)
        finally:
            self.room.give(self.taken)
            self.places, self.pictures, self.held, self.taken = [], [], 0, 0


def prepare(
    count: int,
    picture: Callable[[int, Admit], np.ndarray],
    preprocessing: Preprocessing,
    label: str,
    progress: bool,
) -> tuple[np.ndarray, dict[int, str]]:
    """Preprocess `count` pictures: (count, S, S) uint8, and what is wrong with each unusable one.

    picture: gives the picture of an index, from several threads at once; it calls its second
    argument with the number of pixels before it decodes them.
    label, progress: what to call them in the report on standard error, and whether to give one.
    Pictures are decoded, reduced and dropped a chunk at a time, so that only results are held, and
    large ones wait for one another.
    Threads suffice: OpenCV lets go of the interpreter's lock while it decodes and scales.
    """
    images = np.zeros((count, preprocessing.size, preprocessing.size), np.uint8)
    room = Room(MAX_PIXELS)

    def work(start: int) -> dict[int, str]:
        errors, chunk = {}, _Chunk(images, preprocessing, room)
        try:
            for index in range(start, min(start + CHUNK, count)):
                try:
                    chunk.add(index, picture(index, chunk.admit))
                except InputError as error:
                    # Its words alone: the error itself would hold on to the file's bytes.
                    errors[index] = str(error)
        finally:
            chunk.reduce()
        return errors

    starts = range(0, count, CHUNK)
    errors: dict[int, str] = {}
    workers = min(16, os.cpu_count() or 1)
    inner = cv2.getNumThreads()
    cv2.setNumThreads(1)  # OpenCV's own threads would only fight with these for the cores
    with (
        quiet_libraries,  # before the progress, which then keeps to the same descriptor
        progress_bar(count, label, progress) as advance,
        ThreadPoolExecutor(workers) as pool,
    ):
        try:
            for start, found in zip(starts, pool.map(work, starts), strict=True):
                errors.update(found)
                advance(min(CHUNK, count - start))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C ends after the chunks under way
            raise
        finally:
            cv2.setNumThreads(inner)
    return images, errors


def first_problem(errors: dict[int, str]) -> str:
    """What is wrong with the first of several images, and the way on without such."""
    more = f" ({len(errors)} such images)" if len(errors) > 1 else ""
    return f"{errors[min(errors)]}{more}, or leave such images out with --skip-bad"
