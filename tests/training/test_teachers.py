"""Distillation: the gradient is that of the teachers' mean answer; runs tell who taught."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from any_network import KINDS
from commandline import QUICK, call, letters_folder
from killable import ADAM, Interrupted, StopsAt, bars
from tolerances import NETWORK, assert_close

from lenet_xp.inference import predict_probabilities
from lenet_xp.layers import Layer
from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.training.batches import Batch
from lenet_xp.training.checkpoints import Checkpoints, State
from lenet_xp.training.loop import fit
from lenet_xp.training.plan import Plan
from lenet_xp.training.recipes import read_recipe
from lenet_xp.training.step import GradientWorker

__all__ = ["call"]  # the fixture


def test_the_gradient_is_that_of_the_mean_answer(ops):
    """Twice, for a capture repeats: against the loss with targets that were worked out before."""
    kind = KINDS["3x3 with padding"]
    student, *teachers = (kind.on(ops, seed=seed) for seed in range(4))
    worker = GradientWorker(student, kind.preprocessing, None, teachers)
    twin = kind.on(ops, seed=0)
    for seed in (0, 1):
        images, labels = kind.data(5, seed)
        losses, hits = ops.zeros((5,)), ops.zeros((5,))
        worker.differentiate(Batch(images, labels), 0.2, losses, hits)
        answers = [predict_probabilities(t, images, kind.preprocessing, 1) for t in teachers]
        targets = ops.asarray(np.mean(answers, axis=0).T.astype(ops.dtype_name))
        x = ops.image_batch(ops.asarray(images), *kind.preprocessing.scale_and_shift())
        logits = twin.forward(x)
        expected, right, slope = SoftmaxCrossEntropy(ops)(
            logits, ops.asarray(labels), 0.2, targets=targets
        )
        twin.backward(slope)
        assert_close(ops, student.gradients, ops.to_host(twin.gradients), NETWORK)
        assert_close(ops, losses, ops.to_host(expected), NETWORK)
        assert_close(ops, hits, ops.to_host(right), NETWORK)


def taught(threads, checkpointer=None, wrong=True):
    """A student of three networks that know better than its labels, which are all 0."""
    ops = get_ops("numpy")
    teachers = []
    for seed in (1, 2, 3):
        teachers.append(LeNet5(3, ops=ops, seed=seed))
        fit(teachers[-1], ADAM.with_options(epochs=6), bars(), bars(12), Preprocessing(), seed, 1)
    student, (images, labels) = LeNet5(3, ops=ops, seed=9), bars()
    given = images, labels * 0 if wrong else labels
    recipe = ADAM.with_options(epochs=6)
    how = (recipe, given, bars(12), Preprocessing(), 0, threads)
    fit(student, *how, checkpointer=checkpointer, teachers=teachers)
    read = predict_probabilities(student, images, Preprocessing(), 1).argmax(1)
    return student.values.copy(), float((read == labels).mean())


@pytest.mark.parametrize("threads", [1, 2])
def test_a_student_learns_from_its_teachers_and_not_from_labels(threads):
    assert taught(threads)[1] > 0.9


def test_a_taught_run_resumes_to_the_bit():
    expected, stops = taught(2)[0], StopsAt(7)
    with pytest.raises(Interrupted):
        taught(2, stops)
    assert np.array_equal(taught(2, StopsAt(None, stops.state))[0], expected)


def test_teachers_that_do_not_fit():
    ops, how = get_ops("numpy"), (ADAM, bars(), bars(12), Preprocessing(), 0, 1)
    with pytest.raises(ValueError, match="a teacher needs"):
        fit(LeNet5(3, ops=ops), *how, teachers=[LeNet5(4, ops=ops)])

    class Mine(Layer):
        def forward(self, x):
            return x

    layers = [*LeNet5(3, ops=ops).layers, Mine()]
    with pytest.raises(ValueError, match="a teacher needs"):
        fit(LeNet5(3, ops=ops), *how, teachers=[Sequential(layers, (1, 32, 32), ops)])


def test_the_command_names_its_teachers_and_refuses_others(call, tmp_path):
    data = letters_folder(tmp_path / "data", 20)
    base = ("--data", data, "--epochs", 4, *QUICK[2:])
    for seed in (1, 2):
        out = tmp_path / f"teacher-{seed}"
        assert call("train", *base, "--seed", seed, "--split", "kfold", "--out", out).status == 0
    both = ("--teachers", tmp_path / "teacher-1", tmp_path / "teacher-2" / "model.npz")
    out = tmp_path / "student"
    outcome = call("train", *base, "--split", "kfold", *both, "--out", out)
    assert outcome.status == 0, outcome.err
    record = json.loads((out / "metrics.json").read_text())["config"]["teachers"]
    files = [tmp_path / f"teacher-{seed}" / "model.npz" for seed in (1, 2)]
    assert [each["sha256"] for each in record] == [
        hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    ]
    assert load_model(out / "model.npz", get_ops("numpy")).notes["teachers"] == record
    plain = tmp_path / "plain"
    assert call("train", *base, "--split", "kfold", "--out", plain).status == 0
    first, second = (load_model(each / "model.npz", get_ops("numpy")) for each in (out, plain))
    assert not np.array_equal(first.model.values, second.model.values)
    other = ("train", *base, "--out", tmp_path / "no", *both)
    call(*other, "--split", "kfold", "--fold", 1).assert_refused("teacher-1", "preprocessing")
    call(*other, "--split", "kfold", "--outliers", 20).assert_refused("teacher-1", "outputs")
    call("train", *base, "--out", tmp_path / "no", "--teachers", "letters").assert_refused(
        "letters", "classes"
    )
    assert not (tmp_path / "no").exists()


def test_a_recipe_with_teachers_trains_them_first(call, tmp_path):
    data, recipe = letters_folder(tmp_path / "data", 15), tmp_path / "two.toml"
    recipe.write_text("epochs = 2\nteachers = 2\nteacher_share = 0.5\n")
    out = tmp_path / "run"
    how = ("--data", data, "--recipe", recipe, "--out", out, *QUICK[2:])
    outcome = call("train", *how)
    assert outcome.status == 0 and "teacher 2 of 2, seed 1002" in outcome.err, outcome.err
    record = json.loads((out / "metrics.json").read_text())
    assert [each["model"] for each in record["config"]["teachers"]] == [
        "1/model.npz",
        "2/model.npz",
    ]
    epochs = len((out / "history.csv").read_text().splitlines()) - 1
    taught = json.loads((out / "teachers" / "1" / "metrics.json").read_text())["config"]
    assert (epochs, taught["recipe"]["epochs"]) == (2, 1)
    first = (out / "teachers" / "1" / "model.npz").read_bytes()
    (out / "metrics.json").unlink()
    (out / "teachers" / "2" / "metrics.json").unlink()
    again = call("train", *how)
    assert again.status == 0 and "teacher 1 of" not in again.err and "teacher 2 of" in again.err
    assert (out / "teachers" / "1" / "model.npz").read_bytes() == first
    (out / "metrics.json").unlink()
    call("train", *how, "--seed", 0, "--epochs", 4).assert_refused("teachers", "another run")
    call("train", *how, "--beside", "print:15").assert_refused("teachers", "another run", "beside")
    (out / "teachers" / "1" / "metrics.json").unlink()
    begun = replace(Plan(str(data), read_recipe(recipe).of_teachers(), out), seed=9).to_dict()
    description = {"plan": begun, "backend": "numpy", "dtype": "float32", "threads": 1}
    Checkpoints(out / "teachers" / "1" / "checkpoints").save(State(1, {}, {}), description)
    call("train", *how).assert_refused("teachers", "another run", "seed")
    with pytest.raises(ValueError, match="needs teachers"):
        fit(LeNet5(3, ops=get_ops("numpy")), "distilled", bars(), bars(12), Preprocessing())


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
