"""npz files in Keras' layout: every shape and type that is read, and each limit from both sides."""

import zipfile

import numpy as np
import pytest
from commandline import call

from lenet_xp.data import arrays as limits
from lenet_xp.data.sources import framing_of, load_dataset
from lenet_xp.data.splits import make_split
from lenet_xp.errors import InputError
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops

__all__ = ["call"]  # the fixture

X_TRAIN, X_TEST = (np.zeros((n, 28, 28), np.uint8) for n in (6, 3))
for place, picture in enumerate([*X_TRAIN, *X_TEST]):  # views, each with a bar of its own
    picture[2 + 2 * place : 6 + 2 * place, 3:20] = 255
    picture[12, 24] = 9 * place
Y_TRAIN, Y_TEST = np.array([0, 1, 2, 0, 1, 2]), np.array([2, 0, 1])


def loaded(tmp_path, **changes):
    arrays = {"x_train": X_TRAIN, "y_train": Y_TRAIN, "x_test": X_TEST, "y_test": Y_TEST} | changes
    np.savez(tmp_path / "a.npz", **arrays)
    return load_dataset(tmp_path / "a.npz", cache=False, progress=False)


def test_images_labels_and_names_come_training_first(tmp_path):
    found = loaded(tmp_path)
    assert found.labels.tolist() == [*Y_TRAIN, *Y_TEST] and found.labels.dtype == np.int64
    assert (found.class_names, found.source_train) == (("0", "1", "2"), 6)
    assert len({image.tobytes() for image in found.images}) == 9
    swapped = loaded(tmp_path, x_test=X_TRAIN[:3])
    np.testing.assert_array_equal(swapped.images[6:], found.images[:3])


def test_grey_colour_and_alpha_are_read(tmp_path):
    """Opaque colours whose three channels are equal are grey."""
    expected = loaded(tmp_path).images
    for channels in (1, 3, 4):
        parts = {}
        for name, x in (("x_train", X_TRAIN), ("x_test", X_TEST)):
            parts[name] = np.repeat(x[..., None], channels, axis=3)
            parts[name][..., 3:] = 255
        found = loaded(tmp_path, **parts).images
        assert np.abs(found.astype(int) - expected).max() <= 2
    for channels in (2, 5):
        with pytest.raises(InputError, match=r"x_test: has shape \(3, 28, 28, .\)"):
            loaded(tmp_path, x_test=np.repeat(X_TEST[..., None], channels, axis=3))


@pytest.mark.parametrize("kind", ["i1", "u1", "i4", "u8"])
def test_labels_of_any_whole_numbers_are_read_flat_or_as_a_column(tmp_path, kind):
    flat = loaded(tmp_path, y_train=Y_TRAIN.astype(kind), y_test=Y_TEST[:, None].astype(kind))
    assert flat.labels.tolist() == [*Y_TRAIN, *Y_TEST]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"y_train": Y_TRAIN / 2}, "y_train: is .* of float64"),
        ({"y_train": Y_TRAIN + np.inf}, "y_train: is .* of float64"),
        ({"y_train": Y_TRAIN * np.nan}, "y_train: is .* of float64"),
        ({"y_train": Y_TRAIN.astype(np.uint64) + np.uint64(2**63)}, "y_train: is .* of uint64"),
        ({"y_train": np.eye(6)[:, :3]}, r"y_train: is \(6, 3\)"),  # rows without a 1
        ({"y_train": np.eye(3)[Y_TRAIN] * 0.9}, r"y_train: is \(6, 3\)"),
        ({"y_train": np.array([*"ababa", ""]), "y_test": np.array([*"aba"])}, "no printable text"),
        ({"y_test": np.array(["0", "1", "2"])}, "y_test has the label '0', which y_train never"),
        ({"y_train": Y_TRAIN[:, None].repeat(2, 1)}, r"y_train: is \(6, 2\)"),
        ({"y_train": Y_TRAIN[:5]}, "x_train holds 6 images, y_train 5 labels"),
        ({"y_train": np.array([0, 0, 0, 0, 0, 0])}, "y_train has the one label 0"),
        ({"y_test": np.array([0, 1, 3])}, "y_test has the label 3"),
        ({"y_test": np.array([0, 1, -1])}, "y_test has the label"),
        ({"x_test": X_TEST.astype(np.int16) - 1}, "x_test: has values -1 to 254"),
        ({"x_test": X_TEST.astype(complex)}, "x_test: is of complex128"),
        ({"x_test": X_TEST[:0], "y_test": Y_TEST[:0]}, r"x_test: has shape \(0, 28, 28\)"),
        ({"x_test": X_TEST[:, 0]}, r"x_test: has shape \(3, 28\)"),
        ({"x_test": X_TEST[:, :3]}, r"x_test: has shape \(3, 3, 28\)"),
        ({"x_test": X_TEST[:, :, :3]}, r"x_test: has shape \(3, 28, 3\)"),
        ({"x_test": X_TEST / 255 - 0.1}, "x_test: has values -0.1"),
        ({"x_test": X_TEST * 1.01 + 1}, "x_test: has values .* to 25"),
        ({"x_test": np.full((3, 28, 28), np.nan)}, "x_test: has values"),
        ({"class_names": np.array(["a", "b"])}, "class_names must be 3 different strings"),
        ({"class_names": np.array(["a", "b", "b"])}, "class_names must be 3 different strings"),
        ({"class_names": np.array([1, 2, 3])}, "class_names must be 3 different strings"),
        ({"class_names": np.array(["a", "b", "c\n"])}, "no printable text"),
    ],
)
def test_what_is_refused_and_why(tmp_path, changes, word):
    with pytest.raises(InputError, match=word) as caught:
        loaded(tmp_path, **changes)
    assert "\n" not in str(caught.value) and "a.npz" in str(caught.value)


@pytest.mark.parametrize("kind", ["i2", "i8", ">i4", "u8", "f4"])
def test_pictures_of_any_numbers_are_read(tmp_path, kind):
    found = loaded(tmp_path, x_test=X_TEST.astype(kind), x_train=X_TRAIN.astype(kind))
    np.testing.assert_array_equal(found.images, loaded(tmp_path).images)


@pytest.mark.parametrize("kind", [bool, "u1", "i8", "f8"])
def test_pictures_of_two_values_are_black_and_white(tmp_path, kind):
    two = {"x_train": X_TRAIN == 255, "x_test": X_TEST == 255}
    expected = loaded(tmp_path, **{name: np.uint8(255) * x for name, x in two.items()})
    found = loaded(tmp_path, **{name: x.astype(kind) for name, x in two.items()})
    np.testing.assert_array_equal(found.images, expected.images)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ((0.0, 1.0, 2.0), ("0", "1", "2")),
        ((1, 2, 3), ("1", "2", "3")),
        ((-1, 5, 40), ("-1", "5", "40")),
        (("ya", "yab", "yach"), ("ya", "yab", "yach")),
        (("2", "10", "ⵣ"), ("2", "10", "ⵣ")),
        (((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1)), ("0", "1", "3")),
        (((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)), ("0", "1", "2")),
        (((True, False, False), (False, True, False), (False, False, True)), ("0", "1", "2")),
    ],
)
def test_labels_are_the_names_of_the_classes_sorted(tmp_path, labels, names):
    table = np.array(labels)
    found = loaded(tmp_path, y_train=table[Y_TRAIN], y_test=table[Y_TEST])
    assert found.class_names == names and found.labels.tolist() == [*Y_TRAIN, *Y_TEST]


def test_names_go_with_labels_in_their_order(tmp_path):
    named = {"class_names": np.array(["a", "b", "c"])}
    found = loaded(tmp_path, y_train=Y_TRAIN * 7 - 3, y_test=Y_TEST * 7 - 3, **named)
    assert found.class_names == ("a", "b", "c") and found.labels.tolist() == [*Y_TRAIN, *Y_TEST]


@pytest.mark.parametrize(
    ("x", "y"), [("x", "y"), ("X", "y"), ("images", "labels"), ("data", "target")]
)
@pytest.mark.parametrize("flat", [False, True])
def test_pictures_and_labels_alone_have_no_test_set(tmp_path, x, y, flat):
    pictures = X_TRAIN.reshape(6, -1) if flat else X_TRAIN
    np.savez(tmp_path / "b.npz", **{x: pictures, y: Y_TRAIN, "more": Y_TEST})
    found = load_dataset(tmp_path / "b.npz", cache=False, progress=False)
    assert (found.source_train, found.source_val, len(found)) == (None, 0, 6)
    assert found.left_out == (("more.npy", "is none of the arrays that are read from such a file"),)
    np.testing.assert_array_equal(found.images, loaded(tmp_path).images[:6])


def test_a_part_of_its_own_validates(tmp_path):
    found = loaded(tmp_path, x_val=X_TEST[1:], y_val=Y_TEST[1:])
    assert (found.source_train, found.source_val, len(found)) == (6, 2, 11)
    assert found.labels.tolist() == [*Y_TRAIN, *Y_TEST[1:], *Y_TEST]
    split = make_split(found)
    assert (split.train.tolist(), split.val.tolist()) == (list(range(6)), [6, 7])
    assert (split.name, split.test.tolist()) == ("source", [8, 9, 10])


def test_what_is_just_as_small_or_large_as_allowed_is_read(tmp_path):
    assert len(loaded(tmp_path, x_test=X_TEST[:, :4, :4])) == 9
    for scale in (1.0, 1 / 255):  # floats of 0..255 and of 0..1
        full = X_TEST.copy()
        full[:, 0, 0] = 255
        found = loaded(tmp_path, x_test=full * scale).images[6:]
        np.testing.assert_array_equal(found, loaded(tmp_path, x_test=full).images[6:])
    named = loaded(tmp_path, class_names=np.array(["ya", "yab", "yach"]))
    assert named.class_names == ("ya", "yab", "yach")
    assert len(loaded(tmp_path, y_train=Y_TRAIN % 2, y_test=Y_TEST % 2).class_names) == 2


@pytest.mark.parametrize(
    ("limit", "value"), [("MAX_IMAGES", 9), ("MAX_VALUES", 9 * 28 * 28), ("MAX_PIXELS", 28 * 28)]
)
def test_limits_hold_for_both_parts_together(tmp_path, monkeypatch, limit, value):
    assert len(loaded(tmp_path)) == 9
    monkeypatch.setattr(limits, limit, value)
    assert len(loaded(tmp_path)) == 9
    monkeypatch.setattr(limits, limit, value - 1)
    with pytest.raises(InputError, match="at most"):
        loaded(tmp_path)


@pytest.mark.parametrize(("count", "word"), [(399, "399 images, y_train 6"), (400, "at most")])
def test_four_hundred_million_values_are_read_and_no_more(tmp_path, count, word):
    """A file that declares so much and holds none of it: the shapes alone are read."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name, array in (("x_test", X_TEST), ("y_train", Y_TRAIN), ("y_test", Y_TEST)):
            with archive.open(f"{name}.npy", "w") as file:
                np.save(file, array)
        with archive.open("x_train.npy", "w") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (count, 1000, 1000)}
            np.lib.format.write_array_header_1_0(file, header)
        archive.getinfo("x_train.npy").file_size = 2**29
    with pytest.raises(InputError, match=word):
        load_dataset(tmp_path / "a.npz", cache=False, progress=False)


def test_its_pictures_keep_their_frames(tmp_path, call):
    """Digits are framed by their data set: neither reading nor training cuts them."""
    found = loaded(tmp_path)
    assert not found.images[:, :2].any() and not found.images[:, :, -4:].any()
    many = {"x_train": np.tile(X_TRAIN, (20, 1, 1)), "y_train": np.tile(Y_TRAIN, 20)}
    loaded(tmp_path, **many)
    outcome = call(
        *("train", "--data", str(tmp_path / "a.npz"), "--epochs", "1", "--no-plots"),
        *("--allow-overlap", "--no-cache", "--out"),
        str(tmp_path / "run"),
    )
    assert outcome.status == 0, outcome.err
    assert load_model(tmp_path / "run/model.npz", get_ops("numpy")).preprocessing.framing == "keep"
    assert framing_of("synthetic") == "cut" and framing_of(tmp_path) == "cut"
