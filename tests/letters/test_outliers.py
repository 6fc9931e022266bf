"""Pictures that are no letter: contract, determinism, variety, and that they can be told apart."""

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.svm import SVC

from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.font import dejavu
from lenet_xp.letters.outliers import EASTERN, EUROPEAN, FACES, FULL_FACES, generate
from lenet_xp.letters.strokes import OTHERS, SHAPES
from lenet_xp.letters.synthetic import generate as generate_letters
from lenet_xp.pictures.preprocess import Preprocessing

NAMES = [each.name for each in letters()]
COUNT = 200


@pytest.fixture(scope="module")
def training():
    """Two samples of every letter as the network takes them, (66, 32, 32)."""
    return generate_letters(2, seed=4, finish=Preprocessing().apply_all)[0]


@pytest.fixture(scope="module")
def outliers(training):
    return generate(COUNT, training, NAMES, seed=1)


def small(images):
    """(N, 256) float: 16x16 ink of prepared images, of unit length."""
    ink = [cv2.resize(each, (16, 16), interpolation=cv2.INTER_AREA).ravel() for each in images]
    return np.array(ink, float) / (np.linalg.norm(ink, axis=1, keepdims=True) + 1e-9)


def test_pictures_have_the_promised_form_and_differ(outliers):
    assert outliers.shape == (COUNT, 64, 64) and outliers.dtype == np.uint8
    assert len(np.unique(outliers.reshape(COUNT, -1), axis=0)) > 0.98 * COUNT
    assert (np.median(outliers, axis=(1, 2)) > 200).mean() > 0.8  # dark on light


def test_same_arguments_same_bytes_and_seeds_differ(training, outliers):
    assert np.array_equal(generate(COUNT, training, NAMES, seed=1), outliers)
    assert (generate(COUNT, training, NAMES, seed=2) != outliers).any((1, 2)).mean() > 0.9


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_pictures_and_letters_of_any_size_will_do(count):
    for side in (8, 100):
        letter = np.full((1, side, side), 255, np.uint8)
        assert generate(count, letter, NAMES).shape == (count, 64, 64)


def test_another_alphabet_may_hold_the_signs_of_other_scripts(training):
    """Of blank letters, only blots and signs of other scripts leave ink."""
    blank = np.zeros_like(training)
    inked = [
        (generate(COUNT, blank, names) < 128).any((1, 2)).mean()
        for names in (NAMES, NAMES[:5], ["A", "yab"])
    ]
    assert min(inked[:2]) > 0.5 and inked[2] < 0.3


def test_no_sign_of_another_script_has_the_name_of_a_letter_or_lacks_a_glyph():
    assert not set(OTHERS) & set(SHAPES)
    for number, face in enumerate(FACES):
        font = dejavu(64, face)
        missing = bytes(font.getmask("\u0530"))
        signs = EUROPEAN + EASTERN * (number < FULL_FACES)
        assert [sign for sign in signs if bytes(font.getmask(sign)) == missing] == []


def test_a_plain_classifier_learns_to_tell_them_from_other_hands(training):
    """Trained on one seed's letters and outliers, it tells those of another seed apart."""
    prepare = Preprocessing().apply_all
    images, truth, score = {}, {}, SVC(C=10, gamma=2)
    for seed, samples in ((0, 26), (1, 13)):
        own, _ = generate_letters(samples, seed, finish=prepare)
        others = prepare(generate(len(own) // 2, own, NAMES, seed))
        images[seed] = small(np.concatenate([own, others]))
        truth[seed] = np.repeat([0, 1], [len(own), len(others)])
    score.fit(images[0], truth[0])
    assert roc_auc_score(truth[1], score.decision_function(images[1])) > 0.8
