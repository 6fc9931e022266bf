"""The whole search: every combination of options on every inner split, and the choices."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from joblib import Parallel, delayed

from lenet_xp.data.dataset import Dataset
from lenet_xp.training.recipes import Recipe
from studies.search.choice import choose
from studies.search.design import OPTIONS, combinations, with_options
from studies.search.inner import TEST_FOLDS, Inner, inner_splits, score

EPOCH_SHARE = 0.5  # of a recipe's epochs: options can be ranked before training ends
KEYS = ("options", "unseen", "validating")  # fields that identify a row

Row = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One run of a search: a recipe with some options on an inner split."""

    options: tuple[str, ...]
    recipe: Recipe
    inner: Inner

    def name(self) -> Row:
        """Return the fields that identify its row."""
        values = list(self.options), list(self.inner.unseen), self.inner.validating
        return dict(zip(KEYS, values, strict=True))

    def row(self, dataset: Dataset, seed: int) -> Row:
        """Train and return the row of scores."""
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
    """Try the options on a recipe, in processes of one core each; return all rows and the outcome.

    known: rows of an earlier part of the same search. on_row: is called after every run with the
    rows so far, the newest last, and the number of all runs.

    The outcome has under "folds", for each outer fold, the choice of the runs that saw none of its
    writers; under "all" the choice of all runs; under "taken" the options that every fold chose.
    A fold's own writers can therefore remove an option from "taken" but never add one.
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
    return Trial(
        options, recipe.with_options(epochs=max(round(EPOCH_SHARE * recipe.epochs), 1)), inner
    )


def is_row(value: object) -> bool:
    """Return whether a value from a file is a row, with identifying fields and an accuracy."""
    if not isinstance(value, dict) or not set(KEYS) <= set(value):
        return False
    accuracy = value.get("accuracy")
    return isinstance(accuracy, float) and 0 <= accuracy <= 1


def _name(row: Row) -> Row:
    return {name: row[name] for name in KEYS}
