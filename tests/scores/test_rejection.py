"""The rejection curve agrees with counting by hand at each threshold, ties included."""

import numpy as np
import pytest

from lenet_xp.scores.rejection import rejection_curve


@pytest.fixture(params=[None, 1], ids=["distinct", "with ties"])
def answers(request):
    """300 images of 5 classes; rounded probabilities are often equal."""
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.full(5, 0.4), 300)
    labels = np.array([rng.choice(5, p=row) for row in probabilities])
    if request.param is not None:
        probabilities = probabilities.round(request.param)
    return probabilities, labels


def kept(probabilities, labels, threshold):
    """(share answered, accuracy among them) at a threshold, image by image."""
    hits = [
        int(np.argmax(row)) == label
        for row, label in zip(probabilities, labels, strict=True)
        if max(row) >= threshold
    ]
    return len(hits) / len(labels), np.mean(hits)


def test_every_point_is_what_its_threshold_keeps(answers):
    probabilities, labels = answers
    curve = rejection_curve(probabilities, labels)
    assert curve.thresholds.tolist() == sorted(set(probabilities.max(axis=1)), reverse=True)
    expected = [kept(probabilities, labels, t) for t in curve.thresholds]
    np.testing.assert_allclose(np.transpose([curve.coverage, curve.accuracy]), expected)
    assert curve.coverage[-1] == 1
    assert curve.accuracy[-1] == np.mean(probabilities.argmax(axis=1) == labels)


def test_the_area_is_the_mean_error_among_images_as_certain(answers):
    probabilities, labels = answers
    errors = [1 - kept(probabilities, labels, max(row))[1] for row in probabilities]
    area = rejection_curve(probabilities, labels).risk_coverage_area()
    assert area == pytest.approx(np.mean(errors))


@pytest.mark.parametrize("accuracy", [0.5, 0.8, 0.95, 0.999])
def test_coverage_is_the_largest_that_any_threshold_reaches(answers, accuracy):
    probabilities, labels = answers
    options = [kept(probabilities, labels, max(row)) for row in probabilities]
    expected = max([share for share, right in options if right >= accuracy], default=0)
    assert rejection_curve(probabilities, labels).coverage_at(accuracy) == pytest.approx(expected)


def test_four_images_by_hand():
    top = np.array([0.7, 0.9, 0.6, 0.8])
    labels = np.array([0, 0, 0, 1])  # the second surest is wrong
    curve = rejection_curve(np.column_stack([top, 1 - top]), labels)
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert curve.accuracy.tolist() == [1, 0.5, 2 / 3, 0.75]
    assert curve.coverage_at(0.7) == 1 and curve.coverage_at(0.8) == 0.25
    assert curve.risk_coverage_area() == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


@pytest.mark.filterwarnings("error")
def test_no_images_none_right_and_no_numbers():
    none = rejection_curve(np.zeros((0, 4)), np.zeros(0, dtype=np.int64))
    assert none.risk_coverage_area() == none.coverage_at(0.5) == len(none.coverage) == 0
    wrong = rejection_curve(np.eye(3), np.array([1, 2, 0]))
    assert wrong.risk_coverage_area() == 1 and wrong.coverage_at(0.5) == 0
    lost = rejection_curve(np.full((2, 3), np.nan), np.array([0, 1]))
    assert lost.thresholds.tolist() == [0] and lost.accuracy.tolist() == [0.5]
