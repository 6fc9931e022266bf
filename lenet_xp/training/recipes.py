"""Named ways to train: everything that decides the outcome of a run but its data and seed."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from lenet_xp.data.augment import Distortion
from lenet_xp.layers import ACTIVATIONS
from lenet_xp.ops import Array, Ops
from lenet_xp.optim import SGD, Adam
from lenet_xp.schedules import SCHEDULES, Schedule
from lenet_xp.system.text import nearest

LARGEST_BATCH = 100_000
MOST_EPOCHS = 100_000
OVERSHOOT = 0.5  # share of every parameter that decay alone takes in a step: above it, all is lost
OPTIMISERS = ("sgd", "momentum", "nesterov", "adam", "adamw")


@dataclass(frozen=True)
class Recipe:
    """Network options, optimiser, schedule and distortion under a name.

    learning_rate is the schedule's peak; momentum counts for `momentum` and `nesterov` only.
    averaging: momentum of the running mean of the weights that is judged and kept; 0 for none.
    Raises ValueError for values that cannot be trained with.
    """

    name: str
    epochs: int
    batch_size: int = 64
    activation: str = "tanh"
    squash_pools: bool = True
    optimiser: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"
    averaging: float = 0.0
    distortion: Distortion | None = None

    def __post_init__(self) -> None:
        choices = {"activation": ACTIVATIONS, "optimiser": OPTIMISERS, "schedule": SCHEDULES}
        for field, known in choices.items():
            if getattr(self, field) not in known:
                raise ValueError(f"{field} must be one of {', '.join(known)}")
        for field, highest in (("epochs", MOST_EPOCHS), ("batch_size", LARGEST_BATCH)):
            value = getattr(self, field)
            if type(value) is not int or not 1 <= value <= highest:
                raise ValueError(f"{field} must be a whole number from 1 to {highest:,}")
        if not 0.0 < self.learning_rate < float("inf"):
            raise ValueError("learning_rate must be a positive number")
        for field in ("momentum", "averaging"):
            if not 0.0 <= getattr(self, field) < 1.0:
                raise ValueError(f"{field} must lie in [0, 1)")
        if self.optimiser == "nesterov" and not self.momentum:
            raise ValueError("momentum must be above 0 for Nesterov's method")
        if not 0.0 <= self.weight_decay < float("inf"):
            raise ValueError("weight_decay must not be negative")

    def with_options(self, **options: Any) -> "Recipe":
        """A copy with the options that are not None in place of its own."""
        return replace(self, **{k: v for k, v in options.items() if v is not None})

    def make_optimiser(self, ops: Ops, values: Array, gradients: Array) -> SGD | Adam:
        """The recipe's optimiser over a model's flat vectors."""
        vectors, decay = (ops, values, gradients), self.weight_decay
        if self.optimiser in ("adam", "adamw"):
            return Adam(*vectors, weight_decay=decay, decoupled=self.optimiser == "adamw")
        momentum = 0.0 if self.optimiser == "sgd" else self.momentum
        return SGD(*vectors, momentum, self.optimiser == "nesterov", decay)

    def make_schedule(self, steps: int) -> Schedule:
        """The recipe's learning rate over a run of so many steps."""
        return SCHEDULES[self.schedule](self.learning_rate, steps)

    def excess(self, rate: float) -> str:
        """What to change where the parameters ran away at a learning rate."""
        if rate * self.weight_decay > OVERSHOOT and self.weight_decay > rate:
            return f"weight_decay {self.weight_decay:g} is too high; try a tenth of it"
        return f"the learning rate {rate:g} is too high; try a tenth of it"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the run record."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Recipe":
        """The recipe that `to_dict` wrote down, or an earlier version's with `label_smoothing` 0.

        TypeError or ValueError for anything else.
        """
        if not isinstance(values, dict):
            raise TypeError(f"a recipe is a table of names and values, not {values!r:.40}")
        values = dict(values)
        smoothing = values.pop("label_smoothing", 0.0)
        if smoothing != 0.0:
            raise ValueError(f"label_smoothing {smoothing!r:.40}: labels are no longer smoothed")
        distortion = values.get("distortion")
        made = None if distortion is None else Distortion.from_dict(distortion)
        return Recipe(**values | {"distortion": made})


CLASSIC = Recipe(name="classic", epochs=10)
BEST = Recipe(
    name="best",
    epochs=60,
    activation="relu",
    squash_pools=False,
    optimiser="adamw",
    learning_rate=4e-3,
    weight_decay=0.01,
    schedule="one-cycle",
    distortion=Distortion(rotation=7.0, shear=0.12, scale=0.08, shift=1.2, elastic=0.9),
)
RECIPES = {recipe.name: recipe for recipe in (CLASSIC, BEST)}


def named_recipe(recipe: str | Recipe) -> Recipe:
    """The recipe of that name, or the recipe given. Raises ValueError for anything else."""
    if isinstance(recipe, str) and recipe in RECIPES:
        return RECIPES[recipe]
    if isinstance(recipe, Recipe):
        return recipe
    hint = f"; {nearest(recipe, list(RECIPES))}" if isinstance(recipe, str) else ""
    raise ValueError(f"recipe must be {' or '.join(RECIPES)}, not {recipe!r:.60}{hint}")
