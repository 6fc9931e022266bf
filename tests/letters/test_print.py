"""Generated print: contract, determinism, variety of designs, framing and legibility."""

import os

import cv2
import numpy as np
import pytest
from sklearn.svm import SVC

from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.print import Design, draw_letter, generate
from lenet_xp.letters.strokes import PRINTED

SAMPLES = 30
NAMES = [each.name for each in letters()]


@pytest.fixture(scope="module")
def generated() -> tuple[np.ndarray, np.ndarray]:
    return generate(SAMPLES, seed=7)


def small_ink(images: np.ndarray) -> np.ndarray:
    """(N, 256) float: 16x16 ink of each image, of unit length."""
    small = [cv2.resize(255 - each, (16, 16), interpolation=cv2.INTER_AREA) for each in images]
    ink = np.stack(small).reshape(len(small), -1).astype(float)
    return ink / np.linalg.norm(ink, axis=1, keepdims=True)


def plain(seed: int, **traits) -> Design:
    """A design drawn from a seed, with these traits instead of the drawn ones."""
    design = Design(np.random.default_rng(seed))
    usual = {"effect": "", "fat": False, "serif": (0, 0), "slant": 0.0, "jitter": 0.0}
    vars(design).update(usual | {"nib": np.array([0.06, 0.06]), "power": 2, "pixels": 64} | traits)
    return design


def drawn(name: str, design: Design, seed: int = 1) -> np.ndarray:
    return draw_letter(name, design, np.random.default_rng(seed)) > 0


def holes(ink: np.ndarray) -> int:
    """The number of white regions that ink encloses."""
    outside = np.pad(~ink, 1, constant_values=True).astype(np.uint8)
    return cv2.connectedComponents(outside, connectivity=4)[0] - 2


def test_images_and_labels_have_the_promised_form(generated):
    images, labels = generated
    assert images.shape == (33 * SAMPLES, 64, 64)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert labels.tolist() == sorted(labels.tolist())
    assert np.bincount(labels).tolist() == [SAMPLES] * 33


def test_every_letter_of_the_alphabet_has_a_skeleton_and_nothing_else_has():
    assert sorted(PRINTED) == sorted(NAMES)


@pytest.mark.parametrize("cores", [1, 7])
def test_bytes_do_not_depend_on_the_number_of_threads(monkeypatch, cores, generated):
    expected = generate(4, seed=3)[0]
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    before = cv2.getNumThreads()
    cv2.setNumThreads(cores)
    try:
        assert np.array_equal(generate(4, seed=3)[0], expected)
    finally:
        cv2.setNumThreads(before)


def test_no_image_is_repeated_in_a_seed_nor_in_another(generated):
    images = np.concatenate([generated[0], generate(3, seed=8)[0]])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) > 0.995 * len(images)


def test_designs_differ_from_hairlines_to_blocks(generated):
    share = (generated[0] < 128).mean((1, 2)).reshape(33, SAMPLES).mean(0)
    assert share.min() < 0.15
    assert share.max() > 0.5


def test_a_sample_has_one_design_in_all_letters(generated):
    """How black a sample's letters are agrees between halves of the alphabet."""
    share = (generated[0] < 128).mean((1, 2)).reshape(33, SAMPLES)
    assert np.corrcoef(share[::2].mean(0), share[1::2].mean(0))[0, 1] > 0.8


def test_letters_fill_the_frame_and_ya_its_lower_half(generated):
    images, labels = generated
    ink = images < (images.min((1, 2), keepdims=True) / 2.0 + 127.5)
    first, last = ink.any(2).argmax(1), 63 - ink[:, ::-1].any(2).argmax(1)
    low = labels == NAMES.index("ya")
    assert first[low].min() >= 30
    assert np.median(first[low]) <= 34
    assert np.median(first[~low]) <= 1
    assert np.median(last) >= 62


def test_an_outline_encloses_what_was_ink():
    filled, hollow = (drawn("yat", plain(0, effect=effect)) for effect in ("", "outline"))
    assert (holes(filled), holes(hollow)) == (0, 1)
    assert hollow.sum() < 0.8 * filled.sum()


def test_serifs_widen_a_bar_at_its_ends_alone():
    serifs = plain(0, serif=(0.1, 0.1), rise=0.0, nib=np.array([0.04, 0.02]))
    wide = drawn("yan", serifs).sum(1)
    assert min(wide[2], wide[-3]) > 1.5 * wide[len(wide) // 2]


def test_a_broad_nib_draws_thick_stems_and_thin_bars():
    cross = drawn("yat", plain(0, nib=np.array([0.1, 0.02]), angle=0.0))
    stem, bar = cross[5].sum(), cross[:, 5].sum()
    assert stem > 3 * bar


def test_a_slanted_letter_leans_to_the_right():
    top, bottom = (
        np.flatnonzero(row).mean() for row in drawn("yan", plain(0, slant=0.25))[[3, -4]]
    )
    assert top > bottom + 15


def test_slits_keep_fat_letters_apart():
    fat = {"nib": np.array([0.3, 0.3]), "fat": True, "depth": 0.5}
    assert not drawn("yar", plain(0, **fat)).all()
    ring, bars = (drawn(name, plain(0, **fat)) for name in ("yar", "yadd"))
    assert ring.mean() > 0.8
    assert ring.shape == bars.shape
    assert (ring != bars).mean() > 0.03


def test_one_seed_teaches_to_read_other_designs(generated):
    """A plain classifier of 16x16 pixels reads designs that it has not seen; chance is 3 %."""
    images, labels = generated
    reader = SVC(C=10).fit(small_ink(images), labels)
    unseen, truth = generate(10, seed=8)
    right = (reader.predict(small_ink(unseen)) == truth).reshape(33, -1).mean(1)
    assert right.mean() > 0.6
    assert right.min() > 0.1, NAMES[right.argmin()]


def test_no_letter_at_all_is_refused():
    with pytest.raises(InputError, match="at least 1 sample"):
        generate(0)
