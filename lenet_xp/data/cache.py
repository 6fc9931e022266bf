"""Preprocessed data sets kept on disk, so that they are prepared once and not on every run."""

import hashlib
import json
import os
import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from lenet_xp.data.dataset import MAX_IMAGES, Dataset
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.npz_file import open_npz
from lenet_xp.system.opencv import cv2
from lenet_xp.system.text import problem_with

FORMAT = 1
LARGEST = MAX_IMAGES * 1024  # bytes of an array

# The rooms that decide the pixels. The text of every module in them is part of the key, so that a
# changed preprocessing never meets images that an older one left.
_ROOMS = ("data", "pictures")


def cache_folder() -> Path:
    """$LENET_XP_CACHE, or lenet_xp in $XDG_CACHE_HOME or ~/.cache; it can be deleted any time."""
    if chosen := os.environ.get("LENET_XP_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lenet_xp"


def cache_path(fingerprint: str, preprocessing: Preprocessing, skip_bad: bool) -> Path:
    """Where a source of that content, preprocessed in that way, is or would be kept."""
    parameters = preprocessing.to_dict()
    del parameters["mean"], parameters["std"]  # applied later, on the way into the network
    code = _source_text()
    key = json.dumps([FORMAT, fingerprint, parameters, skip_bad, cv2.__version__], sort_keys=True)
    return cache_folder() / f"{hashlib.sha256(key.encode() + code).hexdigest()[:32]}.npz"


@cache
def _source_text() -> bytes:
    """The text of every module in the rooms, in the order of their names."""
    modules = (
        file
        for room in _ROOMS
        for file in sorted(files("lenet_xp").joinpath(room).iterdir(), key=lambda file: file.name)
        if file.name.endswith(".py")
    )
    return b"".join(module.read_bytes() for module in modules)


def read_cache(path: Path) -> Dataset | None:
    """The data set kept at `path`, or None where there is none or it is damaged.

    The file is a plain zip, whose checksums are verified while it is read, and holds no pickle.
    """
    try:
        with open_npz(path) as stored:
            images, labels, about = (
                stored[name].read(LARGEST) for name in ("images", "labels", "about")
            )
        about = json.loads(bytes(about))
        dataset = Dataset(
            name=about["name"],
            images=images,
            labels=labels,
            class_names=tuple(about["class_names"]),
            files=tuple(about["files"]),
            source_train=about["source_train"],
            skipped=tuple((file, reason) for file, reason in about["skipped"]),
        )
        return dataset if _is_whole(dataset) else None
    except Exception:  # also where one byte of it has changed: it is made again
        return None


def _is_whole(dataset: Dataset) -> bool:
    """Whether all is of the kinds that `write_cache` is given."""
    images, labels, classes = dataset.images, dataset.labels, len(dataset.class_names)
    own_test = dataset.source_train
    return (
        images.dtype == np.uint8
        and labels.dtype == np.int64
        and images.ndim == 3
        and images.shape[1] == images.shape[2]
        and labels.shape == (len(images),)
        and labels.size > 0
        and 0 <= labels.min() <= labels.max() < classes
        and len(dataset.files) in (0, len(images))
        and (own_test is None or (type(own_test) is int and 0 <= own_test <= len(images)))
        and problem_with(dataset.class_names) is None
        and all(isinstance(text, str) for text in (dataset.name, *dataset.files))
        and all(isinstance(text, str) for pair in dataset.skipped for text in pair)
    )


def write_cache(path: Path, dataset: Dataset) -> None:
    """Keep a data set at `path`; where that cannot be written, do nothing.

    It is written beside its place and then moved there, so that no reader meets half a file.
    """
    about = {
        "name": dataset.name,
        "class_names": dataset.class_names,
        "files": dataset.files,
        "source_train": dataset.source_train,
        "skipped": dataset.skipped,
    }
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            temporary = Path(file.name)
            np.savez(file, images=dataset.images, labels=dataset.labels, about=text)
        temporary.replace(path)
    except OSError:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
