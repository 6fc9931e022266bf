"""Distillation: a run's teachers are trained models, whose mean answer its network learns.

Several networks together err less than one, and one can learn most of that from their answers to
the same images (Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network").
"""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from lenet_xp.errors import InputError
from lenet_xp.model_file import SavedModel
from lenet_xp.ops import Ops
from lenet_xp.training.doubts import learned_by
from lenet_xp.training.start import Start, read_start


def read_teachers(paths: Sequence[str], ops: Ops) -> list[Start]:
    """The models of runs or files that teach. Raises what `load_model` raises."""
    return [read_start(_file(path), ops) for path in paths]


def check_teachers(teachers: Sequence[Start], student: SavedModel, tested: set[str]) -> None:
    """InputError for teachers of other classes, preprocessing or outputs than the student's.

    tested: digests of validation and test images; so does a teacher that has learned from some.
    """
    for saved in (teacher.saved for teacher in teachers):
        same = "train it on the same data and split"
        for what, ours, theirs, do in (
            ("classes", student.class_names, saved.class_names, same),
            ("preprocessing", vars(student.preprocessing), vars(saved.preprocessing), same),
            ("outputs", student.model.num_classes, saved.model.num_classes, "see --outliers"),
        ):
            if ours != theirs:
                raise InputError(
                    f"{saved.name}: cannot teach, for it has other {what} than this run "
                    f"({_first_difference(theirs, ours)}); {do}"
                )
        if not tested.isdisjoint(learned_by(saved.notes)):
            raise InputError(
                f"{saved.name}: cannot teach, for it has learned from images that this run "
                "validates or tests with; train it on the same split and fold"
            )


def _first_difference(theirs: Any, ours: Any) -> str:
    """The first place where two values differ, if they are of several parts, in words."""
    if isinstance(ours, dict):
        name = next(name for name in ours if theirs[name] != ours[name])
        return f"{name} {theirs[name]!s:.40}, not {ours[name]!s:.40}"
    if isinstance(ours, tuple):
        their, our = next(pair for pair in zip_longest(theirs, ours) if pair[0] != pair[1])
        return f"{their or 'nothing'}, not {our or 'nothing'}"
    return f"{theirs}, not {ours}"


def _file(path: str) -> Path:
    """The model file of a run's folder, or the file itself."""
    return Path(path) / "model.npz" if Path(path).is_dir() else Path(path)
