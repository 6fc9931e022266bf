"""A recipe with teachers: one command trains them first, and goes on wherever it was stopped."""

import json
import shutil
import signal

import numpy as np
import pytest
from commandline import QUICK, call, letters_folder
from killable import Quiet

from lenet_xp.errors import InputError
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.training import distilled
from lenet_xp.training.checkpoints import Stopped, locked
from lenet_xp.training.distilled import train_distilled
from lenet_xp.training.interrupted import interrupted_run
from lenet_xp.training.plan import Plan
from lenet_xp.training.recipes import read_recipe
from lenet_xp.training.reporter import Epochs

__all__ = ["call"]  # the fixture


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text("epochs = 2\nteachers = 2\nteacher_share = 0.5\n")
    return path


@pytest.fixture
def how(tmp_path, recipe):
    data = letters_folder(tmp_path / "data", 15)
    return "train", "--data", data, "--recipe", recipe, "--out", tmp_path / "run", *QUICK[2:]


def settings(folder):
    return json.loads((folder / "metrics.json").read_text())["config"]


def test_a_recipe_with_teachers_trains_them_first(call, tmp_path, how):
    out, outcome = tmp_path / "run", call(*how)
    assert outcome.status == 0 and "teacher 2 of 2, seed 1002" in outcome.err, outcome.err
    names = [each["model"] for each in settings(out)["teachers"]]
    assert names == ["1/model.npz", "2/model.npz"]
    assert (settings(out)["data_seed"], settings(out / "teachers" / "1")["data_seed"]) == (None, 0)
    epochs = len((out / "history.csv").read_text().splitlines()) - 1
    assert (epochs, settings(out / "teachers" / "1")["recipe"]["epochs"]) == (2, 1)
    first = (out / "teachers" / "1" / "model.npz").read_bytes()
    (out / "metrics.json").unlink()
    (out / "teachers" / "2" / "metrics.json").unlink()
    again = call(*how)
    assert again.status == 0 and "teacher 1 of" not in again.err and "teacher 2 of" in again.err
    assert (out / "teachers" / "1" / "model.npz").read_bytes() == first


OTHERS = (("--seed", 1), ("--epochs", 4), ("--beside", "print:15"), ("--dtype", "float64"))
OTHERS += (("--split", "kfold"), ("--data", "synthetic"), ("--allow-overlap",))


def test_teachers_of_another_run_are_refused_or_replaced(call, tmp_path, how):
    out = tmp_path / "run"
    assert call(*how).status == 0
    call(*how).assert_refused("holds a finished run")
    kept = call(*how, "--overwrite")
    assert kept.status == 0 and "teacher 1" not in kept.err  # the same ones would come out
    (out / "metrics.json").unlink()
    for other in OTHERS:
        call(*how, *other).assert_refused("teachers", "of another run", "--overwrite")
    done = call(*how, "--seed", 1, "--overwrite")
    assert done.status == 0 and "teacher 2 of 2, seed 2002" in done.err
    assert settings(out / "teachers" / "1")["seed"] == 2001
    (out / "metrics.json").unlink()
    for text in ("", "[]", '{"plan": 3}'):
        (out / "teachers" / "plan.json").write_text(text)
        call(*how, "--seed", 1).assert_refused("another run (its plan is lost)")
    assert call(*how, "--overwrite").status == 0
    (out / "metrics.json").unlink()
    (out / "teachers" / "2" / "model.npz").write_bytes(b"PK")
    call(*how).assert_refused("2/model.npz")
    (out / "teachers" / "2" / "model.npz").unlink()
    assert "teacher 2 of 2" in call(*how).err


def stop_after_an_epoch(monkeypatch, folder):
    """Have the run that writes into a folder of that name asked to stop after its first epoch."""
    after_epoch = Epochs.__call__

    def stop(self, row, model):
        after_epoch(self, row, model)
        if self.plan.out.name == folder and row["epoch"] == 1:
            self.timer._request.signum = signal.SIGTERM
            self.timer.after_step(self.timer._latest)

    monkeypatch.setattr(Epochs, "__call__", stop)


@pytest.mark.parametrize("where", ("teacher", "student"))
def test_a_stopped_run_goes_on_by_resume_where_its_folder_now_is(
    call, tmp_path, how, recipe, where, monkeypatch
):
    assert call(*how[:6], tmp_path / "whole", *how[7:]).status == 0
    out = tmp_path / "run"
    stop_after_an_epoch(monkeypatch, "2" if where == "teacher" else "run")
    run = Plan(str(how[2]), read_recipe(recipe), out, threads=1, plots=False)
    out.mkdir()
    with pytest.raises(Stopped, match=f"go on with: lenet-xp train --resume {out}"):
        train_distilled(run, get_ops("numpy"), Quiet(), lambda run: None)
    monkeypatch.undo()
    moved = tmp_path / "moved"
    shutil.move(out, moved)
    outcome = call("train", "--resume", moved)
    assert outcome.status == 0, outcome.err
    assert ("teacher 2 of 2" in outcome.err) == (where == "teacher")
    values = [
        load_model(each / "model.npz", get_ops("numpy")).model.values
        for each in (tmp_path / "whole", moved)
    ]
    assert np.array_equal(*values)
    call("train", "--resume", moved).assert_refused("finished")


def test_teachers_that_have_moved_are_given_again(call, tmp_path, how, monkeypatch):
    names = "one", "two"
    for seed, name in enumerate(names):
        out = "--seed", seed, "--out", tmp_path / name
        assert call("train", "--data", how[2], "--split", "kfold", *QUICK, *out).status == 0
    student = "train", "--data", how[2], "--split", "kfold", "--epochs", 2, *QUICK[2:]
    student += "--out", tmp_path / "run", "--teachers", *(tmp_path / name for name in names)
    stop_after_an_epoch(monkeypatch, "run")
    assert call(*student).status == 143
    monkeypatch.undo()
    (tmp_path / "one").rename(tmp_path / "moved")
    call("train", "--resume", tmp_path / "run").assert_refused("one", "no such file")
    again = "train", "--resume", tmp_path / "run", "--teachers", tmp_path / "two"
    call(*again).assert_refused("two", "not the model that the run began with")
    assert call(*again[:-1], tmp_path / "moved", tmp_path / "two").status == 0


def test_what_cannot_be_is_told_before_the_teachers_are_trained(call, tmp_path, how, monkeypatch):
    out = tmp_path / "run"
    (tmp_path / "few").mkdir()
    few = letters_folder(tmp_path / "few" / "data", 5)
    refused = call(*how[:2], few, *how[3:])
    assert refused.status == 2 and "few/data: too few images for teachers" in refused.err
    assert "teacher 2" not in refused.err and not list(out.rglob("model.npz"))
    shutil.rmtree(out)
    (out / "checkpoints").mkdir(parents=True)
    (out / "checkpoints" / "step-0000000001.npz").write_bytes(b"")
    call(*how).assert_refused("holds an unfinished run")
    shutil.rmtree(out / "checkpoints")
    with locked(out):
        call(*how).assert_refused("another run is writing there")
    (out / "teachers").write_text("")
    call(*how).assert_refused("teachers", "choose another place")


def test_nobody_else_writes_in_the_folder_while_teachers_are_trained(tmp_path, how, monkeypatch):
    seen = []

    def other(plan, *args, **options):
        with pytest.raises(InputError, match="another run is writing"), locked(plan.out.parents[1]):
            pass
        seen.append(plan.out)
        raise Stopped("stopped", signal.SIGINT)

    monkeypatch.setattr(distilled, "train_run", other)
    (tmp_path / "run").mkdir()
    run = Plan(str(how[2]), read_recipe(how[4]), tmp_path / "run")
    with pytest.raises(Stopped, match="go on with"):
        train_distilled(run, get_ops("numpy"), Quiet(), lambda run: None)
    assert [each.name for each in seen] == ["1"]
    assert interrupted_run(tmp_path / "run")[0].recipe.teachers == 2


@pytest.mark.parametrize("stream", ((), ("--stream",)), ids=("held", "stream"))
def test_teachers_and_student_learn_the_same_generated_letters(call, tmp_path, stream):
    recipe = tmp_path / "two.toml"
    recipe.write_text("epochs = 1\nteachers = 2\n")
    how = "--samples", 15, "--recipe", recipe, "--seed", 3, "--out", tmp_path / "run", "--no-plots"
    outcome = call("train", *how, *stream)
    assert outcome.status == 0, outcome.err
    student, *teachers = (
        load_model(tmp_path / "run" / each / "model.npz", get_ops("numpy"))
        for each in ("", "teachers/1", "teachers/2")
    )
    assert len({each.preprocessing for each in (student, *teachers)}) == 1
    assert not np.array_equal(*(each.model.values for each in teachers))
