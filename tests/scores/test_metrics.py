"""The scores agree with loops over images and with cases counted by hand."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from lenet_xp.scores import metrics
from lenet_xp.scores.metrics import ClassScores, ConfusedPair

# Two a, three b, no c; one a and one b read as b and c.
LABELS = np.array([0, 0, 1, 1, 1])
PREDICTIONS = np.array([0, 1, 1, 1, 2])
NAMES = ("a", "b", "c", "d")


@pytest.fixture(params=[33, 10, 2])
def answers(request):
    """Labels, predictions (about one in four wrong) and the number of classes."""
    rng = np.random.default_rng(request.param)
    labels = rng.integers(0, request.param, 500)
    predictions = np.where(rng.random(500) < 0.25, rng.integers(0, request.param, 500), labels)
    return labels, predictions, request.param


def test_confusion_matrix_by_hand():
    confusion = metrics.confusion_matrix(LABELS, PREDICTIONS, 4)
    expected = [[1, 1, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(confusion, expected)
    assert confusion.dtype == np.int64


def naive_scores(labels, predictions, name):
    """(precision, recall, F1, support) of one class, counted image by image."""
    pairs = list(zip(labels.tolist(), predictions.tolist(), strict=True))
    hits = sum(label == name == read for label, read in pairs)
    support = sum(label == name for label, _ in pairs)
    predicted = sum(read == name for _, read in pairs)
    precision, recall = hits / max(predicted, 1), hits / max(support, 1)
    return precision, recall, 2 * hits / max(predicted + support, 1), support


def test_confusion_matrix_agrees_with_a_loop_over_images(answers):
    labels, predictions, count = answers
    confusion = metrics.confusion_matrix(labels, predictions, count)
    expected = np.zeros((count, count), dtype=np.int64)
    for label, read in zip(labels, predictions, strict=True):
        expected[label, read] += 1
    np.testing.assert_array_equal(confusion, expected)


@pytest.mark.parametrize(("labels", "predictions"), [([0, 4], [0, 0]), ([0, 1], [0, -1])])
def test_an_index_outside_the_classes_is_refused(labels, predictions):
    with pytest.raises(ValueError, match="invalid entry"):
        metrics.confusion_matrix(np.array(labels), np.array(predictions), 4)


def test_per_class_by_hand():
    third = pytest.approx(2 / 3)
    confusion = metrics.confusion_matrix(LABELS, PREDICTIONS, 4)
    assert metrics.per_class(confusion, NAMES) == [
        ClassScores("a", 1.0, 0.5, third, 2),
        ClassScores("b", third, third, third, 3),
        ClassScores("c", 0.0, 0.0, 0.0, 0),
        ClassScores("d", 0.0, 0.0, 0.0, 0),
    ]


@pytest.mark.filterwarnings("error")
def test_per_class_and_macro_f1_agree_with_a_loop_over_images(answers):
    labels, predictions, count = answers
    # One class more, that never occurs: its scores are 0, and macro F1 leaves it out.
    names = [str(index) for index in range(count + 1)]
    confusion = metrics.confusion_matrix(labels, predictions, count + 1)
    scores = metrics.per_class(confusion, names)
    expected = [naive_scores(labels, predictions, index) for index in range(count + 1)]
    found = [(each.precision, each.recall, each.f1, each.support) for each in scores]
    np.testing.assert_allclose(found, expected)
    assert [each.name for each in scores] == names
    f1 = [row[2] for row in expected[:count]]
    assert metrics.macro_f1(scores, confusion) == pytest.approx(np.mean(f1))


@pytest.mark.filterwarnings("error")
def test_macro_f1_leaves_out_classes_that_never_occur():
    # Three classes occur, one of them as a prediction only.
    confusion = metrics.confusion_matrix(LABELS, PREDICTIONS, len(NAMES))
    assert metrics.macro_f1(metrics.per_class(confusion, NAMES), confusion) == pytest.approx(
        (2 / 3 + 2 / 3 + 0) / 3
    )


def test_confused_pairs_come_most_frequent_first_and_without_empty_ones():
    confusion = np.array([[8, 2, 0], [5, 4, 1], [2, 0, 0]])
    assert metrics.confused_pairs(confusion, NAMES[:3]) == [
        ConfusedPair("b", "a", 5, 0.5),
        ConfusedPair("a", "b", 2, 0.2),
        ConfusedPair("c", "a", 2, 1.0),
        ConfusedPair("b", "c", 1, 0.1),
    ]
    assert len(metrics.confused_pairs(confusion, NAMES[:3], top=2)) == 2
    assert confusion[0, 0] == 8  # the caller's counts are untouched


def test_no_confused_pairs_without_errors():
    assert metrics.confused_pairs(np.diag([3, 4]), NAMES[:2]) == []


@pytest.mark.parametrize("k", [1, 3, 10])
def test_top_k_accuracy_agrees_with_sklearn(k):
    rng = np.random.default_rng(k)
    probabilities = rng.random((300, 33))
    labels = np.arange(300) % 33
    expected = sklearn_metrics.top_k_accuracy_score(labels, probabilities, k=k)
    assert metrics.top_k_accuracy(probabilities, labels, k) == pytest.approx(expected)


def test_top_1_accuracy_is_accuracy_also_where_probabilities_are_equal_or_nan():
    probabilities = np.array([[0.5, 0.5], [0.5, 0.5], [np.nan, np.nan], [np.nan, np.nan]])
    labels = np.array([0, 1, 0, 1])
    expected = np.mean(labels == probabilities.argmax(axis=1))
    assert metrics.top_k_accuracy(probabilities, labels, 1) == expected == 0.5


@pytest.mark.filterwarnings("error")
def test_no_images_score_zero():
    none = np.zeros(0, dtype=np.int64)
    assert metrics.top_k_accuracy(np.zeros((0, 4)), none, 3) == 0
    np.testing.assert_array_equal(metrics.confusion_matrix(none, none, 4), np.zeros((4, 4)))
    scores = metrics.per_class(np.zeros((4, 4), int), NAMES)
    assert scores[3] == ClassScores("d", 0.0, 0.0, 0.0, 0)
    assert metrics.macro_f1(scores, np.zeros((4, 4), int)) == 0
