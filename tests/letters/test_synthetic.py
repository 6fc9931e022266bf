"""The generated data set: contract, determinism, variety, AMHCD's framing and legibility."""

import os

import cv2
import numpy as np
import pytest
from sklearn.svm import SVC

from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.handwriting import POINTS, SAMPLES_PER_WRITER, hands, write
from lenet_xp.letters.strokes import SHAPES
from lenet_xp.letters.synthetic import generate

SAMPLES = 39
NAMES = [each.name for each in letters()]


@pytest.fixture(scope="module")
def generated() -> tuple[np.ndarray, np.ndarray]:
    return generate(SAMPLES, seed=7)


def of_letter(generated: tuple[np.ndarray, np.ndarray], name: str) -> np.ndarray:
    images, labels = generated
    return images[labels == NAMES.index(name)]


def inked(images: np.ndarray) -> np.ndarray:
    """Boolean (N, 64, 64): pixels nearer to the image's darkest grey than to white."""
    darkest = images.min((1, 2), keepdims=True).astype(float)
    return images < (255 + darkest) / 2


def small_ink(images: np.ndarray) -> np.ndarray:
    """(N, 256) float: 16x16 ink of each image, of unit length."""
    ink = np.stack(
        [cv2.resize(255 - each, (16, 16), interpolation=cv2.INTER_AREA).ravel() for each in images]
    ).astype(float)
    return ink / np.linalg.norm(ink, axis=1, keepdims=True)


def test_images_and_labels_have_the_promised_form(generated):
    images, labels = generated
    assert images.shape == (33 * SAMPLES, 64, 64)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert labels.tolist() == sorted(labels.tolist())
    assert np.bincount(labels).tolist() == [SAMPLES] * 33


def test_every_letter_of_the_alphabet_has_a_shape_and_nothing_else_has():
    assert sorted(SHAPES) == sorted(NAMES)


def test_same_arguments_same_bytes(generated):
    images, labels = generate(SAMPLES, seed=7)
    assert np.array_equal(images, generated[0])
    assert np.array_equal(labels, generated[1])


@pytest.mark.parametrize("cores", [1, 7])
def test_bytes_do_not_depend_on_the_number_of_threads(monkeypatch, cores):
    expected, _ = generate(5, seed=3)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    before = cv2.getNumThreads()
    cv2.setNumThreads(cores)
    try:
        assert np.array_equal(generate(5, seed=3)[0], expected)
    finally:
        cv2.setNumThreads(before)


def test_seeds_differ_in_every_image():
    first, second = generate(3, seed=0)[0], generate(3, seed=1)[0]
    assert (first != second).any((1, 2)).all()


def test_no_image_is_repeated(generated):
    images, _ = generated
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


@pytest.mark.parametrize("name", NAMES)
def test_images_of_a_letter_vary_but_keep_its_form(generated, name):
    ink = small_ink(of_letter(generated, name))
    likeness = (ink @ ink.T)[np.triu_indices(SAMPLES, 1)]
    assert 0.2 < np.median(likeness) < 0.97


def test_ink_is_dark_on_white_paper(generated):
    images, _ = generated
    assert np.median(images, axis=(1, 2)).min() > 245
    assert images.min((1, 2)).max() < 215


def test_ink_statistics_are_like_those_of_amhcd():
    """AMHCD: median darkest grey 74 (5-95 %: 41-125); inked share of the frame 0.03 to 0.2."""
    images, _ = generate(12 * SAMPLES_PER_WRITER)
    darkest = images.min((1, 2))
    assert 60 < np.median(darkest) < 95
    assert np.percentile(darkest, 5) < 55
    assert 95 < np.percentile(darkest, 95) < 140
    share = inked(images).mean((1, 2))
    assert 0.06 < np.median(share) < 0.13
    assert np.percentile(share, 5) > 0.02
    assert np.percentile(share, 95) < 0.25


def test_ya_lies_low_and_yar_fills_the_frame(generated):
    first_row = {name: inked(of_letter(generated, name)).any(2).argmax(1) for name in ("ya", "yar")}
    assert first_row["ya"].min() >= 28
    assert 30 <= np.median(first_row["ya"]) <= 36
    assert np.median(first_row["yar"]) <= 2


def test_letters_are_stretched_to_all_four_borders_except_yan(generated):
    images, labels = generated
    ink = inked(images)
    edges = {
        "top": ink[:, :4],
        "bottom": ink[:, -4:],
        "left": ink[:, :, :4],
        "right": ink[:, :, -4:],
    }
    touches = {side: strip.any((1, 2)) for side, strip in edges.items()}
    wide = ~np.isin(labels, [NAMES.index("ya"), NAMES.index("yan")])
    assert np.logical_and.reduce(list(touches.values()))[wide].mean() > 0.6
    yan = labels == NAMES.index("yan")
    assert not touches["left"][yan].any()
    assert not touches["right"][yan].any()
    assert touches["top"][yan].mean() > 0.7


def test_a_writer_keeps_one_hand_through_the_alphabet():
    """Slant and pen of a writer agree between letters, and differ from writer to writer."""
    count = 60 * SAMPLES_PER_WRITER
    first, second = (
        hands(np.random.default_rng(0), np.random.default_rng(1 + letter), count)
        for letter in range(2)
    )
    for habit in ("slant", "pen", "ink"):
        by_writer = [getattr(each, habit).reshape(60, -1).mean(1) for each in (first, second)]
        assert np.corrcoef(by_writer)[0, 1] > 0.8
        shuffled = np.roll(by_writer[1], 1)
        assert abs(np.corrcoef(by_writer[0], shuffled)[0, 1]) < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_pen_stays_on_the_paper(name):
    rng = np.random.default_rng(5)
    hand = hands(np.random.default_rng(4), rng, 50)
    written = list(write(SHAPES[name], hand, rng))
    assert sorted(np.concatenate([chosen for chosen, _ in written])) == list(range(50))
    for chosen, points in written:
        assert points.shape[0] == len(chosen)
        assert points.shape[2:] == (POINTS, 2)
        assert points.min() >= 0
        assert points.max() <= 64


def test_one_seed_teaches_to_read_another(generated):
    """A plain classifier of 16x16 pixels reads other writers; chance is 3 %."""
    images, labels = generated
    reader = SVC(C=10).fit(small_ink(images), labels)
    unseen, truth = generate(SAMPLES_PER_WRITER, seed=8)
    right = reader.predict(small_ink(unseen)) == truth
    assert right.mean() > 0.7
    by_letter = right.reshape(33, -1).mean(1)
    assert by_letter.min() > 0.1, NAMES[by_letter.argmin()]


def test_progress_adds_up_to_all_images():
    done = []
    generate(2, progress=done.append)
    assert sum(done) == 66
    assert len(done) > 1


@pytest.mark.parametrize(
    "arguments",
    [{"samples_per_class": 0}, {"samples_per_class": -1}, {"samples_per_class": 1, "seed": -1}],
)
def test_impossible_requests_are_refused(arguments):
    with pytest.raises(InputError, match="at least 1 sample"):
        generate(**arguments)


def test_one_sample_is_enough():
    images, labels = generate(1)
    assert labels.tolist() == list(range(33))
    assert inked(images).any((1, 2)).all()
