"""None of these: the rubbish class, its threshold, and everybody who says so."""

import json

import numpy as np
import pytest
from commandline import call
from PIL import Image
from sklearn.datasets import load_digits

from lenet_xp.classifier import LeNetClassifier
from lenet_xp.inference import predict_probabilities
from lenet_xp.letters import outliers
from lenet_xp.letters.synthetic import generate
from lenet_xp.model import LeNet5
from lenet_xp.model_file import SavedModel, load_model, save_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.reader import Reader
from lenet_xp.scores.refusal import choose_threshold, refusal
from lenet_xp.training.recipes import Recipe

__all__ = ["call"]  # the fixture
NAMES = ("ya", "yab", "yach", "yad", "yadd")


def saved(threshold: float = 0.0, temperature: float = 1.0) -> SavedModel:
    model = LeNet5(5, rubbish=True, ops=get_ops("numpy"), seed=3)
    how = {"temperature": temperature, "threshold": threshold}
    return SavedModel(model, Preprocessing(), NAMES, {}, **how)


def images(count: int = 7) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32), dtype=np.uint8)


def test_probabilities_leave_what_speaks_for_none_of_the_classes():
    """Against softmax over the logits and a 0, written out."""
    model = saved(temperature=1.7)
    plain = predict_probabilities(model.model, images(), model.preprocessing, 1)
    logits = np.log(plain[:, :5] / plain[:, 5:])  # the last logit is 0
    e = np.exp(np.c_[logits, np.zeros(7)] / 1.7)
    expected = (e / e.sum(1, keepdims=True))[:, :5]
    np.testing.assert_allclose(model.probabilities(images(), 1), expected, atol=1e-6)
    np.testing.assert_allclose(model.as_trained(images(), 1).sum(1), 1, atol=1e-6)
    assert model.model.values.size == LeNet5(5, ops=get_ops("numpy")).values.size


def test_the_threshold_decides_who_is_refused(tmp_path):
    shares = saved().probabilities(images(), 1).sum(1)
    between = float(np.median(shares) + 1e-6)
    save_model(tmp_path / "m.npz", saved(between))
    again = load_model(tmp_path / "m.npz", get_ops("numpy"))
    refused = again.refused(again.probabilities(images(), 1))
    assert refused.tolist() == (shares < between).tolist() and 0 < refused.sum() < 7
    assert not saved().refused(saved().probabilities(images(), 1)).any()


def test_a_refused_reading_names_no_letter_but_keeps_its_alternatives():
    pictures = [np.pad(each, 4, constant_values=255) for each in generate(1)[0][:5]]
    for threshold, refused in ((0.0, False), (1.0, True)):
        reader = Reader(saved(threshold))
        one, many = reader.read(pictures[0]), reader.read_many(pictures)
        assert one.refused == refused and [each.refused for each in many] == [refused] * 5
        assert (one.name == "") == refused and len(one.alternatives) == 5
        assert (one.probability == 0) == refused and not one.blank
        page = reader.read_page(np.pad(pictures[1], 60, constant_values=255))
        assert page.letters and (page.text == "[?]") == refused
        assert page.as_dict(1)["letters"][0]["none_of_these"] == refused


def test_the_command_says_so(call, tmp_path):
    save_model(tmp_path / "m.npz", saved(1.0))
    Image.fromarray(generate(1)[0][3]).save(tmp_path / "a.png")
    arguments = ("predict", str(tmp_path / "a.png"), "--model", str(tmp_path / "m.npz"))
    outcome = call(*arguments)
    assert outcome.status == 0 and "(none of these letters)" in outcome.out
    (result,) = json.loads(call(*arguments, "--json").out)["results"]
    assert result["none_of_these"] and not result["blank"] and result["readings"]


def test_the_threshold_refuses_one_in_two_hundred():
    shares = np.random.default_rng(0).random(10_000)
    assert choose_threshold(shares) == pytest.approx(0.005, abs=1e-3)
    assert choose_threshold(np.ones(100)) == 0.5
    found = refusal(np.array([0.9, 0.4, 0.8]), np.array([0.1, 0.5]), 0.5)
    assert found["letters_refused"] == pytest.approx(1 / 3) and found["others_refused"] == 0.5
    assert found["area_under_roc"] == pytest.approx(5 / 6)  # pairs in the right order


def trained(call, tmp_path, recipe, *options):
    """A small run by a recipe's text: what it printed, and its record."""
    file = tmp_path / "short.toml"
    file.write_text(recipe)
    how = ("--recipe", str(file), "--no-plots", "--out", str(tmp_path / "run"))
    outcome = call("train", *options, *how)
    assert outcome.status == 0, outcome.err
    return outcome.out + outcome.err, json.loads((tmp_path / "run/metrics.json").read_text())


def test_a_run_learns_to_refuse(call, tmp_path):
    recipe = 'epochs = 8\noptimiser = "adam"\nlearning_rate = 0.002\nactivation = "relu"'
    _, record = trained(call, tmp_path, recipe, "--samples", "40", "--outliers", "1500")
    found = record["none_of_these"]
    assert found["area_under_roc"] > 0.8 and found["letters_refused"] < 0.1
    model = load_model(tmp_path / "run/model.npz", get_ops("numpy"))
    assert 0 < model.threshold <= 0.5 and model.threshold == record["threshold"]
    assert len(model.class_names) == 33 and model.model.num_classes == 34


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--beside", "print"), "is no source and number"),
        (("--beside", "print:0"), "is no source and number"),
        (("--beside", "nowhere:5"), "nowhere"),
        (("--outliers", "-1"), "--outliers"),
    ],
)
def test_what_cannot_be_laid_beside_is_named(call, tmp_path, words, said):
    outcome = call("train", "--samples", "20", *words, "--out", str(tmp_path / "run"))
    assert outcome.status == 2 and said in outcome.err.splitlines()[-1]


def test_letters_beside_come_on_top(call, tmp_path):
    options = ("--samples", "20", "--beside", "synthetic:3")
    said, record = trained(call, tmp_path, "epochs = 1", *options)
    assert f"{record['n_train'] + 99:,} training" in said
    assert record["config"]["beside"] == ["synthetic:3"]


def test_the_classifier_refuses_several_at_once():
    digits = load_digits()
    known = digits.target < 5
    few = digits.images[known][:, ::2, ::2][:400]
    four = np.block([[few[:100], few[100:200]], [few[200:300], few[300:]]])
    model = LeNetClassifier(epochs=6, outliers=1500, random_state=0, threads=1)
    model.fit(digits.images[known], digits.target[known])
    assert model.predict_proba(digits.images[:9]).sum(1) == pytest.approx(1)
    assert model.score(digits.images[known], digits.target[known]) > 0.95
    assert model.refused(digits.images[known]).mean() < 0.05
    assert model.refused(four).mean() > 0.3
    plain = LeNetClassifier(Recipe("short", epochs=1), random_state=0, threads=1)
    plain.fit(digits.images[known], digits.target[known])
    assert not plain.refused(digits.images).any()
    step = LeNetClassifier(Recipe("short", epochs=1), outliers=10, random_state=0, threads=1)
    step.partial_fit(digits.images[:60], digits.target[:60], classes=range(10))
    assert not step.refused(digits.images[:60]).any()
    with pytest.raises(ValueError, match="a table"):
        LeNetClassifier(outliers=10).fit(np.zeros((60, 5)), np.arange(60) % 2)


def test_outliers_are_other_pictures_for_another_seed():
    letters = images(30)
    one, two, same = (outliers.generate(40, letters, NAMES, seed) for seed in (0, 1, 0))
    assert np.array_equal(one, same) and (one != two).any((1, 2)).mean() > 0.9
