"""A .npz file in Keras' layout: x_train, y_train, x_test, y_test and optional class_names."""

import math
from pathlib import Path

import numpy as np

from lenet_xp.data.account import remarks_on
from lenet_xp.data.dataset import MAX_IMAGES, Dataset, Request
from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import MAX_PIXELS, MIN_SIDE
from lenet_xp.pictures.levels import has_colours
from lenet_xp.pictures.many import Admit, prepare
from lenet_xp.system.npz_file import LazyArray, open_npz
from lenet_xp.system.text import problem_with, reason_of

MAX_VALUES = 400_000_000  # bytes: values of all pictures together
ASKED = 16  # pictures of an array: they tell whether it is in colour
MAX_NAMES = 4 * 2**20  # bytes: the array of class names

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_NAMES = "class_names"
_OTHER = "is none of the arrays that Keras' layout has"


def load_npz(request: Request) -> Dataset:
    """The data set of a .npz file, training images first, then the test images.

    x: (N, H, W) or (N, H, W, 1 | 3 | 4), uint8, or floating-point in 0..1 or 0..255.
    y: (N,) or (N, 1) integers from 0 without gaps. class_names: (K,) strings, else the numbers.
    Anything else raises InputError, and so do more than MAX_IMAGES images or MAX_VALUES values.
    """
    path = request.path
    try:
        train, test, labels, class_names, others = _content(path)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # damaged bytes have a dozen ways to go wrong
        reason = reason_of(error, 200)
        raise InputError(f"{path}: is no .npz file that can be read ({reason})") from error

    def picture(index: int, admit: Admit) -> np.ndarray:
        chosen: np.ndarray = train[index] if index < len(train) else test[index - len(train)]
        admit(chosen.size)
        return chosen

    grey = request.preprocessing.channels == 1
    named = {"x_train": train[:ASKED], "x_test": test[:ASKED]} if grey else {}
    images, _ = prepare(len(labels), picture, request.preprocessing, request.name, request.progress)
    return Dataset(
        *(request.name, images, labels, class_names),
        source_train=len(train),
        left_out=tuple((name, _OTHER) for name in sorted(others)),
        remarks=remarks_on([name for name, x in named.items() if has_colours(x)], []),
    )


def _content(
    path: Path,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...], list[str]]:
    """Pictures for training and test as uint8, all labels, the classes, the unused members."""
    with open_npz(path, (*_ARRAYS, _NAMES)) as (arrays, others):
        if missing := [each for each in _ARRAYS if each not in arrays]:
            raise InputError(f"{path}: lacks {', '.join(missing)}; Keras' layout is expected")
        pictures = {f"{path}: {name}": arrays[name] for name in ("x_train", "x_test")}
        for where, x in pictures.items():
            _check_pictures(x, where)  # shapes first, before any values are read
        count = sum(x.shape[0] for x in pictures.values())
        values = sum(math.prod(x.shape) for x in pictures.values())
        if count > MAX_IMAGES or values > MAX_VALUES:
            raise InputError(
                f"{path}: holds {count:,} images of {values:,} values; at most {MAX_IMAGES:,} of "
                f"{MAX_VALUES:,} together are read"
            )
        y_train, y_test = (_labels(arrays, part, path) for part in ("train", "test"))
        class_names = _class_names(arrays, y_train, y_test, path)
        train, test = (_pictures(x, where) for where, x in pictures.items())
        return train, test, np.concatenate([y_train, y_test]), class_names, others


def _check_pictures(x: LazyArray, where: str) -> None:
    shape = x.shape
    if shape[:1] == (0,):
        raise InputError(f"{where}: has shape {shape}, so it holds no picture; give at least one")
    grey_or_colour = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3, 4))
    if not grey_or_colour or min(shape[1:3]) < MIN_SIDE:
        raise InputError(
            f"{where}: has shape {shape}; (N, H, W) or (N, H, W, 1|3|4) of at least {MIN_SIDE} "
            "pixels a side is expected"
        )
    if shape[1] * shape[2] > MAX_PIXELS:
        raise InputError(f"{where}: has shape {shape}; at most {MAX_PIXELS:,} pixels are read")
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise InputError(
            f"{where}: is of {x.dtype}; uint8, or floats of 0..1 or 0..255, are expected"
        )


def _pictures(x: LazyArray, where: str) -> np.ndarray:
    """Checked pictures as uint8; floating-point values up to 1 are scaled to 255."""
    if x.dtype == np.uint8:
        return x.converted(np.uint8, lambda piece: piece)
    low = high = 0.0
    for piece in x.pieces():
        low, high = float(np.minimum(low, piece.min())), float(np.maximum(high, piece.max()))
    if not (low >= 0 and high <= 255):  # also where one of them is NaN
        raise InputError(f"{where}: has values {low:g} to {high:g}; 0..1 or 0..255 is expected")
    scale = 255 if high <= 1 else 1
    return x.converted(np.uint8, lambda piece: np.rint(piece * scale))


def _labels(arrays: dict[str, LazyArray], part: str, path: Path) -> np.ndarray:
    """The labels of one part, checked, as (N,) int64."""
    y, images = arrays[f"y_{part}"], arrays[f"x_{part}"].shape[0]
    shape = y.shape[:1] if y.shape[1:] == (1,) else y.shape
    if len(shape) != 1 or y.dtype.kind not in "iu":
        raise InputError(
            f"{path}: y_{part}: is {y.shape} of {y.dtype}; (N,) or (N, 1) integers are expected"
        )
    if shape[0] != images:
        raise InputError(f"{path}: x_{part} holds {images} images, y_{part} {shape[0]} labels")
    return y.read(8 * MAX_IMAGES).reshape(-1).astype(np.int64)


def _class_names(
    arrays: dict[str, LazyArray], train: np.ndarray, test: np.ndarray, path: Path
) -> tuple[str, ...]:
    """The names of the classes, which the labels must number from 0 without gaps."""
    found = np.unique(train)
    if len(found) < 2 or not np.array_equal(found, np.arange(len(found))):
        raise InputError(
            f"{path}: y_train has labels {found.min()}..{found.max()} of {len(found)} kinds; "
            "two or more, numbered from 0 without gaps, are expected"
        )
    if unknown := sorted(set(test.tolist()) - set(found.tolist())):
        raise InputError(f"{path}: y_test has the label {unknown[0]}, which y_train never has")
    names = tuple(str(each) for each in found)
    if _NAMES in arrays:
        given = arrays[_NAMES]
        fits = given.dtype.kind == "U" and given.shape == found.shape
        names = tuple(str(each) for each in given.read(MAX_NAMES)) if fits else ()
        if len(set(names)) != len(found):
            raise InputError(f"{path}: class_names must be {len(found)} different strings")
    if unfit := problem_with(names):
        raise InputError(f"{path}: {unfit}")
    return names
