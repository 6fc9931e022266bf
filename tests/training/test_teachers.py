"""Distillation: the gradient is that of the teachers' mean answer; runs tell who taught."""

import hashlib
import json

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
from lenet_xp.training.loop import fit
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
    for other in (Sequential(layers, (1, 32, 32), ops), "model.npz"):
        with pytest.raises(ValueError, match="a teacher is a Sequential of the package's own"):
            fit(LeNet5(3, ops=ops), *how, teachers=[other])
    with pytest.raises(ValueError, match="needs teachers"):
        fit(LeNet5(3, ops=ops), "distilled", bars(), bars(12), Preprocessing())


@pytest.mark.parametrize("given", (iter, list), ids=("once", "list"))
def test_teachers_may_be_of_another_dtype_and_come_only_once(given):
    wide, ops, how = get_ops("numpy", "float64"), get_ops("numpy"), (bars(), bars(12))
    found = []
    for kind in (wide, ops):
        teacher = LeNet5(3, ops=kind, seed=5)
        before = teacher.values.copy()
        student = LeNet5(3, ops=ops, seed=9)
        fit(student, ADAM, *how, Preprocessing(), 0, 1, teachers=given([teacher]))
        found.append(student.values.copy())
        assert np.array_equal(teacher.values, before)
    plain = LeNet5(3, ops=ops, seed=9)
    fit(plain, ADAM, *how, Preprocessing(), 0, 1)
    assert_close(ops, found[0], found[1], NETWORK)
    assert not np.allclose(plain.values, found[1], atol=1e-4)


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
    fold = call(*other, "--split", "kfold", "--fold", 1)
    fold.assert_refused("teacher-1", "other preprocessing", "(mean 0.")
    refusing = call(*other, "--split", "kfold", "--outliers", 20)
    refusing.assert_refused("other outputs", "(3, not 4)", "--outliers")
    letters = call("train", *base, "--out", tmp_path / "no", "--teachers", "letters")
    letters.assert_refused("letters", "other classes", "(yab, not yan)")
    lost = call("train", *base, "--out", tmp_path / "no", "--teachers", tmp_path / "lost")
    lost.assert_refused("lost", "no such file")
    assert "images" not in lost.err  # it is told before the data are read
    same = call(*other[:-2], out, *both, "--overwrite", "--out", tmp_path / "teacher-1")
    same.assert_refused("teacher-1", "holds the model to learn from")
    assert not (tmp_path / "no").exists()
