"""Data sets larger than memory: training images are made a block at a time, whenever needed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lenet_xp.data.class_folders import Files
from lenet_xp.data.dataset import Dataset, Request
from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letters
from lenet_xp.pictures.image_file import ImageFile
from lenet_xp.pictures.many import first_problem, prepare

BLOCK = 8192  # images: made at a time, at least
HELD = 10_000  # images: that validate and that test, at most, each
SHARE = 0.1  # of all images: the same
Make = Callable[[np.ndarray], np.ndarray]
Generator = Callable[..., tuple[np.ndarray, np.ndarray]]


class Made:
    """Images (N, ...) uint8: the first `count` are made when they are asked for, others are held.

    make: gives the images of numbers (n,) below count.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, count: int, make: Make, held: np.ndarray):
        self.count, self.make, self.held = count, make, held
        self.shape = (count + len(held), *held.shape[1:])
        self.ndim = held.ndim

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, chosen: np.ndarray) -> np.ndarray:
        first = chosen < self.count
        images = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        images[~first] = self.held[chosen[~first] - self.count]
        if first.any():
            images[first] = self.make(chosen[first])
        return images

    def alone(self) -> "Made":
        """Those that are made, without the others."""
        return Made(self.count, self.make, self.held[:0])


def generated(generate: Generator, request: Request) -> Dataset:
    """Letters that a generator draws anew in every epoch."""
    names = tuple(each.name for each in letters())
    # Bold print covers most of its picture and would pass for light ink.
    finish = replace(request.preprocessing, polarity="dark-on-light").apply_all
    count = request.samples_per_class * len(names)

    def draw(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        return generate(samples, seed, lambda done: None, finish)

    def make(chosen: np.ndarray) -> np.ndarray:
        state = np.random.SeedSequence([request.seed, len(chosen), *chosen[:4].tolist()])
        wanted = chosen % len(names)
        most = int(np.bincount(wanted).max())
        drawn, _ = draw(most, int(state.generate_state(1)[0]))
        images = np.empty((len(chosen), *drawn.shape[1:]), np.uint8)
        for label in range(len(names)):
            of_class = wanted == label
            images[of_class] = drawn[label * most :][: of_class.sum()]
        return images

    each = max(1, int(min(HELD, SHARE * count)) // len(names))
    held = [draw(each, request.seed + further) for further in (0, 1)]
    images, labels = (np.concatenate(parts) for parts in zip(*held, strict=True))
    every = np.concatenate([np.arange(count, dtype=np.int64) % len(names), labels])
    parts: dict[str, Any] = {"source_train": count, "source_val": each * len(names)}
    made: Any = Made(count, make, images)
    return Dataset(request.name, made, every, names, **parts)


def files(source: Files, request: Request) -> Dataset:
    """The pictures of class folders; random ones, the same each time, validate and test."""
    tree, colour = source.tree(), request.preprocessing.channels == 3
    order = np.random.default_rng(0).permutation(len(tree.paths))
    paths = [tree.paths[i] for i in order]

    def make(chosen: np.ndarray) -> np.ndarray:
        def picture(place: int) -> np.ndarray:
            path = paths[chosen[place]]
            return ImageFile(source.read(path), path).page(colour=colour)

        images, errors = prepare(len(chosen), picture, request.preprocessing, request.name, False)
        if errors:
            raise InputError(f"{request.name}: {first_problem(errors).partition(', or leave')[0]}")
        return images

    each = int(min(HELD, SHARE * len(paths)))
    if not each:
        raise InputError(f"{request.name}: is too small for --stream; leave it out")
    count = len(paths) - 2 * each
    labels = np.array(tree.labels, np.int64)[order]
    made: Any = Made(count, make, make(np.arange(count, len(paths))))
    return Dataset(
        request.name,
        made,
        labels,
        tree.class_names,
        files=tuple(tree.files[i] for i in order),
        source_train=count,
        source_val=each,
        left_out=tree.left_out,
    )
