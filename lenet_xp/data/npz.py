"""A .npz file: arrays as Keras names them, or pictures and labels alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lenet_xp.data.arrays import Arrays
from lenet_xp.errors import InputError
from lenet_xp.system.npz_file import open_npz

# The pictures and the labels of each part.
_KERAS = (("x_train", "y_train"), ("x_val", "y_val"), ("x_test", "y_test"))
_ALONE = (("x", "y"), ("X", "y"), ("images", "labels"), ("data", "target"))
_NAMES = "class_names"
_OTHER = "is none of the arrays that are read from such a file"


@contextmanager
def open_arrays(path: Path) -> Iterator[Arrays]:
    """The arrays of a .npz file, for `load_arrays`."""
    with open_npz(path, ()) as (_, members):
        held = {each.removesuffix(".npy") for each in members}
    pairs = [each for each in _KERAS if each != _KERAS[1] or held.issuperset(each)]
    if held.isdisjoint(("x_train", "x_test")):
        pairs = [each for each in _ALONE if held.issuperset(each)][:1] or pairs
    wanted = [name for pair in pairs for name in pair]
    if missing := [each for each in wanted if each not in held]:
        raise InputError(f"{path}: lacks {', '.join(missing)}; Keras' layout is expected")
    with open_npz(path, (*wanted, _NAMES)) as (arrays, others):
        parts = [(arrays[x], arrays[y]) for x, y in pairs]
        yield Arrays(parts, arrays.get(_NAMES), tuple((each, _OTHER) for each in sorted(others)))
