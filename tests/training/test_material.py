"""What a run learns from never tests it, whether an image lies beside or comes by a model."""

import json

import numpy as np
import pytest
from commandline import QUICK, call, letters_folder

from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import digests, honest_split
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.training.material import images_beside
from lenet_xp.training.plan import Plan
from lenet_xp.training.recipes import RECIPES

__all__ = ["call"]  # the fixture
KNOWN = "learned from images that this run validates or tests with"


def signs(folder, count, side=48):
    """Class folders of names that are no letters: beside those, no letters are generated."""
    for path in letters_folder(folder, count, side).iterdir():
        path.rename(folder / f"sign {path.name}")
    return folder


@pytest.fixture
def data(tmp_path):
    return signs(tmp_path / "data", 20)


@pytest.fixture
def train(call, tmp_path, data):
    """A training on the folder's first of five folds, or on the data given."""

    def run(out, *options, source=data):
        how = "--data", source, "--split", "kfold", "--recipe", recipe, *QUICK
        return call("train", *how, "--out", tmp_path / out, *options)

    recipe = tmp_path / "levels.toml"
    recipe.write_text("epochs = 1\nlevels = [0.0, 1.0]\n")
    return run


def config(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_images_beside_that_test_the_run_are_left_out_and_a_line_says_so(tmp_path):
    pre, said = Preprocessing(), []
    dataset = load_dataset("synthetic", pre, samples_per_class=15, seed=0)
    split = honest_split(dataset)[0]
    tested = set(digests(dataset.images[np.concatenate([split.val, split.test])]))
    plan = Plan("synthetic", RECIPES["classic"], tmp_path, beside=("synthetic:15", "print:15"))
    own, other = images_beside(plan, dataset, pre, tested, said.append, lambda: None)
    assert tested.isdisjoint(digests(own[0])) and len(own[0]) == len(own[1]) == len(split.train)
    assert len(other[0]) == 33 * 15
    count = len(split.val) + len(split.test)
    assert said == [f"--beside synthetic:15: {count} images validate or test this run; left out"]


@pytest.mark.parametrize("way", ("beside", "through its start", "through its teacher"))
def test_a_teacher_that_knows_test_images_by_any_way_is_refused(train, tmp_path, data, way):
    other = signs(tmp_path / "others" / "data", 24, 40)
    if way == "beside":
        options = "--beside", f"{data}:20"
    else:
        assert train("first", "--fold", 1).status == 0
        word = "--from" if way == "through its start" else "--teachers"
        options = word, tmp_path / "first" / "model.npz"
    assert train("teacher", *options, source=other).status == 0
    refused = train("student", "--teachers", tmp_path / "teacher")
    assert refused.status == 2 and f"cannot teach, for it has {KNOWN}" in refused.err, refused.err


def test_a_start_that_knows_test_images_is_told_and_recorded(train, tmp_path):
    assert train("first", "--fold", 1).status == 0
    start = "--from", tmp_path / "first" / "model.npz"
    outcome = train("second", *start)
    assert outcome.status == 0 and f"WARNING: {start[1]} has {KNOWN}" in outcome.err
    assert "not all of them new" in outcome.out
    assert config(tmp_path / "second")["start"]["met_tested"] is True
    honest = train("third", *start, "--fold", 1)
    assert "WARNING" not in honest.err and "never used before" in honest.out
    assert config(tmp_path / "third")["start"]["met_tested"] is False
    folders = (tmp_path / "third", tmp_path / "first")
    third, first = (load_model(each / "model.npz", get_ops("numpy")) for each in folders)
    assert third.notes["learned"] == first.notes["learned"]


def test_labels_are_judged_without_teachers(call, train, tmp_path, data):
    recipe = tmp_path / "two.toml"
    recipe.write_text("epochs = 1\nlevels = [0.0, 1.0]\nteachers = 2\n")
    assert train("run", "--recipe", recipe).status == 0
    outcome = call("audit", "--data", data, "--model", tmp_path / "run" / "model.npz")
    assert outcome.status == 0, outcome.err
    assert "kfold fold 4: trained" in outcome.err


def test_labels_are_not_judged_from_a_start_that_knows_them(
    call, train, tmp_path, data, monkeypatch
):
    assert train("first").status == 0
    first = tmp_path / "first" / "model.npz"
    monkeypatch.setattr("lenet_xp.training.doubts.MODELS", {"first": first})
    assert train("second", "--from", first).status == 0
    outcome = call("audit", "--data", data, "--model", tmp_path / "second" / "model.npz")
    outcome.assert_refused("second/model.npz", "started from has learned from these images")
