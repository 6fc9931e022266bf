"""The search: a design that separates effects, splits without test writers, the same rows again."""

import json
from dataclasses import replace

import numpy as np
import pytest
from commandline import call, letters_folder

from lenet_xp.data.dataset import Dataset
from lenet_xp.pictures.image_file import read_image
from lenet_xp.training.loop import FitResult
from lenet_xp.training.recipes import BEST
from studies.search import __main__ as command
from studies.search import inner, run
from studies.search.choice import Choice, choose
from studies.search.design import OPTIONS, combinations, with_options

__all__ = ["call"]  # the fixture

NAMES = list(OPTIONS)
ROW = {"val_accuracy": 0.5, "val_loss": 1.0, "train_accuracy": 0.5, "seconds": 1.0}


def test_the_design_tells_every_option_from_every_pair():
    on = combinations()
    assert on.shape == (8, len(NAMES)) and not on[0].any()
    signs = 1 - 2 * on.astype(int)
    assert np.array_equal(signs.T @ signs, 8 * np.eye(len(NAMES), dtype=int))
    for i in range(len(NAMES)):
        for j in range(i):
            assert not (signs.T @ (signs[:, i] * signs[:, j])).any()


def test_options_change_the_recipe_and_its_distortion():
    recipe = with_options(BEST, ("100 epochs", "weight decay 0.1"))
    assert recipe == replace(BEST, epochs=100, weight_decay=0.1)
    assert with_options(BEST, ()) == BEST
    for option, changes in OPTIONS.items():  # each of them is a change
        assert with_options(BEST, (option,)) != BEST, changes


def screened(effects, noise, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {
            "options": [name for name, each in zip(NAMES, line, strict=True) if each],
            "validating": writers,
            "accuracy": 0.98 - 0.01 * writers + line @ effects + rng.normal(0, noise),
        }
        for line in combinations()
        for writers in (0, 3)
    ]


def test_effects_are_found_with_their_error():
    effects = np.array([2, -1, 0]) / 1000
    exact = choose(screened(effects, 0.0))
    np.testing.assert_allclose(list(exact.effects.values()), effects, atol=1e-12)
    found = [choose(screened(effects, 1e-3, seed)) for seed in range(200)]
    estimates = np.array([list(each.effects.values()) for each in found])
    np.testing.assert_allclose(estimates.mean(axis=0), effects, atol=1e-4)
    error = np.mean([each.error for each in found])
    assert error == pytest.approx(2 * 1e-3 / np.sqrt(16), rel=0.05)  # of two means of eight
    assert error == pytest.approx(estimates.std(axis=0).mean(), rel=0.1)
    for each in found:
        assert each.options == tuple(n for n in NAMES if each.effects[n] > 2 * each.error)


def test_too_few_runs_cannot_tell():
    with pytest.raises(ValueError, match="cannot tell"):
        choose(screened(np.zeros(len(NAMES)), 0.0)[:5])


# Splits and the whole, on twenty writers of three letters


class Sides:
    def __init__(self, test):
        self.test = np.flatnonzero(test)


@pytest.fixture
def letters(monkeypatch):
    """Images of bars by ten writers, two to a fold; the split `seed` tests on every fourth."""
    rng = np.random.default_rng(0)
    count = 300
    images = rng.integers(0, 90, (count, 32, 32), dtype=np.uint8)
    labels = np.arange(count) % 3
    for image, label in zip(images, labels, strict=True):
        image[8 * label + 5 : 8 * label + 9] = 255
    images[200] = images[0]  # the twin of an image that the split `seed` tests on
    writers = np.arange(count) // 30
    places = {"seed": lambda fold: np.arange(count) % 4 == 0}
    places["writer"] = lambda fold: writers // 2 == fold
    monkeypatch.setattr(
        inner, "make_split", lambda dataset, name, fold=0: Sides(places[name](fold))
    )
    return Dataset("letters", images, labels, ("a", "b", "c")), writers // 2


def test_inner_splits_see_nobody_they_leave_out(letters):
    dataset, folds = letters
    splits = inner.inner_splits(dataset)
    assert [split.validating for split in splits] == [0, 1, 2, 3, 4]
    for split in splits:
        used = np.concatenate([split.train, split.val])
        assert len(np.unique(used)) == len(used)
        assert not (used % 4 == 0).any() and 200 not in used
        assert set(folds[split.val]) == {split.validating}
        assert set(folds[split.train]) == set(range(5)) - {split.validating, *split.unseen}
    for fold in range(5):
        assert sum(fold in split.unseen for split in splits) == 2


def test_a_search_repeats_and_goes_on(letters, monkeypatch):
    dataset, _ = letters
    monkeypatch.setattr(run, "combinations", lambda: combinations()[[0, 1, 2]])
    monkeypatch.setattr(run, "choose", lambda rows: Choice({}, 0.0, (NAMES[len(rows) // 8],)))
    quick, seen, again = replace(BEST, epochs=2), [], []
    rows, outcome = run.search(
        dataset, quick, on_row=lambda rows, total: seen.append((len(rows), total))
    )
    assert seen == [(count, 15) for count in range(1, 16)]
    assert {row["epochs"] for row in rows} == {1}
    assert outcome["taken"] == [NAMES[0]]  # what six rows choose, and fifteen do not
    known = [row for place, row in enumerate(rows) if place not in (3, 14)]
    others, same = run.search(
        dataset, quick, workers=2, known=known, on_row=lambda *told: again.append(told)
    )
    assert len(again) == 2 and same == outcome
    assert [{**row, "seconds": 0} for row in others] == [{**row, "seconds": 0} for row in rows]


def test_choices_see_nothing_of_their_fold(letters, monkeypatch):
    """A run of writers that validate in none but its own fold's choice cannot change it."""
    dataset, _ = letters
    asked = []
    monkeypatch.setattr(run, "choose", lambda rows: asked.append(rows) or Choice({}, 0.0, ()))
    splits = inner.inner_splits(dataset)
    rows = [
        run._trial(line, BEST, split).name() | {"epochs": 1, "accuracy": 0.5}
        for line in combinations()
        for split in splits
    ]
    _, outcome = run.search(dataset, BEST, known=rows)
    assert outcome["taken"] == []
    for fold, rows in enumerate(asked[:5]):
        assert len(rows) == 16
        assert all(fold in row["unseen"] and fold != row["validating"] for row in rows)
    assert len(asked[5]) == 40


# The command


def test_other_data_than_amhcd_is_refused_and_leaves_nothing(tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call("search", "--data", letters_folder(tmp_path / "letters"), "--out", "s").assert_refused(
        "writer"
    )
    assert not (tmp_path / "s").exists()


@pytest.mark.filterwarnings("ignore")  # of Dask's own parts
def test_a_cluster_gives_the_same_rows(letters, tmp_path, call, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="needs pip install '.[cluster]'")
    dataset, _ = letters
    monkeypatch.setattr(command, "load_dataset", lambda *_, **options: dataset)
    monkeypatch.setattr(inner, "fit", lambda *_, **options: FitResult([dict(ROW)]))
    arguments = ("search", "--data", "letters", "--epochs", 2, "--out")
    how = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**how) as made:
        done = call(*arguments, tmp_path / "there", "--cluster", made.scheduler_address)
    assert done.status == 0, done.err
    assert call(*arguments, tmp_path / "here", "--workers", 1).status == 0
    there, here = (
        json.loads((tmp_path / n / "search.json").read_text()) for n in ("there", "here")
    )
    assert there["rows"] == here["rows"] and len(here["rows"]) == 40


def test_the_record_of_another_search_is_kept(tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for content, word in (("{}", "no record of a search"), ("x", "no record of a search")):
        (tmp_path / "search.json").write_text(content)
        call("search", "--data", "amhcd.zip", "--out", ".").assert_refused("search.json", word)
        assert (tmp_path / "search.json").read_text() == content


def test_what_a_search_leaves(letters, tmp_path, call, monkeypatch):
    dataset, _ = letters
    monkeypatch.setattr(command, "load_dataset", lambda *_, **options: dataset)
    arguments = ("search", "--data", "letters", "--out", tmp_path, "--epochs", 2, "--workers", 1)
    monkeypatch.setattr(inner, "fit", lambda *_, **options: FitResult([dict(ROW)]))
    assert call(*arguments).status == 0
    record = json.loads((tmp_path / "search.json").read_text())
    assert len(record["rows"]) == 40 and record["present"]["epochs"] == 2
    assert record["outcome"]["taken"] == []  # no run was better than another
    table = (tmp_path / "search.txt").read_text()
    assert all(name in table for name in NAMES) and "yes" not in table
    assert min(read_image(tmp_path / "search.png").shape[:2]) > 100
    other = call("search", "--data", "letters", "--out", tmp_path, "--epochs", 3)
    other.assert_refused("other settings")
    older = json.loads(json.dumps(record))  # as earlier versions, with strengths that are gone
    older["present"]["distortion"] |= dict.fromkeys(("crop", "gain", "gamma", "noise"), 0.0)
    (tmp_path / "search.json").write_text(json.dumps(older))
    assert call(*arguments).status == 0
    assert json.loads((tmp_path / "search.json").read_text())["rows"] == record["rows"]
    for wrong in (1, {}, record["rows"][0] | {"accuracy": "high"}):
        rows = [*record["rows"][1:], wrong]
        (tmp_path / "search.json").write_text(json.dumps(record | {"rows": rows}))
        call(*arguments).assert_refused("no record of a search")
