"""The search from beginning to end: every combination on every inner split, and the choices."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from joblib import Parallel, delayed

from lenet_xp.data.dataset import Dataset
from lenet_xp.training.recipes import Recipe
from studies.search.choice import choose
from studies.search.design import OPTIONS, combinations, with_options
from studies.search.inner import TEST_FOLDS, Inner, inner_splits, score

SHARE = 0.5  # of a recipe's epochs: what ranks options need not train to the end
NAMES = ("options", "unseen", "validating")  # what tells a row from all others

Row = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One run of a search: a recipe, and who trains and validates."""

    options: tuple[str, ...]
    recipe: Recipe
    inner: Inner

    def name(self) -> Row:
        """What tells its row from all others."""
        values = list(self.options), list(self.inner.unseen), self.inner.validating
        return dict(zip(NAMES, values, strict=True))

    def row(self, dataset: Dataset, seed: int) -> Row:
        """Run it."""
        scores = score(dataset, self.inner, self.recipe, seed)
        return self.name() | {"epochs": self.recipe.epochs} | scores


def search(
    dataset: Dataset,
    present: Recipe,
    seed: int = 0,
    workers: int = 1,
    known: Sequence[Row] = (),
    on_row: Callable[[list[Row], int], None] = lambda rows, total: None,
) -> tuple[list[Row], dict[str, Any]]:
    """Try the options on a recipe, in processes of one core each; all rows, and what they choose.

    known: rows of an earlier part of the same search. on_row is called after every run with the
    rows so far, the newest last, and how many there will be.

    The outcome has, for each outer fold, what the runs choose that saw nothing of its writers;
    under "all" what all runs together say; and under "taken" the options that every fold chose: of
    its own writers a fold's judgement can then only have lost an option, never won one.
    """
    splits = inner_splits(dataset)
    trials = [_trial(line, present, split) for line in combinations() for split in splits]
    names = [trial.name() for trial in trials]
    rows = [row for row in known if _name(row) in names]
    met = [_name(row) for row in rows]
    missing = [trial for trial, name in zip(trials, names, strict=True) if name not in met]
    parallel = Parallel(n_jobs=workers, return_as="generator_unordered")
    for row in parallel(delayed(Trial.row)(trial, dataset, seed) for trial in missing):
        rows.append(row)
        on_row(rows, len(trials))
    rows.sort(key=lambda row: names.index(_name(row)))
    blind = [[row for row in rows if fold in row["unseen"]] for fold in range(TEST_FOLDS)]
    choices = [choose(each) for each in blind]
    taken = [name for name in OPTIONS if all(name in each.options for each in choices)]
    folds = [{"fold": fold, **asdict(choice)} for fold, choice in enumerate(choices)]
    return rows, {"folds": folds, "all": asdict(choose(rows)), "taken": taken}


def _trial(on: Sequence[bool], present: Recipe, inner: Inner) -> Trial:
    options = tuple(name for name, each in zip(OPTIONS, on, strict=True) if each)
    recipe = with_options(present, options)
    return Trial(options, recipe.with_options(epochs=max(round(SHARE * recipe.epochs), 1)), inner)


def is_row(value: object) -> bool:
    """Whether a value from a file can be a row: with what tells it from others, and an accuracy."""
    if not isinstance(value, dict) or not set(NAMES) <= set(value):
        return False
    accuracy = value.get("accuracy")
    return isinstance(accuracy, float) and 0 <= accuracy <= 1


def _name(row: Row) -> Row:
    return {name: row[name] for name in NAMES}
