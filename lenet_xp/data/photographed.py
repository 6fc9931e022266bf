"""Training letters as they are read off a photographed page: shrunk, blurred, noisy, cut out anew.

A network that learned from clean scans alone meets all that for the first time on a user's page.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np

from lenet_xp.data.preprocess import Preprocessing
from lenet_xp.data.sheet import Photo, lay_alone
from lenet_xp.processes import Forked, can_fork, shared

HEIGHTS = 24, 100  # pixels of a letter on its page; larger ones suffer little
AROUND = 1.8, 4.0  # of the letter's height: a side of the page
SMALLEST_PAGE = 140  # pixels
SPACINGS = 30, 120  # pixels between ruled lines
PART = 64  # images that are made at once


def photographed(
    images: np.ndarray,
    names: Sequence[str],
    preprocessing: Preprocessing,
    copies: int = 1,
    seed: int = 0,
    cores: int = 1,
    progress: Callable[[int], None] = lambda count: None,
) -> np.ndarray:
    """Each letter so many times more, every time found on a page of its own that `Photo` drew.

    images: (N, S, S) uint8, preprocessed: ink bright on 0. names: (N,) of their classes.
    preprocessing: how the pages are read. Returns (copies * N, S, S) uint8, copy after copy: the
    same bytes for the same arguments, whatever the number of cores. progress: called with the
    number of images just done.
    """
    count = copies * len(images)
    found = shared((count, *images.shape[1:]), np.uint8)
    parts = -(-count // PART)

    def make(part: int) -> None:
        for number in range(part * PART, min((part + 1) * PART, count)):
            letter, rng = number % len(images), np.random.default_rng([seed, number])
            found[number] = _read_off(images[letter], names[letter], preprocessing, rng)

    cores = min(parts, cores) if can_fork() else 1
    with ExitStack() as stack:
        others = [stack.enter_context(Forked(make)) for _ in range(cores - 1)]
        for first in range(0, parts, cores):
            together = list(range(first, min(first + cores, parts)))
            for part, forked in zip(together[1:], others, strict=False):
                forked.begin(part)
            make(first)
            for _, forked in zip(together[1:], others, strict=False):
                forked.finish()
            progress(min((first + len(together)) * PART, count) - first * PART)
    return found


def _read_off(
    image: np.ndarray, name: str, preprocessing: Preprocessing, rng: np.random.Generator
) -> np.ndarray:
    low, high = np.log(HEIGHTS)
    height = int(np.exp(rng.uniform(low, high)))
    high, wide = (int(max(SMALLEST_PAGE, height * rng.uniform(*AROUND))) for _ in range(2))
    cover, _ = lay_alone(255 - image, name, height, (high, wide), rng)
    photo = Photo.drawn(rng, int(np.clip(height * rng.uniform(0.5, 1.5), *SPACINGS)))
    return preprocessing.apply(photo.take(cover, rng))
