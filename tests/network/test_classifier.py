"""LeNet-5 in scikit-learn's hands: its own checks, and the tools it is made for."""

import multiprocessing
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from strict import StrictOps
from tolerances import TRAINING, error

from lenet_xp import classifier
from lenet_xp.classifier import LeNetClassifier
from lenet_xp.layers import Flatten, Linear
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.model import Sequential
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.training.loop import TrainingDiverged
from lenet_xp.training.recipes import BEST, CLASSIC


def quick(**options):
    """One that trains for a moment, the same way each time."""
    return LeNetClassifier(**{"epochs": 2, "random_state": 0, "threads": 1, **options})


@pytest.fixture(scope="module")
def drawn():
    """Generated letters (396, 32, 32) uint8, their names, and 12 writers."""
    pictures, labels = generate(12, seed=1)
    names = np.array([each.name for each in letters()])
    return Preprocessing().apply_all(pictures), names[labels], np.tile(np.arange(12), 33)


@pytest.fixture(scope="module")
def few(drawn):
    """Three of the letters."""
    images, names, writers = drawn
    chosen = np.isin(names, ("ya", "yaz", "yat"))
    return images[chosen], names[chosen], writers[chosen]


@parametrize_with_checks([LeNetClassifier(epochs=10, threads=1)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


# What X may be


def test_it_reads_digits_as_a_table_and_as_pictures():
    digits = load_digits()
    for X in (digits.data, digits.images, digits.images.astype(np.uint8) * 15):
        given, unseen, y, expected = train_test_split(X, digits.target, random_state=0)
        model = quick(epochs=5).fit(given, y)
        assert model.score(unseen, expected) > 0.95
        assert model.n_features_in_ == 64


def test_it_reads_flowers():
    X, y = load_iris(return_X_y=True, as_frame=False)
    model = quick(recipe="classic", epochs=40, batch_size=16)
    assert cross_val_score(model, X, y, cv=3).mean() > 0.85


def test_rows_and_pictures_floats_and_bytes_are_one(few):
    images, names, _ = few
    given = [
        images,
        images.reshape(len(images), -1),
        images / 255,
        images.astype(np.int64).tolist(),
    ]
    fitted = [quick().fit(X, names) for X in given]
    expected = fitted[0].predict_proba(images)
    for model in fitted:
        assert np.array_equal(model.predict_proba(images), expected) == (model is not fitted[2])
    assert np.array_equal(fitted[2].predict_proba(images / 255), expected)
    for X in given[:2]:
        assert np.array_equal(fitted[0].predict_proba(X), expected)
    with pytest.raises(ValueError, match="pictures of \\(16, 64\\), but was \\(32, 32\\)"):
        fitted[0].predict(images.reshape(-1, 16, 64))


def test_what_stands_beside_an_image_does_not_change_its_reading(drawn):
    images, names, _ = drawn
    model = quick(epochs=1).fit(images, names)
    expected = model.predict_proba(images)
    np.testing.assert_allclose(expected.sum(axis=1), 1, rtol=1e-12)
    order = np.random.default_rng(0).permutation(len(images))
    np.testing.assert_allclose(model.predict_proba(images[order]), expected[order], atol=1e-12)
    alone = np.concatenate([model.predict_proba(images[i : i + 1]) for i in range(40)])
    np.testing.assert_allclose(alone, expected[:40], atol=1e-12)


def test_it_learns_letters(drawn):
    images, names, writers = drawn
    seen = writers < 9
    model = quick(recipe="classic", epochs=30, learning_rate=0.3).fit(images[seen], names[seen])
    assert model.classes_.tolist() == sorted(set(names))
    assert model.score(images[~seen], names[~seen]) > 0.6  # of 33 letters, from 297 images
    assert model.n_iter_ == len(model.history_) == 30


# Parameters


def test_the_recipe_and_what_replaces_it(few, monkeypatch):
    images, names, _ = few
    seen = []
    monkeypatch.setattr(
        classifier.loop, "fit", lambda model, recipe, *rest: seen.append(recipe) or 1 / 0
    )
    given = (
        (quick(epochs=None), images, BEST),
        (quick(epochs=np.int64(3), batch_size=9), images, replace(BEST, epochs=3, batch_size=9)),
        (
            quick(recipe=CLASSIC, learning_rate=0.5),
            images,
            replace(CLASSIC, epochs=2, learning_rate=0.5),
        ),
        (quick(epochs=None), images[:, :5, 0], replace(BEST, distortion=None)),  # a table
    )
    for model, X, expected in given:
        with pytest.raises(ZeroDivisionError):
            model.fit(X, names)
        assert seen.pop() == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"recipe": "worst"},
            "recipe must be classic, best, fine-tune, distilled, 1998 or a TOML file, not 'worst'",
        ),
        ({"epochs": 0}, "epochs must be a whole number"),
        ({"epochs": 1.5}, "epochs must be a whole number"),
        ({"learning_rate": -1.0}, "learning_rate must be a positive"),
        ({"threads": 0}, "threads must be a whole number"),
        ({"validation_fraction": 1.0}, "validation_fraction must lie in"),
        ({"backend": "abacus"}, "backend must be one of"),
        ({"network": [Flatten()]}, r"must be a Sequential that takes \(1 or 3, S, S\), not \(\)"),
        ({"network": Sequential([Linear(9, 2)], (9,))}, r"takes \(1 or 3, S, S\), not \(9,\)"),
        ({"network": Sequential([Flatten()], (1, 8, 9))}, r"not \(1, 8, 9\)"),
    ],
)
def test_parameters_that_do_not_serve(few, options, words):
    with pytest.raises(ValueError, match=words):
        quick(**options).fit(*few[:2])
    with pytest.raises(NotFittedError):
        quick().predict(few[0])


def test_the_epoch_is_chosen_on_images_held_out(drawn, monkeypatch):
    images, names, _ = drawn
    sides = []
    monkeypatch.setattr(
        classifier.loop,
        "fit",
        lambda model, recipe, train, val, *r: sides.append((train, val)) or 1 / 0,
    )
    for fraction, images_held in ((1 / 3, 132), (0.0, 0), (0.1, 0)):  # 40 would say little
        with pytest.raises(ZeroDivisionError):
            quick(validation_fraction=fraction).fit(images, names)
        train, val = sides.pop()
        if not images_held:
            assert train[0] is val[0] and len(train[0]) == 396
            continue
        assert (len(train[0]), len(val[0])) == (396 - images_held, images_held)
        assert np.bincount(val[1]).tolist() == [4] * 33
        both = {image.tobytes() for image in train[0]} | {image.tobytes() for image in val[0]}
        assert both == {image.tobytes() for image in images}


def test_random_state_decides_the_outcome(few):
    images, names, _ = few
    runs = [quick(random_state=seed).fit(images, names).values_ for seed in (0, 0, 1)]
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])


# Going on


def test_warm_start_goes_on_and_a_plain_fit_begins_anew(few):
    images, names, _ = few
    kept = {}
    for warm in (True, False):
        model = quick(warm_start=warm, recipe="classic", learning_rate=1e-9).fit(images, names)
        before = model.values_.copy()
        model.set_params(random_state=7).fit(images, names)
        kept[warm] = np.abs(model.values_ - before).max()
    assert kept[True] < 1e-6 < 1e-2 < kept[False]
    warm = quick(warm_start=True).fit(images, names)
    with pytest.raises(ValueError, match="'yab', which is none of"):
        warm.fit(images, np.where(names == "ya", "yab", names))


def test_another_network_cannot_go_on_from_the_fitted_one(few):
    """Not even one with as many parameters: they mean something else in it."""
    images, names, _ = few
    model = quick(recipe="classic", warm_start=True).fit(images, names)
    for other in (
        {"recipe": "best"},
        {"network": Sequential([Flatten(), Linear(1024, 3)], (1, 32, 32))},
    ):
        with pytest.raises(ValueError, match="another network than the fitted one"):
            model.set_params(**other).fit(images, names)
        with pytest.raises(ValueError, match="another network than the fitted one"):
            model.partial_fit(images, names)


def test_partial_fits_are_the_epochs_of_a_fit(few):
    """Each of one step, so that the order of the images says nothing."""
    images, names, _ = few
    whole = quick(recipe=CLASSIC, epochs=4, validation_fraction=0.0).fit(images, names)
    assert whole.history_[-1]["val_loss"] == min(row["val_loss"] for row in whole.history_)
    parts = clone(whole)
    for _ in range(4):
        parts.partial_fit(images, names, classes=np.unique(names))
    begun = clone(whole).set_params(learning_rate=1e-12).fit(images, names)
    moved = [model.values_.astype(float) - begun.values_ for model in (parts, whole)]
    assert error(*moved) < TRAINING["float32"]
    assert parts.n_iter_ == 4


def test_partial_fit_meets_classes_one_by_one(few):
    images, names, _ = few
    model = quick(learning_rate=1e-3)
    with pytest.raises(ValueError, match="classes must be given"):
        model.partial_fit(images, names)
    for name in ("ya", "yat"):
        chosen = names == name
        model.partial_fit(images[chosen], names[chosen], classes=["yaz", "ya", "yat"])
    assert model.predict_proba(images).shape == (36, 3)
    with pytest.raises(ValueError, match="'yab', which is none of"):
        model.partial_fit(images[:1], ["yab"])
    with pytest.raises(ValueError, match="classes are"):
        model.partial_fit(images, names, classes=["ya", "yat"])


def test_partial_fit_goes_on_from_a_fit(few):
    images, names, _ = few
    model = quick(epochs=1, recipe="classic", learning_rate=1e-9).fit(images, names)
    before = model.values_.copy()
    model.partial_fit(images, names)
    assert 0 < np.abs(model.values_ - before).max() < 1e-6


def test_a_loss_that_runs_away_is_told(few):
    images, names, _ = few
    wild = quick(recipe=replace(BEST, schedule="constant", learning_rate=1e38), epochs=3)
    wild.set_params(learning_rate=1e-3).fit(images, names).set_params(learning_rate=None)
    with pytest.raises(TrainingDiverged, match="try a tenth"):
        wild.fit(images, names)
    with pytest.raises(NotFittedError):
        wild.predict(images)
    model = clone(wild).set_params(learning_rate=1e-3)
    before = model.partial_fit(images, names, classes=np.unique(names)).values_.copy()
    model.set_params(learning_rate=None)
    with pytest.raises(TrainingDiverged, match="try a tenth"):
        model.partial_fit(images, names)
    assert np.array_equal(model.values_, before)


# Copies


def test_a_pickle_is_host_arrays_whatever_trained_it(few, monkeypatch):
    images, names, _ = few
    monkeypatch.setattr(classifier, "get_ops", lambda backend, dtype="float32": StrictOps(dtype))
    model = quick(epochs=1).fit(images, names).partial_fit(images, names)
    expected = model.predict_proba(images)
    monkeypatch.undo()
    content = pickle.dumps(model)
    assert b"array_api_strict" not in content and b"lenet_xp.ops" not in content
    again = pickle.loads(content)
    np.testing.assert_allclose(again.predict_proba(images), expected, atol=1e-9)
    assert again.get_params() == model.get_params()
    again.partial_fit(images, names)


def test_a_clone_has_the_parameters_and_nothing_learned(few):
    model = quick(recipe=CLASSIC, epochs=1).fit(*few[:2])
    again = clone(model)
    assert again.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        again.predict(few[0])


# Tools


def test_a_pipeline_in_a_search_over_two_processes():
    X, y = load_wine(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), quick(threads=None))
    search = GridSearchCV(pipeline, {"lenetclassifier__epochs": (1, 20)}, cv=2, n_jobs=2)
    search.fit(X, y)
    assert search.best_params_ == {"lenetclassifier__epochs": 20}
    assert search.best_estimator_.score(X, y) > 0.9


@pytest.mark.parametrize("backend", ("loky", "multiprocessing", "threading"))
@pytest.mark.parametrize("threads", (1, 2, None))
def test_folds_of_writers_in_workers_of_any_kind(few, backend, threads):
    images, names, writers = few
    folds = {"cv": GroupKFold(2), "groups": writers}
    scores = cross_val_score(quick(threads=threads or 1), images, names, **folds)
    with parallel_config(backend=backend, n_jobs=2):
        again = cross_val_score(quick(threads=threads), images, names, **folds)
    assert np.array_equal(again, scores)


def test_workers_use_one_core_unless_told(monkeypatch):
    assert classifier._threads(None) is None  # all that there are
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "somebody")
    assert classifier._threads(None) == 1
    assert classifier._threads(3) == 3


# Units and layouts


@pytest.mark.parametrize(
    ("given", "asked", "words"),
    [
        (lambda x: x, lambda x: x / 255, "uses almost none of"),
        (lambda x: x.astype(float), lambda x: x / 255, "uses almost none of"),
        (lambda x: x / 255, lambda x: x, "far outside"),
        (lambda x: x / 255, lambda x: x.astype(float), "far outside"),
        (lambda x: x / 127.5 - 1, lambda x: x, "far outside"),
        (lambda x: x[:, 8:24, 8], lambda x: x[:, 8:24, 8] / 255, "uses almost none of"),  # tables
        (lambda x: x[:, 8:24, 8] / 255, lambda x: x[:, 8:24, 8], "far outside"),
    ],
)
def test_other_units_than_in_fit_are_warned_of_once(few, given, asked, words):
    images, names, _ = few
    model = quick(epochs=1).fit(given(images), names)
    with pytest.warns(UserWarning, match=words) as caught:
        model.predict(asked(images))
    assert len(caught) == 1 and "give X in the same units" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(given(images))
        model.predict_proba(given(images)[:1])


def test_usual_differences_are_not_warned_of(few):
    images, names, _ = few
    rng = np.random.default_rng(0)
    cases = [
        (images, images[:0]),
        (images, np.zeros_like(images)),  # blank
        (images, images // 8),  # faint
        (images / 255, images / 200),
        (images / 255, images / 255 + 0.5),
        (rng.normal(size=(36, 9)), rng.standard_t(2, size=(400, 9))),  # heavy tails
        (rng.normal(size=(36, 2)), np.full((2, 2), 0.1)),
        (np.where(np.arange(6) == 2, 5.0, rng.normal(size=(36, 6))), rng.normal(size=(9, 6))),
    ]
    for given, asked in cases:
        model = quick(epochs=1).fit(given, names)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if len(asked):
                model.predict(asked)


def test_one_channel_may_stand_on_either_side_and_three_are_refused(few):
    images, names, _ = few
    model = quick(epochs=1).fit(images[..., None], names)
    expected = quick(epochs=1).fit(images, names).predict_proba(images)
    for X in (images, images[..., None], images[:, None], images[..., None].tolist()):
        assert np.array_equal(model.predict_proba(X), expected)
    for X in (np.repeat(images[..., None], 3, axis=-1), images[:, None, None]):
        for ask in (model.predict, lambda X: quick().fit(X, names)):
            with pytest.raises(ValueError, match="one channel: give grey pictures"):
                ask(X)


def test_decay_that_is_too_high_is_named(few):
    images, names, _ = few
    for optimiser in ("sgd", "momentum", "nesterov", "adamw"):
        heavy = replace(CLASSIC, optimiser=optimiser, weight_decay=500.0, learning_rate=0.1)
        model = quick(recipe=heavy, epochs=60)
        with pytest.raises(TrainingDiverged, match=r"weight_decay 500 is too high; try a tenth"):
            model.fit(images, names)
    hot = replace(CLASSIC, activation="relu", weight_decay=0.01, learning_rate=1e30)
    with pytest.raises(TrainingDiverged, match=r"learning rate 1e\+30 is too high"):
        quick(recipe=hot).fit(images, names)


def test_a_fit_that_learned_nothing_says_so(drawn):
    images, names, _ = drawn
    with pytest.warns(UserWarning, match=r"ran away.*learning rate 1e\+09 is too high"):
        quick(recipe="classic", epochs=1, learning_rate=1e9).fit(images, names)
    with pytest.warns(UserWarning, match=r"hardly anything was learned.*train longer"):
        quick(recipe="classic", epochs=1, learning_rate=1e-9).fit(images, names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(recipe="classic", epochs=15, learning_rate=0.3).fit(images, names)
