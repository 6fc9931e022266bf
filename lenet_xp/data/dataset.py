"""What every data source yields: images, integer labels and the names behind them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# What is held of each image, and of each pair of image and class, stays under a gigabyte.
MAX_IMAGES = 250_000
MAX_CLASSES = 1_000

LONGEST_NAME = 255  # of a class, as of a folder
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # controls, or no text


@dataclass(frozen=True)
class Dataset:
    """A labelled set of preprocessed images.

    images: (N, S, S) uint8, ink 255 on paper 0, as `Preprocessing.apply` leaves them.
    labels: (N,) int64, indices into `class_names`.
    files: the name of each image in its source, or empty where there is none.
    source_train: where the source comes with its own test set, how many images stand before it.
    skipped: (file, reason) of each image left out on request.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    files: tuple[str, ...] = ()
    source_train: int | None = None
    skipped: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


def objection(class_names: Sequence[str]) -> str | None:
    """What speaks against the names of a data set's or a model's classes, or None.

    They go into files as UTF-8 and onto terminals as they are.
    """
    if len(class_names) > MAX_CLASSES:
        return f"holds {len(class_names):,} classes, at most {MAX_CLASSES:,} are read; give fewer"
    for name in class_names:
        if not 0 < len(name) <= LONGEST_NAME or _UNFIT.search(name):
            return f"the class name {name[:40]!r} is no printable text of 1 to {LONGEST_NAME} signs"
    return None
