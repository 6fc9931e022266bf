"""What every data source yields: images, integer labels and the names behind them."""

from dataclasses import dataclass

import numpy as np


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
