"""The letters that are written on drawn pages, and shares of correct readings with intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import make_split
from lenet_xp.data.writers import writers_of
from lenet_xp.letters import print as type_designs
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.scores.intervals import bootstrap_interval, wilson_interval

FOLD = 0  # of the split by writers: the fold of the shipped model
SAMPLES = 16  # generated images of each letter
NAMES = tuple(each.name for each in letters())
RINGS = [NAMES.index("ya"), NAMES.index("yar")]  # differ only in size


@dataclass(frozen=True)
class Letters:
    """images: (N, 64, 64) uint8, dark on light. labels, writers: (N,) int64."""

    images: np.ndarray
    labels: np.ndarray
    writers: np.ndarray


def load_letters(source: str, part: str, seed: int) -> Letters:
    """Load the letters of one part of the split by writers.

    source: "synthetic", whose letters count as one writer's, "print", whose type designs count as
    writers, or AMHCD. part: "val" or "test".
    """
    if source == "print":
        images, labels = type_designs.generate(SAMPLES, seed=seed)
        return Letters(images, labels, np.arange(len(labels)) % SAMPLES)
    if source == "synthetic":
        images, labels = generate(SAMPLES, seed=seed)
        return Letters(images, labels, np.zeros(len(labels), np.int64))
    unchanged = Preprocessing(size=64, polarity="light-on-dark", framing="keep", contrast=False)
    dataset = load_dataset(source, unchanged)
    split = make_split(dataset, "writer", FOLD)
    places = split.test if part == "test" else split.val
    return Letters(dataset.images[places], dataset.labels[places], writers_of(dataset)[places])


def equal_but_for_size(read: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return which labels read are correct, where `ya` read as `yar` counts as correct.

    Nothing tells the size of a single letter on a page.
    """
    rings = np.isin(read, RINGS) & np.isin(labels, RINGS)
    correct: np.ndarray = (read == labels) | rings
    return correct


def share(hits: np.ndarray, writers: np.ndarray) -> dict[str, Any]:
    """Return the share of hits with its 95 % intervals, over letters and over whole writers."""
    hits = np.asarray(hits, bool)
    several = len(np.unique(writers)) > 1
    return {
        "share": float(hits.mean()),
        "count": len(hits),
        "interval": wilson_interval(int(hits.sum()), len(hits)),
        "interval_over_writers": bootstrap_interval(hits, writers) if several else None,
    }
