"""Ways to train as TOML files: everything that decides the outcome of a run but its data and seed.

The package's own stand in `lenet_xp/recipes`.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.architecture import Table, describe, layers_of
from lenet_xp.data.augment import Distortion
from lenet_xp.errors import InputError
from lenet_xp.layers import ACTIVATIONS, Rubbish
from lenet_xp.letters.bitmaps import bitmaps_of
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.ops import Array, Ops
from lenet_xp.optim import SDLM, SGD, Adam, Optimiser
from lenet_xp.pictures.preprocess import CHANNELS, Preprocessing
from lenet_xp.schedules import SCHEDULES, Schedule
from lenet_xp.system.files import FilePath
from lenet_xp.system.text import known_values, nearest, reason_of

LARGEST_BATCH = 100_000
MOST_TEACHERS = 20
MOST_EPOCHS = 100_000
OVERSHOOT = 0.5  # share of every parameter that decay alone takes in a step: above it, all is lost
SIDES = (8, 128)  # pixels
MAX_FILE = 2**16  # bytes
LENET5_OPTIONS = ("activation", "squash_pools")
FORMER = ("label_smoothing", "averaging")  # fields of earlier versions
OPTIMISERS = ("sgd", "momentum", "nesterov", "adam", "adamw", "sdlm")


@dataclass(frozen=True)
class Recipe:
    """Network, optimiser, schedule and distortion under a name.

    network: the tables of its layers (`architecture.py`). Without them it is LeNet-5, which takes
    grey images of 32 x 32; activation and squash_pools are options of LeNet-5 alone.
    size: side of the images in pixels. channels: 3 keeps their colours, 1 makes grey levels.
    teachers: networks that are trained first, for one that learns from their mean answer.
    teacher_share: each of them trains for this share of the epochs.
    levels: what paper and full ink are to the network; by default the training pixels get the mean
    0 and the deviation 1.
    learning_rate is the schedule's peak; momentum counts for `momentum` and `nesterov` only.
    Raises ValueError for values that cannot be trained with.
    """

    name: str
    epochs: int
    batch_size: int = 64
    activation: str = "tanh"
    squash_pools: bool = True
    network: tuple[Table, ...] | None = None
    size: int = 32
    channels: int = 1
    levels: tuple[float, float] | None = None
    optimiser: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"
    distortion: Distortion | None = None
    teachers: int = 0
    teacher_share: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kind = getattr(self, field.name), field.type
            number = kind is float and type(value) is int and abs(value) < 2**53
            if kind in (str, bool, float) and type(value) is not kind and not number:
                raise ValueError(f"{field.name} cannot be {value!r:.40}")
        choices = {"activation": ACTIVATIONS, "optimiser": OPTIMISERS, "schedule": SCHEDULES}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}")
        whole = {"epochs": (1, MOST_EPOCHS), "batch_size": (1, LARGEST_BATCH), "size": SIDES}
        whole["teachers"] = 0, MOST_TEACHERS
        for name, (lowest, highest) in whole.items():
            if type(getattr(self, name)) is not int or not lowest <= getattr(self, name) <= highest:
                raise ValueError(f"{name} must be a whole number from {lowest} to {highest:,}")
        if not 0.0 < self.teacher_share <= 1.0:
            raise ValueError("teacher_share must lie in (0, 1]")
        if not 0.0 < self.learning_rate < float("inf"):
            raise ValueError("learning_rate must be a positive number")
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError("momentum must lie in [0, 1)")
        if self.optimiser == "nesterov" and not self.momentum:
            raise ValueError("momentum must be above 0 for Nesterov's method")
        if not 0.0 <= self.weight_decay < float("inf"):
            raise ValueError("weight_decay must not be negative")
        if self.optimiser == "sdlm" and self.weight_decay:
            raise ValueError("weight_decay must be 0 with sdlm")
        pair = isinstance(self.levels, tuple) and [type(n) in (int, float) for n in self.levels]
        if self.levels is not None and (pair != [True] * 2 or not _are_levels(*self.levels)):
            raise ValueError("levels must be two numbers, from -1 to 0 and at least 1 above")
        if not re.fullmatch(r"[\w.+ ,-]{1,60}", self.name) or self.name.startswith("."):
            raise ValueError(f"name must be 1 to 60 letters, digits, - or _, not {self.name!r:.40}")
        self._check_network()

    def _check_network(self) -> None:
        if type(self.channels) is not int or self.channels not in CHANNELS:
            raise ValueError("channels must be 1 or 3")
        if self.network is not None:
            layers_of(self.network, self.preprocessing().input_shape)
        elif (self.size, self.channels) != (32, 1):
            raise ValueError("LeNet-5 takes grey images of 32 x 32; give a network for others")

    def with_options(self, **options: Any) -> "Recipe":
        """A copy with the options that are not None in place of its own."""
        return replace(self, **{k: v for k, v in options.items() if v is not None})

    def make_optimiser(self, ops: Ops, values: Array, gradients: Array) -> Optimiser:
        """The recipe's optimiser over a model's flat vectors."""
        if self.optimiser == "sdlm":
            return SDLM(ops, values, gradients)
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

    def of_teachers(self) -> "Recipe":
        """How its teachers are trained."""
        epochs = max(1, round(self.teacher_share * self.epochs))
        return replace(self, epochs=epochs, teachers=0, teacher_share=1.0)

    def preprocessing(self) -> Preprocessing:
        """What makes pictures into images for its network."""
        made = Preprocessing(size=self.size, channels=self.channels)
        if self.levels is None:
            return made
        paper, ink = self.levels
        return replace(made, mean=-paper / (ink - paper), std=1 / (ink - paper))

    def fitted(self, preprocessing: Preprocessing, images: np.ndarray) -> Preprocessing:
        """A copy that gives the network the levels of the recipe, or of the training images."""
        return preprocessing.fitted(images) if self.levels is None else preprocessing

    def make_network(
        self,
        num_classes: int,
        ops: Ops | None = None,
        *,
        seed: int = 0,
        fused: bool = True,
        rubbish: bool = False,
        class_names: Sequence[str] = (),
    ) -> Sequential:
        """Its network, with new weights; ValueError where it has another number of outputs.

        rubbish: whether it ends with a `Rubbish` layer, if it does not anyway. class_names: codes
        that the recipe leaves out are the bitmaps of these, where all have one.
        """
        how: dict[str, Any] = {"ops": ops, "seed": seed, "fused": fused}
        if self.network is None:
            how |= {"activation": self.activation, "squash_pools": self.squash_pools}
            return LeNet5(num_classes, rubbish=rubbish, **how)
        shape = self.preprocessing().input_shape
        drawn = {"codes": codes} if (codes := bitmaps_of(class_names)) else {}
        tables = [{**drawn, **t} if t["kind"] == "codes" else t for t in self.network]
        layers = layers_of(tables, shape, num_classes)
        if rubbish and not isinstance(layers[-1], Rubbish):
            layers.append(Rubbish())
        return Sequential(layers, shape, **how)

    def with_network(self, network: Sequential) -> "Recipe":
        """A copy that trains a network of these layers. Raises what `describe` raises."""
        shape: tuple[int, ...] = getattr(network, "input_shape", ())
        if len(shape) != 3 or shape[1] != shape[2]:
            raise ValueError(f"network must be a Sequential that takes (1 or 3, S, S), not {shape}")
        tables, (channels, size, _) = describe(network)["layers"], shape
        own: dict[str, Any] = {"network": tuple(tables), "size": size, "channels": channels}
        return replace(self, **own, activation="tanh", squash_pools=True)  # LeNet-5's alone

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the run record."""
        unused = () if self.network is None else LENET5_OPTIONS
        return {name: value for name, value in asdict(self).items() if name not in unused}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Recipe":
        """The recipe that `to_dict` wrote down, or an earlier version's with each of FORMER 0.

        TypeError or ValueError for anything else.
        """
        known = [field.name for field in fields(Recipe)]
        values = known_values("a recipe", values, known, FORMER)
        if missing := {"name", "epochs"} - values.keys():
            raise ValueError(f"{min(missing)} is missing")
        network, distortion = values.get("network"), values.get("distortion")
        if network is not None:
            if both := sorted(set(LENET5_OPTIONS) & values.keys()):
                raise ValueError(f"{both[0]} is an option of LeNet-5; leave it out or the network")
            values["network"] = tuple(network) if isinstance(network, list) else network
        values |= {k: tuple(v) for k, v in values.items() if k == "levels" and isinstance(v, list)}
        made = None if distortion is None else Distortion.from_dict(distortion)
        return Recipe(**values | {"distortion": made})

    def as_toml(self) -> str:
        """The text of a recipe file."""
        values = {name: each for name, each in self.to_dict().items() if each is not None}
        distortion = values.pop("distortion", {})
        lines = [f"{name} = {_toml(value)}" for name, value in values.items()]
        if distortion:
            lines += ["", "[distortion]", *(f"{k} = {_toml(v)}" for k, v in distortion.items())]
        return "\n".join(lines) + "\n"


def _are_levels(paper: float, ink: float) -> bool:
    return -1 <= paper <= 0 and 1 <= ink - paper < float("inf")


def _toml(value: Any) -> str:
    """A value of a TOML file; a list of tables has a line for each."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        tables = value and isinstance(value[0], Mapping)
        start, between, end = ("\n  ", ",\n  ", ",\n") if tables else ("", ", ", "")
        return f"[{start}{between.join(map(_toml, value))}{end}]"
    return json.dumps(value, ensure_ascii=False)


def read_recipe(path: FilePath) -> Recipe:
    """The recipe of a TOML file; its name is the file's unless it says another.

    Raises InputError for a file that cannot be read or holds something else.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_FILE + 1)
        if len(text) > MAX_FILE:
            raise InputError(f"{path}: is too large for a recipe")
        return Recipe.from_dict({"name": Path(path).stem} | tomllib.loads(text.decode("utf-8-sig")))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (TypeError, ValueError, RecursionError) as error:  # also of what is no TOML
        raise InputError(f"{path}: is no recipe: {reason_of(error, 300)}") from error


FOLDER = Path(__file__).parents[1] / "recipes"
RECIPES = {
    name: read_recipe(FOLDER / f"{name}.toml")
    for name in ("classic", "best", "fine-tune", "distilled", "1998")
}
CLASSIC, BEST, FINE_TUNE, DISTILLED, PUBLISHED = RECIPES.values()


def named_recipe(recipe: FilePath | Recipe) -> Recipe:
    """The recipe given, of that file or, where there is none, of that name.

    Raises ValueError for anything else, InputError for a file that is no recipe.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, os.PathLike):
        return read_recipe(recipe)
    if isinstance(recipe, str):
        if os.path.isfile(recipe) or recipe.endswith(".toml") or os.sep in recipe:
            return read_recipe(recipe)
        if recipe in RECIPES:
            return RECIPES[recipe]
    hint = f"; {nearest(recipe, list(RECIPES))}" if isinstance(recipe, str) else ""
    raise ValueError(
        f"recipe must be {', '.join(RECIPES)} or a TOML file, not {recipe!r:.60}{hint}"
    )


def lenet5_1998(
    class_names: Sequence[str] = tuple("0123456789"), ops: Ops | None = None, **how: Any
) -> Sequential:
    """LeNet-5 as LeCun et al. 1998 have it in section II.B, which recipes/1998.toml lists.

    It has 60,000 free parameters for any classes. eq: its loss, 9, the default, or 8. The rest of
    how: seed and fused of `Sequential`.
    """
    last = None if how.pop("eq", 9) == 9 else -1
    recipe = replace(PUBLISHED, network=(PUBLISHED.network or ())[:last])
    return recipe.make_network(len(class_names), ops, class_names=class_names, **how)
