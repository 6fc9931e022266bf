"""Fine-tuning: a network that starts from a trained one, keeps its classes and learns new ones.

A network that goes on with new images alone forgets the old ones (McCloskey and Cohen 1989).
Generated letters are therefore learned again beside them: they stand for the letters that the model
was trained on (Robins 1995, "pseudorehearsal").
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lenet_xp.data.dataset import Dataset, check_class_names
from lenet_xp.errors import InputError
from lenet_xp.layers import Linear, Rubbish
from lenet_xp.letters.alphabet import letters
from lenet_xp.model import Sequential
from lenet_xp.model_file import SavedModel, load_model
from lenet_xp.ops import Ops
from lenet_xp.system.files import FilePath
from lenet_xp.training.loop import LabelledImages
from lenet_xp.training.plan import Plan
from lenet_xp.training.recipes import Recipe
from lenet_xp.training.transfer import begin_from

REPLAYED = "synthetic:60", "print:20"  # of each letter that the model knows
REPLAYED_OUTLIERS = 400  # generated pictures of no letter, for a model that refuses such
MIN_SHARE = 0.2  # of what is learned: the run's own data stand in it often enough for that


@dataclass(frozen=True)
class Start:
    """A model that a run starts from, or one that teaches it.

    digest: SHA-256 of its file, in hexadecimal.
    """

    saved: SavedModel
    digest: str

    @property
    def source(self) -> dict[str, str]:
        """The end of the model's path and its digest, for a record."""
        return {"model": "/".join(Path(self.saved.name).parts[-2:]), "sha256": self.digest}

    @property
    def refuses(self) -> bool:
        """Whether the model tells what is none of its classes."""
        return isinstance(self.saved.model.layers[-1], Rubbish)

    @property
    def replayed(self) -> tuple[str, ...]:
        """What is learned again beside the data, as `Plan.beside` names it."""
        known = {letter.name for letter in letters()} & set(self.saved.class_names)
        return REPLAYED if known and self.saved.preprocessing.channels == 1 else ()

    def words(self, names: Sequence[str], train: LabelledImages) -> str:
        """A line: which of a run's classes are new to the model, and which may be forgotten."""
        known = len(self.saved.class_names)
        new, left = ", ".join(names[known:]), [names[i] for i in range(known) if i not in train[1]]
        words = f"; {len(left)} may be forgotten, which no image shows: {', '.join(left)}"
        return f"the model knows {known} classes; new: {new or 'none'}{words * bool(left)}"

    def relabelled(self, dataset: Dataset) -> Dataset:
        """The data with the model's classes, and behind them those that it does not know."""
        known = self.saved.class_names
        names = *known, *(name for name in dataset.class_names if name not in known)
        return replace(dataset, labels=check_class_names(names, dataset), class_names=names)

    def recipe(self, recipe: Recipe) -> Recipe:
        """A copy of a recipe that trains the model's network, with any number of outputs."""
        own = recipe.with_network(self.saved.model)
        tables: list[dict[str, Any]] = [dict(table) for table in own.network or ()]
        tables[-1 - self.refuses].pop("out_features", None)
        return replace(own, network=tuple(tables))

    def kept(
        self, saved: SavedModel, unseen: Sequence[LabelledImages], met: bool, threads: int | None
    ) -> dict[str, Any]:
        """What a run started from, and how both models read unseen images of known classes.

        saved: the run's model. unseen: such images for each generator. met: whether the model to
        start from knows images that validate or test the run.
        """
        before, after = (
            [float((each.as_trained(x, threads).argmax(1) == y).mean()) for x, y in unseen]
            for each in (self.saved, saved)
        )
        known = len(self.saved.class_names)
        count = sum(len(y) for _, y in unseen)
        return {
            **self.source,
            "met_tested": met,
            "new_classes": list(saved.class_names[known:]),
            "generated_images": count,
            "accuracy_before": before,
            "accuracy_after": after,
        }


def read_start(path: FilePath, ops: Ops) -> Start:
    """The model of a file, to start from. Raises what `load_model` raises."""
    saved = load_model(path, ops)
    return Start(saved, hashlib.sha256(Path(saved.name).read_bytes()).hexdigest())


def new_network(
    plan: Plan, start: Start | None, data: str, class_names: Sequence[str], ops: Ops
) -> Sequential:
    """A network to train by a plan, with new parameters or those to start from.

    data: the name of the data set. InputError where the recipe has no network for these classes,
    or another than the model to start from.
    """
    recipe, rubbish = plan.recipe, plan.outliers > 0 or (start is not None and start.refuses)
    if start and not isinstance(last := start.saved.model.layers[-1 - start.refuses], Linear):
        raise InputError(f"{start.saved.name}: ends with {last.name}, not dense; take another")
    try:
        how: dict[str, Any] = {"seed": plan.seed, "fused": plan.fused, "rubbish": rubbish}
        network = recipe.make_network(len(class_names), ops, class_names=class_names, **how)
    except ValueError as error:
        raise InputError(f"{data}: {error}") from error
    if start:
        try:
            begin_from(network, start.saved.model)
        except ValueError as error:
            raise InputError(
                f"recipe {recipe.name} does not fit {start.saved.name}: {error}; leave out --recipe"
            ) from error
    return network
