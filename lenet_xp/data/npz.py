"""A .npz file in Keras' layout: x_train, y_train, x_test, y_test, perhaps class_names."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.image_file import MIN_SIDE
from lenet_xp.data.loading import prepare
from lenet_xp.data.preprocess import Preprocessing
from lenet_xp.errors import InputError

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def load_npz(path: Path, name: str, preprocessing: Preprocessing, *, progress: bool) -> Dataset:
    """The data set of a .npz file, training images first, then the test images.

    x: (N, H, W) or (N, H, W, 1 | 3 | 4), uint8, or floating-point in 0..1 or 0..255.
    y: (N,) or (N, 1) integers from 0 without gaps. class_names: (K,) strings, else the numbers.
    Anything else raises InputError.
    """
    arrays = _arrays(path)
    parts, labels = [], []
    for part in ("train", "test"):
        x = _pictures(arrays[f"x_{part}"], f"{path}: x_{part}")
        y = _labels(arrays[f"y_{part}"], f"{path}: y_{part}")
        if len(x) != len(y):
            raise InputError(f"{path}: x_{part} holds {len(x)} images, y_{part} {len(y)} labels")
        parts.append(x)
        labels.append(y)
    class_names = _class_names(arrays, *labels, path)
    train, test = parts

    def picture(index):
        return train[index] if index < len(train) else test[index - len(train)]

    count = len(train) + len(test)
    images, _ = prepare(count, picture, preprocessing, name, progress)
    return Dataset(name, images, np.concatenate(labels), class_names, source_train=len(train))


def _arrays(path):
    """The arrays of the file by name; never a pickle, which could run code of its own."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            missing = [each for each in _ARRAYS if each not in stored]
            if missing:
                raise InputError(f"{path}: lacks {', '.join(missing)}; Keras' layout is expected")
            return {each: stored[each] for each in (*_ARRAYS, "class_names") if each in stored}
    except (
        OSError,
        ValueError,
        EOFError,
        AttributeError,
        TypeError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        MemoryError,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: is no .npz file that can be read ({reason})") from error


def _pictures(x, where):
    """Checked pictures as uint8."""
    grey_or_colour = x.ndim == 3 or (x.ndim == 4 and x.shape[3] in (1, 3, 4))
    if not grey_or_colour or not len(x) or min(x.shape[1:3]) < MIN_SIDE:
        raise InputError(
            f"{where}: has shape {x.shape}; (N, H, W) or (N, H, W, 1|3|4) of at least {MIN_SIDE} "
            "pixels a side is expected"
        )
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind != "f":
        raise InputError(f"{where}: is of {x.dtype}; uint8, or floating-point in 0..1 or 0..255")
    low, high = float(x.min()), float(x.max())
    if not (low >= 0 and high <= 255):  # also where one of them is NaN
        raise InputError(f"{where}: has values {low:g} to {high:g}; 0..1 or 0..255 is expected")
    return np.rint(x * (255 if high <= 1 else 1)).astype(np.uint8)


def _labels(y, where):
    """Checked labels as (N,) int64."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise InputError(f"{where}: is {y.shape} of {y.dtype}; (N,) integers are expected")
    return y.astype(np.int64)


def _class_names(arrays, train, test, path):
    """The names of the classes, which the labels must number from 0 without gaps."""
    found = np.unique(train)
    if len(found) < 2 or not np.array_equal(found, np.arange(len(found))):
        raise InputError(
            f"{path}: y_train has labels {found.min()}..{found.max()} of {len(found)} kinds; "
            "two or more, numbered from 0 without gaps, are expected"
        )
    if test.min() < 0 or test.max() >= len(found):
        raise InputError(f"{path}: y_test has the label {test.max()}, which y_train never has")
    if "class_names" not in arrays:
        return tuple(str(each) for each in found)
    names = arrays["class_names"]
    if names.dtype.kind != "U" or names.shape != found.shape or len(set(names)) != len(names):
        raise InputError(f"{path}: class_names must be {len(found)} different strings")
    return tuple(str(each) for each in names)
