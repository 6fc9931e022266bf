"""Preprocessed data sets kept on disk: each is prepared once, not on every run."""

import hashlib
import json
import os
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import numpy as np
import PIL

from lenet_xp.data.dataset import MAX_IMAGES, Dataset
from lenet_xp.errors import InputError
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.files import atomic_write, make_folder
from lenet_xp.system.npz_file import open_npz
from lenet_xp.system.opencv import cv2

_DECODERS = (cv2.__version__, PIL.__version__)
MAX_ARRAY = MAX_IMAGES * 1024  # bytes: one array of a kept file
_ARRAYS = ("images", "labels", "about")


def cache_folder() -> Path:
    """$LENET_XP_CACHE, or lenet_xp in $XDG_CACHE_HOME or ~/.cache; it can be deleted any time.

    Where there is no home folder either, as in containers, a place where nothing can be kept.
    """
    if chosen := os.environ.get("LENET_XP_CACHE"):
        return Path(chosen)
    place = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not place.is_absolute():  # the standard says to ignore it
        home = Path(os.path.expanduser("~"))  # "~" or "/" where there is none
        is_one = home.is_absolute() and home != Path(home.anchor) and home.is_dir()
        place = home / ".cache" if is_one else Path(os.devnull)
    return place / "lenet_xp"


def cache_path(fingerprint: str, preprocessing: Preprocessing, skip_bad: bool) -> Path:
    """The file of the source with that `Source.fingerprint`, preprocessed so; it may not exist."""
    parameters = preprocessing.to_dict()
    del parameters["mean"], parameters["std"]  # applied later, on the way into the network
    key = json.dumps([fingerprint, parameters, skip_bad, *_DECODERS], sort_keys=True)
    # The modules that decide the pixels: a changed one never reads what an older one left.
    rooms = (files("lenet_xp").joinpath(room) for room in ("data", "pictures"))
    modules = [file for room in rooms for file in room.iterdir() if file.name.endswith(".py")]
    text = b"".join(file.read_bytes() for file in sorted(modules, key=lambda file: file.name))
    digest = hashlib.sha256(key.encode() + text)
    return cache_folder() / f"{digest.hexdigest()[:32]}.npz"


def read_cache(path: Path) -> Dataset | None:
    """The data set kept at `path`; None where there is none, or a checksum of the zip is wrong."""
    try:
        with open_npz(path, _ARRAYS) as (stored, _):
            images, labels, about = (stored[name].read(MAX_ARRAY) for name in _ARRAYS)
        name, class_names, names, (train, val), *accounts, remarks = json.loads(bytes(about))
        skipped, left_out = (tuple((file, why) for file, why in each) for each in accounts)
        texts, told = (tuple(class_names), tuple(names)), tuple(remarks)
        return Dataset(name, images, labels, *texts, train, val, skipped, left_out, told)
    except Exception:  # also where one byte of it has changed: it is made again
        return None


def write_cache(path: Path, dataset: Dataset) -> None:
    """Keep a data set at `path`; where that cannot be written, do nothing."""
    d = dataset
    parts = (d.source_train, d.source_val), d.skipped, d.left_out, d.remarks
    about = json.dumps([d.name, d.class_names, d.files, *parts]).encode()
    with suppress(InputError):
        make_folder(path.parent)
        with atomic_write(path) as file:
            np.savez(file, images=d.images, labels=d.labels, about=np.frombuffer(about, np.uint8))
