"""Splits: disjoint, complete, stratified, repeatable, and the seed's test set exactly.

What they must not share, identical images and writers, is looked for with plain Python sets.
"""

from itertools import combinations

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import FOLDS, Overlap, Split, find_overlap, honest_split, make_split
from lenet_xp.data.writers import writers_of
from lenet_xp.errors import InputError

SIDES = ("train", "val", "test")


def dataset(counts=(100, 60, 40), source_train=None):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    names = tuple("abcdefgh"[: len(counts)])
    images = np.zeros((len(labels), 8, 8), np.uint8)
    return Dataset("made", images, labels, names, source_train=source_train)


def twins(count=300, kinds=200, source_train=None):
    """`count` images of which only `kinds` differ, in three classes."""
    rng = np.random.default_rng(1)
    which = np.concatenate([np.arange(kinds), rng.integers(0, kinds, count - kinds)])
    images = rng.integers(0, 256, (kinds, 8, 8), np.uint8)[which]
    return Dataset("twins", images, which % 3, ("a", "b", "c"), source_train=source_train)


def shared_images(data, split):
    """How many different images stand on two sides."""
    sides = [{data.images[i].tobytes() for i in getattr(split, side)} for side in SIDES]
    return sum(len(one & other) for one, other in combinations(sides, 2))


@pytest.mark.parametrize("source_train", [None, 150])
def test_every_image_is_in_one_part(source_train):
    data = dataset(source_train=source_train)
    split = make_split(data)
    together = np.concatenate([split.train, split.val, split.test])
    np.testing.assert_array_equal(np.sort(together), np.arange(len(data)))
    again = make_split(data)
    for part in SIDES:
        np.testing.assert_array_equal(getattr(split, part), getattr(again, part))


def test_seed_split_is_the_seed_projects_with_validation_from_its_training_part():
    data = dataset()
    split = make_split(data, "seed")
    train, test = train_test_split(
        np.arange(200), test_size=0.2, stratify=data.labels, random_state=42
    )
    np.testing.assert_array_equal(split.test, test)
    assert set(split.val) < set(train) and (len(split.train), len(split.val)) == (144, 16)
    np.testing.assert_array_equal(np.bincount(data.labels[split.test]), [20, 12, 8])
    np.testing.assert_array_equal(np.bincount(data.labels[split.val]), [8, 5, 3])


def test_source_split_keeps_the_sources_own_test_set():
    split = make_split(dataset(source_train=150))
    assert split.name == "source"
    np.testing.assert_array_equal(split.test, np.arange(150, 200))
    assert (len(split.train), len(split.val)) == (135, 15)
    assert make_split(dataset(source_train=150), "seed").name == "seed"
    assert make_split(dataset()).name == "seed"


@pytest.mark.parametrize(
    "data, name, word",
    [
        (dataset(), "writers", "'writers'"),
        (dataset(), "writer", "made: nobody knows who wrote"),
        (dataset((40, 1)), "random", "too few"),
        (dataset((40, 0, 40)), "kfold", "too few"),
        (dataset(), "source", "no test set"),
        (dataset((40, 1)), "seed", "'b'"),
        (dataset((40, 0, 40)), "seed", "'b'"),
        (dataset((3, 3, 3)), "seed", "too few"),
        (dataset((2, 2, 2), 4), "source", "too few"),
        (dataset((1,) * 8), None, "too few"),
        (dataset((30, 2)), "seed", "'b'"),
    ],
)
def test_what_cannot_be_split_is_refused(data, name, word):
    with pytest.raises(InputError, match=word) as caught:
        make_split(data, name)
    assert "\n" not in str(caught.value)


def test_mnist_has_its_own_10000_test_images():
    labels = np.arange(70_000) % 10
    images = np.zeros((70_000, 1, 1), np.uint8)
    split = make_split(Dataset("mnist", images, labels, tuple("0123456789"), source_train=60_000))
    assert (len(split.train), len(split.val), len(split.test)) == (54_000, 6_000, 10_000)
    assert split.test.min() == 60_000


@pytest.mark.parametrize(("name", "fold"), [("random", 0), *(("kfold", f) for f in range(5))])
def test_identical_images_stay_on_one_side(name, fold):
    data = twins(230)
    split = make_split(data, name, fold)
    assert (split.name, split.fold) == (name, fold)
    assert shared_images(data, split) == 0 < shared_images(data, make_split(data, "seed"))
    together = np.concatenate([split.train, split.val, split.test])
    np.testing.assert_array_equal(np.sort(together), np.arange(len(data)))
    for side, share in zip(SIDES, (0.7, 0.1, 0.2), strict=True):
        of_each_class = np.bincount(data.labels[getattr(split, side)], minlength=3)
        of_each_class = of_each_class / np.bincount(data.labels)
        np.testing.assert_allclose(of_each_class, share, atol=0.06)  # twins weigh more than one
    np.testing.assert_array_equal(split.test, make_split(data, name, fold).test)


def test_each_image_is_tested_in_one_of_the_folds():
    data = twins()
    tested = np.concatenate([make_split(data, "kfold", fold).test for fold in range(5)])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(data)))


@pytest.mark.parametrize(
    ("name", "fold"), [("seed", 1), ("source", 1), ("random", 1), ("kfold", 5), ("kfold", -1)]
)
def test_a_fold_that_is_none_is_refused(name, fold):
    folds = "0 to 4" if name == "kfold" else "only 0"
    with pytest.raises(InputError, match=f"'{name}' has no fold {fold}; it has {folds}$"):
        make_split(dataset(), name, fold)


def test_the_folds_need_five_different_images_of_each_class():
    for count in (4, 5):
        labels = np.repeat(np.arange(3), (40, count, 40))
        images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1)
        data = Dataset("made", images, labels, (*"abc",))
        if count == 5:
            for fold in range(5):
                tested = data.labels[make_split(data, "kfold", fold).test]
                assert np.bincount(tested).tolist() == [8, 1, 8]
        else:
            with pytest.raises(InputError, match=r"too few .* \(4 of class 'b'\)"):
                make_split(data, "kfold")


def test_as_many_images_as_the_error_asks_for_are_enough():
    with pytest.raises(InputError, match="give at least 15 of each"):
        make_split(dataset((3, 3, 3)), "seed")
    for classes in (2, 3, 8):
        split = make_split(dataset((15,) * classes), "seed")
        assert len(split.test) == 3 * classes


def test_the_seed_split_keeps_its_test_set_and_loses_what_leaks():
    data = twins()
    split, overlap = honest_split(data, "seed")
    whole = make_split(data, "seed")
    assert shared_images(data, split) == 0
    np.testing.assert_array_equal(split.test, whole.test)
    tested, judged = ({data.images[i].tobytes() for i in part} for part in (whole.test, whole.val))
    leaking = [sum(data.images[i].tobytes() in tested for i in p) for p in (whole.train, whole.val)]
    assert [overlap.train_test, overlap.val_test] == leaking and min(leaking) > 0
    assert overlap.train_val == sum(data.images[i].tobytes() in judged for i in whole.train)
    assert overlap.dropped == 300 - sum(len(getattr(split, side)) for side in SIDES)
    # What is left is what was there, in its order, less the images that leak and no others.
    own = {data.images[i].tobytes() for i in split.val}
    kept = [i for i in whole.train if data.images[i].tobytes() not in tested | own]
    np.testing.assert_array_equal(split.train, kept)


def test_an_overlap_is_kept_on_request_and_else_refused():
    data = twins(source_train=200)
    with pytest.raises(InputError, match=r"twins.*--split random.*--allow-overlap") as caught:
        honest_split(data)
    assert "\n" not in str(caught.value)
    split, overlap = honest_split(data, allow_overlap=True)
    assert (len(split.train), len(split.val), len(split.test)) == (180, 20, 100)
    assert overlap.train_test + overlap.val_test > 0 == overlap.dropped
    clean = dataset()
    clean = Dataset(
        "clean", np.arange(200, dtype=np.uint8).reshape(-1, 1, 1), clean.labels, ("a", "b", "c")
    )
    assert honest_split(clean)[1] == Overlap(0, 0, 0)
    with pytest.raises(InputError, match="none is left"):
        honest_split(dataset())  # two hundred times the same image


@pytest.mark.parametrize(
    ("sides", "shared"),
    [
        (([0, 1], [2], [1, 3]), Overlap(1, 0, 0)),
        (([0, 1], [2, 4], [4, 4, 3]), Overlap(0, 1, 0)),
        (([0, 1, 1], [1], [3]), Overlap(0, 0, 2)),
        (([0], [1], [2]), Overlap(0, 0, 0)),
    ],
)
def test_an_overlap_of_any_two_sides_is_one(sides, shared):
    """The groups of the sides' images are given; the images lie side after side."""
    ends = np.cumsum([len(side) for side in sides])
    places = np.split(np.arange(ends[-1]), ends[:-1])
    split = Split("made", *places)
    assert split.fold == 0
    found = find_overlap(np.concatenate(sides), split)
    assert found == shared and bool(found) == (shared != Overlap(0, 0, 0))


def test_a_seed_split_that_leaks_a_whole_side_is_refused():
    """All validation images, or all training images of a class, are also test images."""
    clean = dataset()
    images = np.arange(200, dtype=np.uint8).reshape(-1, 1, 1).repeat(8, 1)
    split = make_split(clean, "seed")

    def leaking(side, keep):
        pictures = images.copy()
        for label in range(3):
            tested = split.test[clean.labels[split.test] == label][0]
            leaked = side[clean.labels[side] == label]
            pictures[leaked if label not in keep else leaked[:0]] = images[tested]
        return Dataset("leaky", pictures, clean.labels, clean.class_names)

    with pytest.raises(InputError, match=r"leaky.* none is left to validate on"):
        honest_split(leaking(split.val, ()), "seed")
    with pytest.raises(InputError, match=r"leaky.* none is left of class 'b' to train on"):
        honest_split(leaking(split.train, (0, 2)), "seed")


def test_a_tenth_that_holds_each_class_once_is_enough():
    def source(count):
        labels = np.arange(count + 3) % 3
        images = np.zeros((count + 3, 1, 1), np.uint8)
        return Dataset("made", images, labels, (*"abc",), source_train=count)

    split = make_split(source(30))
    assert sorted(source(30).labels[split.val]) == [0, 1, 2]
    with pytest.raises(InputError, match="too few"):
        make_split(source(27))


def test_two_images_of_a_class_are_enough_where_the_draw_parts_them():
    labels = np.repeat(np.arange(5), (2, 11, 11, 11, 20))
    data = Dataset(
        "made",
        np.zeros((60, 1, 1), np.uint8),
        np.append(labels, range(5)),
        (*"abcde",),
        source_train=55,
    )
    split = make_split(data, "source")
    assert [np.count_nonzero(data.labels[side] == 0) for side in (split.train, split.val)] == [1, 1]


@pytest.fixture(scope="module")
def amhcd(shared):
    return load_dataset(shared / "amhcd_64.zip", cache=False, progress=False)


def test_no_writer_of_amhcd_is_on_two_sides_and_each_is_tested_once(amhcd):
    writers = writers_of(amhcd)
    tested = []
    for fold in range(FOLDS["writer"]):
        split = make_split(amhcd, "writer", fold)
        sides = [set(writers[getattr(split, side)].tolist()) for side in SIDES]
        assert [len(side) for side in sides] == [42, 6, 12]
        assert not any(one & other for one, other in combinations(sides, 2))
        assert shared_images(amhcd, split) == 0
        for side in SIDES:
            assert np.bincount(amhcd.labels[getattr(split, side)], minlength=33).min() >= 6 * 12
        tested.append(split.test)
        # Who may have been taken for one another stands on one side.
        for group in ({1, 4, 28, 29, 30, 33, 36, 37}, {16, 18, 45, 46, 47, 55}, {27, 34}, {11, 58}):
            assert sum(bool(group & side) for side in sides) == 1
    np.testing.assert_array_equal(np.sort(np.concatenate(tested)), np.arange(len(amhcd)))
    again = make_split(amhcd, "writer", 4)
    for side in SIDES:
        np.testing.assert_array_equal(getattr(split, side), getattr(again, side))


@pytest.mark.parametrize("name", ["random", "kfold"])
def test_no_image_of_amhcd_is_on_two_sides(amhcd, name):
    for fold in range(FOLDS[name]):
        assert shared_images(amhcd, make_split(amhcd, name, fold)) == 0


def test_the_seed_split_of_amhcd_leaks_34_images_and_loses_them(amhcd):
    split, overlap = honest_split(amhcd)
    assert overlap == Overlap(train_test=26, val_test=0, train_val=8, dropped=34)
    assert shared_images(amhcd, split) == 0
    np.testing.assert_array_equal(split.test, make_split(amhcd, "seed").test)


def test_few_images_without_two_that_differ_cannot_be_judged():
    for counts in ((1, 1), (6, 6)):  # of each class one image, or copies of one
        with pytest.raises(InputError, match="made: no class has two different images"):
            honest_split(dataset(counts))


def test_the_networks_that_judge_few_images_never_saw_one_of_them_under_another_label():
    one = np.random.default_rng(0).integers(0, 256, (5, 8, 8), np.uint8)
    data = Dataset("both", np.concatenate([one, one]), np.repeat([0, 1], 5), ("a", "b"))
    split, _ = honest_split(data)
    assert sorted(split.test) == list(range(10))
    for fold in set(split.folds):
        judged = split.test[split.folds == fold]
        seen = {data.images[i].tobytes() for i in np.setdiff1d(split.train, judged)}
        assert not seen & {data.images[i].tobytes() for i in judged}
