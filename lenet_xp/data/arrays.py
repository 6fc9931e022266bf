"""A .npz file of pictures and labels as a data set."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lenet_xp.data.account import LeftOut, remarks_on
from lenet_xp.data.class_folders import ASKED_FOR_COLOURS, natural
from lenet_xp.data.dataset import MAX_IMAGES, Dataset, Request
from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import MAX_PIXELS, MIN_SIDE
from lenet_xp.pictures.levels import has_colours
from lenet_xp.pictures.many import prepare
from lenet_xp.system.npz_file import LazyArray, open_npz
from lenet_xp.system.text import problem_with, reason_of

MAX_VALUES = 400_000_000  # bytes: values of all pictures together
MAX_BYTES = 2**31  # bytes: of the pictures of one part, as they are stored
MAX_NAMES = 4 * 2**20  # bytes: the array of class names
EXACT = 2**53  # whole numbers up to it are exact as floating-point numbers

# The pictures and the labels of each part in a .npz file: as Keras names them, or alone.
_KERAS = (("x_train", "y_train"), ("x_val", "y_val"), ("x_test", "y_test"))
_ALONE = (("x", "y"), ("X", "y"), ("images", "labels"), ("data", "target"))
_NAMES = "class_names"
_OTHER = "is none of the arrays that are read from such a file"
Pairs = Sequence[tuple[LazyArray, LazyArray]]


def load_arrays(request: Request) -> Dataset:
    """The data set of arrays, training images first, then those of validation and of the test.

    Pictures: (N, H, W), (N, H, W, 1 | 3 | 4) or (N, S * S) of any numbers in 0..255, or in 0..1.
    Labels: (N,) or (N, 1) whole numbers or strings, or (N, K) with a single 1 in each row.
    Raises InputError for anything else, and for more than MAX_IMAGES images or MAX_VALUES values.
    """
    path = request.path
    try:
        with _opened(path) as (pairs, names, left_out):
            _check_sizes([x for x, _ in pairs], path)
            labels, class_names = _classes(pairs, names, path)
            parts = [_pictures(x, path) for x, _ in pairs]
    except (InputError, MemoryError):
        raise
    except Exception as error:  # damaged bytes have a dozen ways to go wrong
        reason = reason_of(error, 200)
        raise InputError(f"{path}: is no .npz file that can be read ({reason})") from error
    pictures: list[np.ndarray] = [picture for part in parts for picture in part]

    how = request.preprocessing, request.name, request.progress
    images, _ = prepare(len(labels), pictures.__getitem__, *how)
    grey, starts = request.preprocessing.channels == 1, (x[:ASKED_FOR_COLOURS] for x in parts)
    named = zip(pairs, starts, strict=True)
    return Dataset(
        *(request.name, images, labels, class_names),
        source_train=len(parts[0]) if len(parts) > 1 else None,
        source_val=len(parts[1]) if len(parts) > 2 else 0,
        left_out=left_out,
        remarks=remarks_on([x.name for (x, _), s in named if grey and has_colours(s)], []),
    )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Pairs, LazyArray | None, tuple[LeftOut, ...]]]:
    """Pictures and labels of each part, test last; the classes' names; what else is there."""
    with open_npz(path, ()) as (_, members):
        held = {each.removesuffix(".npy") for each in members}
    pairs = [each for each in _KERAS if each != _KERAS[1] or held.issuperset(each)]
    if held.isdisjoint(("x_train", "x_test")):
        pairs = [each for each in _ALONE if held.issuperset(each)][:1] or pairs
    wanted = [name for pair in pairs for name in pair]
    if missing := [each for each in wanted if each not in held]:
        raise InputError(f"{path}: lacks {', '.join(missing)}; Keras' layout is expected")
    with open_npz(path, (*wanted, _NAMES)) as (arrays, others):
        left_out = tuple((each, _OTHER) for each in sorted(others))
        yield [(arrays[x], arrays[y]) for x, y in pairs], arrays.get(_NAMES), left_out


def _shape(x: LazyArray) -> tuple[int, ...]:
    """The shape of one picture; a row of a square number of values is a square."""
    side = math.isqrt(x.shape[1]) if len(x.shape) == 2 else 0
    return (side, side) if side and side * side == x.shape[1] else x.shape[1:]


def _check_sizes(arrays: Sequence[LazyArray], path: Path) -> None:
    """InputError for pictures that are none, or too many or too large, before any is read."""
    count = values = pixels = 0
    for x in arrays:
        shape = _shape(x)
        grey_or_colour = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
        if not grey_or_colour or min(shape[:2]) < MIN_SIDE or not x.shape[0]:
            expected = f"(N, H, W) or (N, H, W, 1|3|4) of at least {MIN_SIDE} pixels a side"
            problem = f"has shape {x.shape}; a picture or more, {expected}, is expected"
            raise InputError(f"{path}: {x.name}: {problem}")
        if x.dtype.kind not in "buif":
            raise InputError(f"{path}: {x.name}: is of {x.dtype}; numbers are expected")
        count, values = count + x.shape[0], values + math.prod(x.shape)
        pixels = max(pixels, shape[0] * shape[1])
    if count > MAX_IMAGES or values > MAX_VALUES or pixels > MAX_PIXELS:
        most = f"{MAX_IMAGES:,} of {MAX_VALUES:,} together, and of {MAX_PIXELS:,} pixels each"
        held = f"holds {count:,} images of {values:,} values"
        raise InputError(f"{path}: {held}; at most {most}, are read")


def _pictures(x: LazyArray, path: Path) -> np.ndarray:
    """Checked pictures as uint8; numbers up to 1 are scaled to 255."""
    values = x.read(MAX_BYTES)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):  # also where one of them is NaN
        problem = f"has values {low:g} to {high:g}; 0..1 or 0..255 is expected"
        raise InputError(f"{path}: {x.name}: {problem}")
    scale = np.float32(255 if high <= 1 else 1)
    found = np.empty(x.shape, np.uint8)
    for into, picture in zip(found, values, strict=True):  # a copy of all would be large
        into[...] = np.rint(picture * scale)
    return found.reshape(-1, *_shape(x))


def _labels(x: LazyArray, y: LazyArray, path: Path) -> np.ndarray:
    """The labels of pictures, checked, as (N,) int64 or strings."""
    shape = y.shape[:1] if y.shape[1:] == (1,) else y.shape
    if shape[:1] != x.shape[:1]:
        held = f"{x.name} holds {x.shape[0]} images, {y.name} {math.prod(y.shape[:1])} labels"
        raise InputError(f"{path}: {held}")
    values = y.read(MAX_VALUES).reshape(shape)
    if values.dtype.kind == "U" and values.ndim == 1:
        return values
    if values.dtype.kind in "buif" and values.ndim == 2:
        hot = values == 1
        fits = (hot | (values == 0)).all(1) & (hot.sum(1) == 1)
        values = np.where(fits, hot.argmax(1), np.nan)
    numbers = values.dtype.kind in "buif" and values.ndim == 1
    if not numbers or (np.rint(values) != values).any() or (abs(values) > EXACT).any():
        expected = "(N,) or (N, 1) whole numbers or strings, or (N, K) of one 1 in a row"
        raise InputError(f"{path}: {y.name}: is {y.shape} of {y.dtype}; {expected}, are expected")
    return values.astype(np.int64)


def _classes(
    pairs: Pairs, names_of: LazyArray | None, path: Path
) -> tuple[np.ndarray, tuple[str, ...]]:
    """All labels as indices of the classes, and the names of these: training's labels, sorted."""
    given = [_labels(*each, path) for each in pairs]
    found = np.unique(given[0]).tolist()
    found.sort(key=natural if given[0].dtype.kind == "U" else None)
    place = {label: number for number, label in enumerate(found)}
    first, *others = (y.name for _, y in pairs)
    if len(found) < 2:
        raise InputError(f"{path}: {first} has the one label {found[0]!r:.40}; give two or more")
    for labels, name in zip(given[1:], others, strict=True):
        if unknown := sorted(set(labels.tolist()) - place.keys()):
            problem = f"has the label {unknown[0]!r:.40}, which {first} never has"
            raise InputError(f"{path}: {name} {problem}")
    names = tuple(map(str, found))
    if names_of is not None:
        fits = names_of.dtype.kind == "U" and names_of.shape == (len(found),)
        names = tuple(map(str, names_of.read(MAX_NAMES))) if fits else ()
        if len(set(names)) != len(found):
            raise InputError(f"{path}: class_names must be {len(found)} different strings")
    if unfit := problem_with(names):
        raise InputError(f"{path}: {unfit}")
    indices = [place[label] for labels in given for label in labels.tolist()]
    return np.array(indices, np.int64), names
