"""The search from beginning to end: screening, a choice for every outer fold, confirmation."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from joblib import Parallel, delayed

from lenet_xp.data.dataset import Dataset
from lenet_xp.recipes import Recipe
from lenet_xp.search.choice import Choice, choose, means
from lenet_xp.search.design import OPTIONS, combinations, with_options
from lenet_xp.search.inner import TEST_FOLDS, Inner, confirming_splits, score, screening_splits

SCREENING_SHARE = 0.7  # of a recipe's epochs: enough to rank, and a third of the time saved
OUTCOMES = (
    "epochs",
    "accuracy",
    "loss",
    "train_accuracy",
    "seconds",
)  # of a row; the rest names it


@dataclass(frozen=True)
class Trial:
    """One run of a search: a recipe, and who trains and validates."""

    stage: str
    options: tuple[str, ...]
    recipe: Recipe
    inner: Inner

    def key(self) -> dict:
        """What tells its row from all others."""
        return {
            "stage": self.stage,
            "options": list(self.options),
            "unseen": list(self.inner.unseen),
            "validating": self.inner.validating,
        }

    def row(self, dataset: Dataset, seed: int) -> dict:
        """Run it."""
        scores = score(dataset, self.inner, self.recipe, seed)
        return self.key() | {"epochs": self.recipe.epochs} | scores


def search(
    dataset: Dataset,
    present: Recipe,
    seed: int = 0,
    workers: int = 1,
    known: Sequence[dict] = (),
    on_row: Callable[[list[dict], int, int], None] = lambda rows, done, total: None,
) -> tuple[list[dict], dict]:
    """Try the options on a recipe, in processes of one core each; all rows, and what they choose.

    known: rows of an earlier part of the same search. on_row is called after every run with all
    rows so far, and how many of the present stage are done, of how many.

    What is chosen for an outer fold has seen nothing of its writers: the options are chosen on the
    screening runs that left the fold out, and compared with the present recipe, at its whole
    length, on further runs that left it out.
    """
    splits = screening_splits(dataset)
    trials = [
        _trial("screening", options, present, inner, SCREENING_SHARE)
        for options in _option_sets()
        for inner in splits
    ]
    screened = _complete(dataset, trials, seed, workers, known, [], on_row)
    choices = [choose(_blind_to(screened, fold)) for fold in range(TEST_FOLDS)]
    trials = [
        _trial("confirming", options, present, inner)
        for fold, choice in enumerate(choices)
        for inner in confirming_splits(dataset, fold)
        for options in dict.fromkeys(((), choice.options))
    ]
    confirmed = _complete(dataset, trials, seed, workers, known, screened, on_row)
    folds = [
        {"fold": fold, **_verdict(choice, _blind_to(confirmed, fold))}
        for fold, choice in enumerate(choices)
    ]
    return screened + confirmed, {"folds": folds, "all": asdict(choose(screened))}


def _option_sets() -> list[tuple[str, ...]]:
    return [
        tuple(name for name, on in zip(OPTIONS, line, strict=True) if on) for line in combinations()
    ]


def _trial(
    stage: str, options: tuple[str, ...], present: Recipe, inner: Inner, share: float = 1.0
) -> Trial:
    recipe = with_options(present, options)
    epochs = max(round(share * recipe.epochs), 1)
    return Trial(stage, options, recipe.with_options(epochs=epochs), inner)


def _complete(
    dataset: Dataset,
    trials: list[Trial],
    seed: int,
    workers: int,
    known: Sequence[dict],
    before: list[dict],
    on_row: Callable[[list[dict], int, int], None],
) -> list[dict]:
    """The rows of trials in their order, those that are known not run again."""
    keys = [trial.key() for trial in trials]
    rows = [row for row in known if _key(row) in keys]
    met = [_key(row) for row in rows]
    missing = [trial for trial, key in zip(trials, keys, strict=True) if key not in met]
    parallel = Parallel(n_jobs=workers, return_as="generator_unordered")
    for row in parallel(delayed(Trial.row)(trial, dataset, seed) for trial in missing):
        rows.append(row)
        on_row(before + rows, len(rows), len(trials))
    return sorted(rows, key=lambda row: keys.index(_key(row)))


def _key(row: dict) -> dict:
    return {name: value for name, value in row.items() if name not in OUTCOMES}


def _verdict(choice: Choice, confirmed: list[dict]) -> dict:
    """A fold's choice, and whether it stands the comparison with the present recipe."""
    accuracy = means(confirmed)
    scores = {"present": accuracy[()], "chosen": accuracy[choice.options]}
    better = scores["chosen"] > scores["present"]
    return asdict(choice) | {"confirmed": scores, "taken": choice.options if better else ()}


def _blind_to(rows: list[dict], fold: int) -> list[dict]:
    """The rows of runs that saw nobody of an outer fold."""
    return [row for row in rows if fold in row["unseen"]]
