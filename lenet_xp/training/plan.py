"""What a run is to do: on which data, by which recipe, with which limits."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lenet_xp.training.recipes import Recipe

MAX_SAMPLES = 10_000  # generated images of each letter
MAX_PHOTOS = 20  # of each letter
MAX_THREADS = 256


@dataclass(frozen=True)
class Plan:
    """What to train on what, and where to put it.

    fused: whether runs of layers are computed as one (`fused.py`), or every layer by its own
    methods. graph: whether steps are captured once and repeated, or computed anew each time.
    """

    data: str
    recipe: Recipe
    out: Path
    seed: int = 0
    samples_per_class: int = 400
    photos: int = 0
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
        plan = Plan(**values | {"recipe": recipe, "out": Path(values["out"])})
        for field in fields(Plan):
            kind: Any = field.type  # the type itself: annotations of this file are no strings
            value = getattr(plan, field.name)
            if not isinstance(value, kind):
                raise TypeError(f"{field.name} of a plan cannot be {value!r:.40}")
        whole = (
            (plan.samples_per_class, 1, MAX_SAMPLES),
            (plan.photos, 0, MAX_PHOTOS),
            (1 if plan.threads is None else plan.threads, 1, MAX_THREADS),
        )
        if plan.seed < 0 or not all(low <= value <= high for value, low, high in whole):
            raise ValueError("a plan's seed, samples, photos or threads are out of range")
        return plan
