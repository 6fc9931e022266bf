"""The accuracy of each writer agrees with scikit-learn's, writer by writer."""

import statistics

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from lenet_xp.scores.metrics import GroupScore, deviation, per_group


def test_scores_agree_with_sklearn_and_come_worst_first():
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 3, (2, 400))
    groups = rng.choice([2, 5, 40, 41], 400)
    scores = per_group(labels == predictions, groups)
    assert {each.group for each in scores} == {2, 5, 40, 41}
    for each in scores:
        own = groups == each.group
        assert each.images == own.sum()
        assert each.accuracy == pytest.approx(accuracy_score(labels[own], predictions[own]))
    accuracies = [each.accuracy for each in scores]
    assert accuracies == sorted(accuracies)
    assert deviation(scores) == pytest.approx(statistics.stdev(accuracies))


def test_by_hand_with_ties_in_order_of_the_groups():
    correct = np.array([True, False, True, True, False, True])
    scores = per_group(correct, np.array([9, 9, 4, 4, 1, 1]))
    assert scores == [GroupScore(1, 2, 1), GroupScore(9, 2, 1), GroupScore(4, 2, 2)]


def test_no_images_have_no_scores():
    assert per_group(np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64)) == []
