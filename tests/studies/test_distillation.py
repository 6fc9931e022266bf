"""The choice of a way to teach: blind to the writers that judge it, the same after a stop."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import FOLDS, make_split
from lenet_xp.training.loop import FitResult
from studies import distillation
from studies.distillation import WAYS, outcome_of, trials


@pytest.fixture
def amhcd(shared):
    return load_dataset(shared / "amhcd_64.zip", progress=False)


def records(rng):
    """Made-up records of two splits."""

    def row(way):
        networks = 1 if way.teachers else 5
        return {"way": way.name, "errors": rng.integers(0, 9, (networks, 5)).tolist()}

    return [
        {"images": [500, 0, 400, 300, 200], "rows": [row(way) for way in WAYS]} for _ in range(2)
    ]


@pytest.mark.parametrize("fold", range(FOLDS["writer"]))
def test_a_choice_is_blind_to_its_fold(fold):
    made = records(np.random.default_rng(0))
    other = copy.deepcopy(made)
    for record in other:
        for row in record["rows"]:
            for errors in row["errors"]:
                errors[fold] += 100 * (row["way"] == WAYS[0].name)
    before, after = outcome_of(made), outcome_of(other)
    for name in before["errors"]:
        assert (before["errors"][name] == after["errors"][name]) == (name == str(fold))
    assert before["chosen"][str(fold)] == after["chosen"][str(fold)]


def test_errors_are_shares_of_the_images_that_count():
    made = records(np.random.default_rng(1))
    for record in made:
        for row in record["rows"]:
            row["errors"] = [[5, 0, 4, 3, 2], [5, 0, 4, 3, 2]]
    share = outcome_of(made)["errors"]["2"][WAYS[0].name]
    assert share == pytest.approx(100 * (5 + 3 + 2) / (500 + 300 + 200))


def test_no_network_sees_the_writers_that_judge_it(amhcd, tmp_path):
    made = {trial.name: trial for trial in trials(amhcd, tmp_path)}
    assert len(made) == 4
    for fold in distillation.OUTER:
        trial, test = made[f"fold-{fold}"], make_split(amhcd, "writer", fold).test
        assert not np.intersect1d(np.r_[trial.train, trial.val], test).size
    for trial in made.values():
        assert not np.intersect1d(trial.train, trial.val).size
        for fold in range(FOLDS["writer"]):
            judged = trial.val[trial.judged_in == fold]
            assert np.isin(judged, make_split(amhcd, "writer", fold).test).all()


def test_teachers_are_trained_once_and_teach(amhcd, tmp_path, monkeypatch):
    taught = []

    def fit(model, recipe, train, val, preprocessing, seed, threads, teachers):
        taught.append((len(train[1]), seed, len(teachers)))
        return FitResult()

    monkeypatch.setattr(distillation, "fit", fit)
    monkeypatch.setattr(distillation, "GENERATED", 2)
    chosen = make_split(amhcd, "writer", 1)
    one = next(iter(trials(amhcd, tmp_path)))
    trial = replace(
        one, name="small", train=chosen.train[:80], val=one.val[:60], judged_in=one.judged_in[:60]
    )
    record = trial.record()
    teachers = [(n, 1001 + k, 0) for n in (80, 80 + 2 * 33) for k in range(5)]
    assert sorted(taught) == sorted(
        [*teachers, (80, 0, 5), *[(80 + 2 * 33, 0, n) for n in (5, 0, 5)]]
    )
    assert sum(record["images"]) == 60
    assert [len(row["errors"]) for row in record["rows"]] == [5, 5, 1, 1, 1, 1]
    again = len(taught)
    assert trial.record() == record and len(taught) == again
