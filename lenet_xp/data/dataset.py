"""What every data source is asked for, and the labelled images that it yields."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.pictures.preprocess import Preprocessing

MAX_IMAGES = 250_000  # images: with their classes they stay under a gigabyte


@dataclass(frozen=True)
class Request:
    """What a source's reader is asked for."""

    path: Path  # to read; generated letters have none
    name: str  # of the data set
    preprocessing: Preprocessing
    samples_per_class: int  # of generated letters
    seed: int  # of generated letters
    skip_bad: bool  # list unreadable images in `Dataset.skipped` instead of raising InputError
    progress: bool  # report on standard error
    columns: str | None = None  # of a table: those of files and of labels


@dataclass(frozen=True)
class Dataset:
    """A labelled set of preprocessed images.

    images: (N, S, S) uint8, ink 255 on paper 0, or (N, S, S, 3), from `Preprocessing.apply`.
    labels: (N,) int64, indices into `class_names`. files: each image's name in its source, if any.
    source_train: number of the source's own training images, which come first, or None where the
    source has no test set of its own. source_val: number of its validation images, which follow.
    skipped: (file, reason) of each unreadable image, left out on request.
    left_out: (path, reason) of everything else in the source that was not read.
    remarks: lines on what of its pictures was not read: colours, later pages.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    files: tuple[str, ...] = ()
    source_train: int | None = None
    source_val: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each image; see `name_of`."""
        return tuple(map(self.name_of, range(len(self))))

    def name_of(self, number: int) -> str:
        """The name of an image: its file, or where there is none its class and place."""
        unnamed = f"{self.class_names[self.labels[number]]}#{number}"
        return self.files[number] if self.files else unnamed

    @cached_property
    def blank(self) -> tuple[str, ...]:
        """The names of the pictures without ink, which are all 0; in colour that says nothing."""
        if self.images.ndim == 4 or not isinstance(self.images, np.ndarray):
            return ()
        names = self.names
        return tuple(names[i] for i in np.flatnonzero(~self.images.any((1, 2))))


def check_class_names(
    model_names: tuple[str, ...], dataset: Dataset, some: bool = False
) -> np.ndarray:
    """The data set's labels (N,) as outputs of a model; InputError for a class it does not know.

    some: whether knowing some classes is enough; the labels of the others are -1.
    """
    places = {name: place for place, name in enumerate(model_names)}
    unknown = [name for name in dataset.class_names if name not in places]
    if unknown and not (some and len(unknown) < len(dataset.class_names)):
        known = f"{', '.join(model_names[:4])} ... ({len(model_names)} classes)"
        problem = f"the model knows no class {unknown[0]!r}; it was trained on {known}"
        raise InputError(f"{dataset.name}: {problem}")
    order = np.array([places.get(name, -1) for name in dataset.class_names])
    return np.asarray(order[dataset.labels])
