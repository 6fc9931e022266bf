"""What a run is to do: on which data, by which recipe, with which limits."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lenet_xp.data.splits import MAX_SAMPLES as MAX_SAMPLES
from lenet_xp.system.workers import MAX_THREADS as MAX_THREADS
from lenet_xp.training.recipes import Recipe

MOST_STREAMED = 1_000_000  # generated images of each letter, of a stream
MAX_PHOTOS = 20  # of each letter
MAX_OUTLIERS = 100_000  # generated pictures of none of the classes


def check_beside(word: str) -> str:
    """The word, if it is a source and how many samples of each class; else ValueError."""
    source, _, samples = word.rpartition(":")
    if not source or not samples.isdecimal() or not 1 <= int(samples) <= MAX_SAMPLES:
        raise ValueError(f"{word!r:.60} is no source and number, as in print:200")
    return word


@dataclass(frozen=True)
class Plan:
    """What to train on what, and where to put it.

    data_seed: of generated letters, where it is not `seed`: a student and its teachers share them.
    stream: whether the training images are made anew in each epoch, and not held.
    beside: other sources to learn from as well, with samples of each class, as in "print:200".
    outliers: generated pictures of none of the classes, for a network that is to refuse such.
    teachers: runs or model files whose mean answers are learned in place of labels.
    start: the model file that the run starts from. freeze: whether the parameters up to the last
    convolution keep their values.
    fused: whether runs of layers are computed as one (`fused.py`), or every layer by its own
    methods. graph: whether steps are captured once and repeated, or computed anew each time.
    """

    data: str
    recipe: Recipe
    out: Path
    columns: str | None = None
    seed: int = 0
    data_seed: int | None = None
    samples_per_class: int = 400
    stream: bool = False
    photos: int = 0
    beside: tuple[str, ...] = ()
    outliers: int = 0
    teachers: tuple[str, ...] = ()
    start: str | None = None
    freeze: bool = False
    split: str | None = None
    fold: int = 0
    allow_overlap: bool = False
    skip_bad: bool = False
    cache: bool = True
    plots: bool = True
    threads: int | None = None
    backend_requested: str = "auto"
    fused: bool = True
    graph: bool = True
    overwrite: bool = False
    resume: bool = False
    checkpoint_every: float = 10.0  # seconds

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return asdict(self) | {"recipe": self.recipe.to_dict(), "out": str(self.out)}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Plan":
        """The plan that `to_dict` wrote down.

        Raises KeyError, TypeError or ValueError for anything else.
        """
        recipe = Recipe.from_dict(values["recipe"])
        own = {
            "recipe": recipe,
            "out": Path(values["out"]),
        }
        own |= {name: tuple(values[name]) for name in ("beside", "teachers")}
        plan = Plan(**values | own)
        for word in plan.beside:
            check_beside(word)
        for field in fields(Plan):
            kind: Any = field.type  # the type itself: annotations of this file are no strings
            value = getattr(plan, field.name)
            kind = tuple if field.name in ("beside", "teachers") else kind
            if not isinstance(value, kind):
                raise TypeError(f"{field.name} of a plan cannot be {value!r:.40}")
        whole = (
            (plan.samples_per_class, 1, MOST_STREAMED if plan.stream else MAX_SAMPLES),
            (plan.photos, 0, MAX_PHOTOS),
            (plan.outliers, 0, MAX_OUTLIERS),
            (1 if plan.threads is None else plan.threads, 1, MAX_THREADS),
        )
        if plan.seed < 0 or not all(low <= value <= high for value, low, high in whole):
            raise ValueError("a plan's seed, samples, photos or threads are out of range")
        return plan
