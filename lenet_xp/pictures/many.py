"""Many pictures through one preprocessing, on several threads and in bounded memory."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from multiprocessing import parent_process

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2
from lenet_xp.system.own_process import is_owned, usable_cores
from lenet_xp.system.progress import progress_bar
from lenet_xp.system.workers import in_order

MAX_PREPARED = 2**30  # bytes: of all images together
CHUNK = 128  # pictures to a task: a task for each would cost as much as the work in it
MAX_HELD = 2_000_000  # pixels: decoded by a task before it preprocesses them
FIRST = 16  # pictures: tell whether threads are worth it
SHORT = 2e-3  # seconds: a picture that takes less is Python's work, and one thread is the fastest
MAX_WORKERS = 4  # threads: each may hold a picture of 50 megapixels


def prepare(
    count: int,
    picture: Callable[[int], np.ndarray],
    preprocessing: Preprocessing,
    label: str,
    progress: bool,
) -> tuple[np.ndarray, dict[int, str]]:
    """Preprocess `count` pictures: (count, *shape) uint8, and the problem of each unusable one.

    picture: gives the picture of an index, in several threads at once; it may raise InputError.
    label, progress: the name in the report on standard error, and whether to report.
    Pictures are decoded, preprocessed and dropped, a few at a time. Threads suffice for large ones,
    for OpenCV releases the interpreter's lock.
    """
    if count * math.prod(preprocessing.shape) > MAX_PREPARED:
        sides = " x ".join(map(str, preprocessing.shape))
        raise InputError(f"{label}: {count:,} images of {sides} need over a gigabyte; give fewer")
    images = np.zeros((count, *preprocessing.shape), np.uint8)

    def work(span: tuple[int, int]) -> dict[int, str]:
        errors, held = dict[int, str](), dict[int, np.ndarray]()
        for index in range(*span):
            try:
                held[index] = picture(index)
            except InputError as error:
                errors[index] = str(error)  # the error itself would keep the file's bytes
            if held and (index + 1 == span[1] or sum(e.size for e in held.values()) > MAX_HELD):
                images[list(held)] = preprocessing.apply_all(held.values())
                held.clear()
        return errors

    spans = list(pairwise(sorted({0, *range(FIRST, count, CHUNK), count})))
    errors, threads = dict[int, str](), 1
    with progress_bar(count, label, progress) as advance, opencv_alone():
        for part in spans[:1], spans[1:]:
            begun = time.perf_counter()
            for (start, end), problems in zip(part, in_order(work, part, threads), strict=True):
                errors.update(problems)
                advance(end - start)
            if time.perf_counter() - begun > SHORT * FIRST:
                threads = min(MAX_WORKERS, usable_cores())
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
