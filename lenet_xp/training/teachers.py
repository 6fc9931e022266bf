"""Distillation: a run's teachers are trained models, whose mean answer its network learns.

Several networks together err less than one, and one can learn most of that from their answers to
the same images (Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network").
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lenet_xp.data.splits import digests
from lenet_xp.errors import InputError
from lenet_xp.model_file import SavedModel
from lenet_xp.ops import Ops
from lenet_xp.training.start import Start, read_start


def read_teachers(
    paths: Sequence[str], ops: Ops, student: SavedModel, unseen: np.ndarray
) -> list[Start]:
    """The models of runs or files that teach a student.

    unseen: validation and test images, of which no teacher may have learned.
    InputError for other classes, another preprocessing or other outputs than the student's, and for
    a teacher that has learned from unseen images.
    """
    teachers = [read_start(_file(path), ops) for path in paths]
    tested = set(digests(unseen))
    for teacher in teachers:
        saved = teacher.saved
        for what, ours, theirs in (
            ("classes", student.class_names, saved.class_names),
            ("preprocessing", student.preprocessing, saved.preprocessing),
            ("outputs", student.model.num_classes, saved.model.num_classes),
        ):
            if ours != theirs:
                raise InputError(
                    f"{saved.name}: cannot teach, for it has other {what} than this run "
                    f"({theirs!s:.80}, not {ours!s:.80}); train it on the same data and split"
                )
        if tested & set(str(saved.notes.get("learned", "")).split()):
            raise InputError(
                f"{saved.name}: cannot teach, for it has learned from images that this run "
                "validates or tests with; train it on the same split and fold"
            )
    return teachers


def _file(path: str) -> Path:
    """The model file of a run's folder, or the file itself."""
    return Path(path) / "model.npz" if Path(path).is_dir() else Path(path)
