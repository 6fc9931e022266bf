"""The scores of a run are named, whole and consistent with one another."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss

from lenet_xp.scores.calibration import apply_temperature
from lenet_xp.scores.intervals import wilson_interval
from lenet_xp.scores.summary import Scores, summarise


def summary(labels, probabilities, temperature=1.0, groups=None):
    names = [str(number) for number in range(probabilities.shape[1])]
    return summarise(Scores(labels, probabilities, names, temperature, groups))


@pytest.fixture
def answers():
    rng = np.random.default_rng(5)
    probabilities = rng.dirichlet(np.full(6, 0.2), 500)
    labels = np.array([rng.choice(6, p=row) for row in probabilities])
    return labels, probabilities


def test_scores_agree_with_sklearn_before_and_after_the_temperature(answers):
    labels, probabilities = answers
    scores = summary(labels, probabilities, 2.0)
    read = probabilities.argmax(axis=1)
    assert scores["accuracy"] == pytest.approx(accuracy_score(labels, read))
    hits = round(500 * scores["accuracy"])
    assert scores["accuracy_interval"] == wilson_interval(hits, 500)
    assert scores["macro_f1"] == pytest.approx(f1_score(labels, read, average="macro"))
    scaled = apply_temperature(probabilities, 2.0)
    assert scores["loss"] == pytest.approx(log_loss(labels, probabilities), rel=1e-4)
    assert scores["loss_scaled"] == pytest.approx(log_loss(labels, scaled))
    # The probabilities were calibrated as they were drawn.
    assert scores["ece"] < 0.1 < scores["ece_scaled"]
    assert scores["coverage_at_0.995"] >= scores["coverage_at_0.999"]
    assert not [name for name in scores if "writer" in name]


def test_a_temperature_of_one_changes_nothing(answers):
    scores = summary(*answers)
    for name in ("loss", "ece", "mce", "brier_score"):
        assert scores[name] == scores[f"{name}_scaled"]


def test_writers_add_what_can_be_said_of_them(answers):
    labels, probabilities = answers
    groups = np.arange(500) % 10
    scores = summary(labels, probabilities, groups=groups)
    assert scores["writers"] == 10
    low, high = scores["writer_accuracy_interval"]
    assert low < scores["accuracy"] < high
    correct = probabilities.argmax(axis=1) == labels
    each = correct.reshape(50, 10).mean(axis=0)
    assert scores["worst_writer_accuracy"] == pytest.approx(each.min())
    assert scores["writer_accuracy_deviation"] == pytest.approx(each.std(ddof=1))
    assert "writers" not in summary(labels, probabilities, groups=np.zeros(500, dtype=np.int64))


def test_the_least_probable_label_is_doubted_first(answers):
    labels, probabilities = answers
    wrong = [i for i, row in enumerate(probabilities) if max(row) > row[labels[i]]]
    doubtful = Scores(labels, probabilities, "abcdef").doubtful
    assert doubtful.tolist() == sorted(wrong, key=lambda i: probabilities[i, labels[i]])
