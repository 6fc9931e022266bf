"""Letters as they are read off photos of drawn pages, each from a page of its own.

Training can learn from them, so that a network knows what a camera and the finding of letters do to
their images. Drawing a page is Python's work, for which threads wait for one another, so processes
share it.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial

import numpy as np

from lenet_xp.letters.drawn_pages import Photo, lay_alone
from lenet_xp.pictures.many import opencv_alone
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2
from lenet_xp.system.processes import Arrays, Serve, WorkerProcess, can_start, start_all
from lenet_xp.system.workers import in_order

LETTER_HEIGHTS = 24, 100  # pixels: larger letters lose little
PAGE_SIDES = 1.8, 4.0  # letter heights: a page with one letter
MIN_PAGE_SIDE = 140  # pixels
RULE_SPACINGS = 30, 120  # pixels: from one ruled line to the next
PART = 64  # images: photographed by a core in one go
MIN_IN_PROCESSES = 512  # images: fewer are done by threads before processes stand

Draw = Callable[[np.ndarray, int], np.ndarray]  # letters (N, S, S), and the number of the first


def photograph(
    images: np.ndarray,
    names: Sequence[str],
    preprocessing: Preprocessing,
    copies: int = 1,
    seed: int = 0,
    cores: int = 1,
    progress: Callable[[int], None] = lambda count: None,
) -> np.ndarray:
    """Each letter as `preprocessing` finds it on `copies` photos, each of a page of its own.

    images: (N, S, S) uint8, preprocessed: ink bright on 0. names: (N,) of their classes. Returns
    (copies * N, S, S) uint8, copy after copy: the same bytes for the same arguments, whatever the
    number of cores. progress: called with the number of images just done. WorkerFailed where a
    process dies.
    """
    count, shape = copies * len(images), images.shape[1:]
    draw: Draw = partial(_photographed, tuple(names), preprocessing, seed)

    def part(start: int) -> np.ndarray:
        numbers = np.arange(start, min(start + PART, count))
        return draw(images[numbers % len(images)], start)

    found, starts = np.empty((count, *shape), np.uint8), range(0, count, PART)
    cores = max(1, min(cores, len(starts)))
    with opencv_alone(), ExitStack() as stack:
        if cores > 1 and count >= MIN_IN_PROCESSES and can_start():
            shapes = dict.fromkeys(("letters", "found"), ((PART, *shape), np.uint8))
            job = partial(_photographer, draw, count)
            workers = [WorkerProcess(job, shapes) for _ in range(cores)]
            if start_all(stack, workers):
                draw = partial(_by_a_process, list(workers))
        parts = stack.enter_context(closing(in_order(part, starts, cores)))  # ends before workers
        for start, letters in zip(starts, parts, strict=True):
            found[start : start + PART] = letters
            progress(len(letters))
    return found


def _photographed(
    names: Sequence[str], preprocessing: Preprocessing, seed: int, images: np.ndarray, start: int
) -> np.ndarray:
    """Photos of images (N, S, S). `start`: the number of the first image among all."""
    found = []
    for number, image in enumerate(images, start):
        rng = np.random.default_rng([seed, number])
        page = _page(image, names[number % len(names)], rng)
        found.append(preprocessing.apply(page, inked=True))
    return np.stack(found)


def _page(image: np.ndarray, name: str, rng: np.random.Generator) -> np.ndarray:
    """A random photo (H, W) uint8 of a random page with one preprocessed letter (S, S)."""
    height = int(np.exp(rng.uniform(*np.log(LETTER_HEIGHTS))))
    high, wide = (int(max(MIN_PAGE_SIDE, height * rng.uniform(*PAGE_SIDES))) for _ in range(2))
    cover, _ = lay_alone(255 - image, name, height, (high, wide), rng)
    spacing = int(np.clip(height * rng.uniform(0.5, 1.5), *RULE_SPACINGS))
    return Photo.drawn(rng, spacing).take(cover, rng)


def _photographer(draw: Draw, count: int, arrays: Arrays) -> Serve:
    """What a process does for the number of a part's first image among all `count`."""
    cv2.setNumThreads(1)  # the processes are as many as the cores

    def serve(start: int) -> None:
        size = min(PART, count - start)
        arrays["found"][:size] = draw(arrays["letters"][:size], start)

    return serve


def _by_a_process(free: list[WorkerProcess], images: np.ndarray, start: int) -> np.ndarray:
    """`_photographed` by a process that is free: there are as many as threads that ask."""
    worker = free.pop()
    try:
        worker.arrays["letters"][: len(images)] = images
        worker.begin(start)
        worker.finish()
        return worker.arrays["found"][: len(images)].copy()
    finally:
        free.append(worker)
