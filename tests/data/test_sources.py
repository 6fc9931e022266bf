"""Sources: folders, archives, .npz, Kaggle and generated letters give one kind of data set."""

import os
import stat
import sys
import types
import zipfile

import numpy as np
import pytest

from lenet_xp.commands.train import train
from lenet_xp.data import sources
from lenet_xp.data.dataset import Dataset
from lenet_xp.data.sources import Source, load_dataset
from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letters
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2

CLASSES = ("ya", "yab", "yach")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LENET_XP_CACHE", str(tmp_path / "cache"))


def jpeg(number):
    """A JPEG file's bytes with a stroke at a height of its own."""
    picture = np.full((64, 64), 250, np.uint8)
    picture[4 * number % 60 : 4 * number % 60 + 4] = 30
    return cv2.imencode(".jpeg", picture)[1].tobytes()


def members(root="AMHCD_64/AMHCD_64", classes=CLASSES, count=11):
    return {
        f"{root}/{name}/{name}_{number}.jpeg".lstrip("/"): jpeg(number + 3 * label)
        for label, name in enumerate(classes)
        for number in range(1, count + 1)
    }


def as_zip(path, content):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def as_folder(path, content):
    for name, data in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def load(source, **options):
    return load_dataset(source, progress=False, **options)


def assert_refused(source, *words, **options):
    with pytest.raises(InputError) as caught:
        load(source, cache=False, **options)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def assert_same(one, other):
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert (one.class_names, one.files) == (other.class_names, other.files)


MAKERS = pytest.mark.parametrize("made", [as_zip, as_folder])


def test_a_zip_and_a_folder_give_the_same(tmp_path):
    zipped = load(as_zip(tmp_path / "letters.zip", members()))
    assert_same(zipped, load(as_folder(tmp_path / "letters", members())))
    assert zipped.name == "letters" and zipped.class_names == CLASSES
    assert zipped.images.shape == (33, 32, 32) and zipped.images.dtype == np.uint8
    assert zipped.labels.dtype == np.int64 and zipped.labels.tolist() == sorted([0, 1, 2] * 11)
    assert zipped.files[:2] == ("ya/ya_1.jpeg", "ya/ya_2.jpeg")  # 2 before 10
    assert zipped.source_train is None and zipped.skipped == ()


def test_each_image_is_what_preprocessing_makes_of_it(tmp_path):
    preprocessing = Preprocessing(size=28, contrast=False)
    data = load(as_zip(tmp_path / "a.zip", members()), preprocessing=preprocessing)
    picture = cv2.imdecode(np.frombuffer(jpeg(5 + 3), np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(
        data.images[data.files.index("yab/yab_5.jpeg")], preprocessing.apply(picture)
    )


@MAKERS
@pytest.mark.parametrize("root", ["", "a", "a/b/c"])
def test_any_depth_and_stray_files(tmp_path, made, root):
    plain = members(root)
    stray = {
        "Thumbs.db": b"x",
        ".DS_Store": b"x",
        "readme.txt": b"x",
        "__MACOSX/ya/._ya_1.jpeg": b"x",
        f"{root}/ya/Thumbs.db".lstrip("/"): b"x",
        f"{root}/ya/._ya_1.jpeg".lstrip("/"): b"x",
        f"{root}/preview.jpeg".lstrip("/"): jpeg(1),
        ".git/x/a.png": b"x",
    }
    data = load(made(tmp_path / "source.zip", plain | stray))
    assert len(data) == 33 and data.class_names == CLASSES


@MAKERS
def test_the_same_tree_twice_is_read_once(tmp_path, made):
    twice = members("amhcd_64/AMHCD_64") | members("AMHCD_64/AMHCD_64")
    assert_same(
        load(made(tmp_path / "twice.zip", twice)), load(made(tmp_path / "once.zip", members()))
    )


@MAKERS
def test_two_different_trees_are_refused(tmp_path, made):
    other = {name: jpeg(50 + i) for i, name in enumerate(members("new"))}
    assert_refused(made(tmp_path / "a.zip", members("old") | other), "old", "new", "a.zip")


@MAKERS
@pytest.mark.parametrize(
    "content, word",
    [
        ({"readme.txt": b"x"}, "no images"),
        (members(classes=("ya",)), "one class"),
        ({"a.jpeg": jpeg(1), "b.jpeg": jpeg(2)}, "class"),
        ({}, "no images"),
    ],
)
def test_no_or_one_class_is_refused(tmp_path, made, content, word):
    if made is as_folder:
        (tmp_path / "source.zip").mkdir()
    assert_refused(made(tmp_path / "source.zip", content), word, "source.zip")


def test_an_empty_class_folder_is_refused(tmp_path):
    folder = as_folder(tmp_path / "folder", members())
    (folder / "AMHCD_64/AMHCD_64/yad").mkdir()
    assert_refused(folder, "yad", "no image")
    assert_refused(as_zip(tmp_path / "a.zip", members() | {"AMHCD_64/AMHCD_64/yad/": b""}), "yad")


@MAKERS
def test_a_bad_image_is_named_or_skipped(tmp_path, made):
    content = members()
    names = list(content)
    content[names[0]] = content[names[0]][:200]
    content[names[20]] = b"text"
    source = made(tmp_path / "a.zip", content)
    assert_refused(source, names[0], "cut short", "2 such")
    data = load(source, skip_bad=True)
    assert len(data) == 31 == len(data.labels) == len(data.files)
    assert [file for file, _ in data.skipped] == ["ya/ya_1.jpeg", "yab/yab_10.jpeg"]
    assert "cut short" in data.skipped[0][1] and "ya_1" not in data.skipped[0][1]
    assert not {file for file, _ in data.skipped} & set(data.files)
    whole = load(made(tmp_path / "b.zip", members()))
    kept = [file in data.files for file in whole.files]
    np.testing.assert_array_equal(data.images, whole.images[kept])
    with pytest.raises(InputError):  # what was skipped once is not forgiven by the cache
        load(source)


@MAKERS
def test_a_class_without_a_good_image_is_refused_even_when_skipping(tmp_path, made):
    content = members()
    content |= {name: b"" for name in content if "/yab/" in name}
    assert_refused(made(tmp_path / "a.zip", content), "yab", skip_bad=True)


@pytest.mark.parametrize(
    "name",
    [
        "../ya/x.jpeg",
        "a/../../x.jpeg",
        "/ya/x.jpeg",
        "C:/ya/x.jpeg",
        "..\\x.jpeg",
        "c:\\x.jpeg",
        "\\x.jpeg",
        "..",
    ],
)
def test_paths_that_lead_out_of_the_archive_are_refused(tmp_path, name):
    assert_refused(as_zip(tmp_path / "a.zip", members() | {name: b"x"}), "leads out", "a.zip")


def test_a_link_in_an_archive_is_left_out(tmp_path):
    path = as_zip(tmp_path / "a.zip", members())
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("AMHCD_64/AMHCD_64/ya/link.jpeg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    data = load(path)
    assert len(data) == 33 and dict(data.left_out).keys() == {link.filename}
    assert "symbolic link" in data.left_out[0][1]


def test_a_name_twice_is_refused(tmp_path):
    path = as_zip(tmp_path / "a.zip", members())
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(next(iter(members())), b"other")
    assert_refused(path, "two members", "ya_1.jpeg")


def test_bombs_are_refused_unread(tmp_path):
    bomb = as_zip(tmp_path / "a.zip", members() | {"a/b/x.bmp": bytes(8 * 2**20)})
    assert_refused(bomb, "x.bmp", "too large")


def test_a_member_that_inflates_beyond_its_declared_size_is_damaged(tmp_path):
    path = as_zip(tmp_path / "a.zip", members())
    size = len(members()["AMHCD_64/AMHCD_64/ya/ya_1.jpeg"])
    data = path.read_bytes()
    directory = data.index(b"PK\x01\x02")
    old, new = size.to_bytes(4, "little"), (size - 9).to_bytes(4, "little")
    path.write_bytes(data[:directory] + data[directory:].replace(old, new, 1))
    assert_refused(path, "ya_1.jpeg", "damaged")


def test_an_encrypted_member_is_refused(tmp_path):
    path = as_zip(tmp_path / "a.zip", members())
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert_refused(path, "encrypted")


def test_damaged_archives_are_refused(tmp_path):
    path = as_zip(tmp_path / "a.zip", members())
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert_refused(path, "not a zip archive")
    path.write_bytes(b"")
    assert_refused(path, "not a zip archive")
    damaged = bytearray(data)
    damaged[200] ^= 255
    path.write_bytes(damaged)
    assert_refused(path, "ya_1.jpeg", "damaged")


def test_stored_members_are_read_and_other_compressions_refused(tmp_path):
    expected = load(as_zip(tmp_path / "a.zip", members()))
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / f"{kind}.zip", "w", kind) as archive:
            for name, data in members().items():
                archive.writestr(name, data)
    assert_same(load(tmp_path / f"{zipfile.ZIP_STORED}.zip"), expected)
    for kind in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert_refused(tmp_path / f"{kind}.zip", "that is not read; pack it with deflate")


@pytest.mark.parametrize("name", ["missing", "missing.zip", "missing.npz", "a\0b"])
def test_a_missing_path_says_what_is_accepted(tmp_path, name):
    assert_refused(tmp_path / name, "no such file", "amhcd", ".npz")


def test_another_kind_of_file_says_what_is_accepted(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"x")
    assert_refused(tmp_path / "a.tar", "a.tar", ".zip")


def keras(path, **changed):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (40, 28, 28)).astype(np.uint8),
        "y_train": np.arange(40) % 4,
        "x_test": rng.integers(0, 256, (8, 28, 28)).astype(np.uint8),
        "y_test": np.arange(8) % 4,
    }
    arrays = {name: each for name, each in (arrays | changed).items() if each is not None}
    np.savez(path, **arrays)
    return path, arrays


def test_npz_in_keras_layout(tmp_path):
    path, arrays = keras(tmp_path / "digits.npz")
    data = load(path)
    assert (len(data), data.source_train, data.class_names) == (48, 40, ("0", "1", "2", "3"))
    np.testing.assert_array_equal(data.labels, np.r_[arrays["y_train"], arrays["y_test"]])
    np.testing.assert_array_equal(data.images[41], Preprocessing().apply(arrays["x_test"][1]))
    names = np.array(["a", "b", "c", "d"])
    assert load(keras(tmp_path / "a.npz", class_names=names)[0]).class_names == tuple(names)


@pytest.mark.parametrize("scale, dtype", [(1, np.float32), (255, np.float64), (1, np.float16)])
def test_npz_of_floats_gives_what_uint8_gives(tmp_path, scale, dtype):
    path, arrays = keras(tmp_path / "a.npz")
    expected = load(path)
    floats = {name: (arrays[name] / 255 * scale).astype(dtype) for name in ("x_train", "x_test")}
    found = load(keras(tmp_path / "b.npz", **floats)[0])
    assert np.abs(found.images.astype(int) - expected.images).max() <= 1


NAN = np.full((8, 28, 28), np.nan, np.float32)


@pytest.mark.parametrize(
    "changed, word",
    [
        ({"x_test": None}, "x_test"),
        ({"y_train": np.arange(39) % 4}, "39"),
        ({"y_train": np.arange(40) % 4 + 1}, "y_test has the label 0"),
        ({"y_test": np.arange(8)}, "y_test"),
        ({"y_test": np.arange(8) % 4 - 1}, "y_test has the label -1"),
        ({"y_test": np.arange(8) / 2}, "whole numbers"),
        ({"y_test": np.eye(8) / 2}, "one 1 in a row"),
        ({"x_test": NAN}, "nan"),
        ({"x_test": NAN * 0 - 1}, "x_test"),
        ({"x_test": np.full((8, 28, 28), 256.0)}, "256"),
        ({"x_test": np.zeros((8, 785))}, "shape"),
        ({"x_test": np.zeros((8, 28, 28), complex)}, "complex128"),
        ({"x_test": np.zeros((0, 28, 28))}, "a picture or more"),
        ({"x_test": np.zeros((8, 2, 2), np.uint8)}, "4 pixels"),
        ({"x_test": np.array([None] * 8)}, "pickle"),
        ({"y_train": np.zeros(40, int), "y_test": np.zeros(8, int)}, "two or more"),
        ({"class_names": np.array(["a", "b"])}, "class_names"),
        ({"class_names": np.arange(4)}, "class_names"),
    ],
)
def test_bad_npz_is_refused(tmp_path, changed, word):
    assert_refused(keras(tmp_path / "a.npz", **changed)[0], "a.npz", word)


def test_a_damaged_npz_is_refused(tmp_path):
    path, _ = keras(tmp_path / "a.npz")
    data = path.read_bytes()
    for content in (b"", b"text", data[:-500], data[:900] + b"\0\1\2" + data[903:], b"\x93NUMPY"):
        path.write_bytes(content)
        assert_refused(path, "a.npz", "no .npz file")


def fake_kagglehub(monkeypatch, download):
    module = types.SimpleNamespace(dataset_download=download)
    monkeypatch.setitem(sys.modules, "kagglehub", module)


def test_amhcd_comes_from_kaggle_and_holds_its_tree_twice(tmp_path, monkeypatch):
    twice = members("amhcd_64/AMHCD_64") | members("AMHCD_64/AMHCD_64")
    folder = as_folder(tmp_path / "versions" / "1", twice)
    asked = []
    fake_kagglehub(monkeypatch, lambda handle: asked.append(handle) or str(folder))
    data = load("amhcd")
    assert (len(data), data.name) == (33, "amhcd")
    assert asked == ["benaddym/amazigh-handwritten-character-database-amhcd"]


def test_amhcd_offline_names_the_page(monkeypatch):
    def offline(handle):
        raise ConnectionError("Max retries exceeded\nwith url ...")

    fake_kagglehub(monkeypatch, offline)
    assert_refused("amhcd", "https://www.kaggle.com/datasets/benaddym", "Max retries", "zip")


def test_amhcd_without_kagglehub_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    assert_refused("amhcd", "pip install kagglehub", "https://www.kaggle.com")


@pytest.mark.parametrize("source", ["synthetic", "print"])
def test_generated_letters_are_preprocessed_like_all_others(source):
    data = load(source, samples_per_class=3, seed=5)
    assert data.name == source
    assert data.class_names == tuple(letter.name for letter in letters())
    pictures, labels = sources.GENERATORS[source](3, 5)
    np.testing.assert_array_equal(data.labels, labels)
    dark = Preprocessing(polarity="dark-on-light")  # bold print covers most of its picture
    np.testing.assert_array_equal(data.images, dark.apply_all(pictures))
    for wrong in ({"samples_per_class": 0}, {"seed": -1}):
        assert_refused(source, "samples per class", **wrong)


def test_a_new_source_is_its_reader_and_a_row_of_the_table(tmp_path, monkeypatch, capsys):
    def read_sizes(request):
        """One blank image for each line of a text file."""
        count = len(request.path.read_text().splitlines())
        images = np.zeros((count, request.preprocessing.size, request.preprocessing.size), np.uint8)
        return Dataset(request.name, images, np.arange(count) % 2, ("a", "b"))

    row = Source(
        "a .lines file",
        lambda source: str(source).endswith(".lines"),
        read_sizes,
        lambda request: f"lines {request.path.read_text()}",
    )
    monkeypatch.setattr(sources, "SOURCES", (*sources.SOURCES, row))
    path = tmp_path / "blank.lines"
    path.write_text("1\n2\n3\n")
    for _ in range(2):  # read, and then out of the cache
        data = load(path, preprocessing=Preprocessing(size=28))
        assert (data.name, data.images.shape, data.class_names) == (
            "blank",
            (3, 28, 28),
            ("a", "b"),
        )
    assert len(list((tmp_path / "cache").iterdir())) == 1
    path.write_text("1\n")
    assert len(load(path)) == 1
    assert_refused(tmp_path / "missing", "no such file", "or a .lines file")
    with pytest.raises(SystemExit):
        train(["--help"])
    assert "or a .lines file (default: synthetic)" in " ".join(capsys.readouterr().out.split())


def test_progress_in_a_log_is_one_line_on_stderr(tmp_path, capfd):
    load_dataset(as_zip(tmp_path / "a.zip", members()), cache=False)
    out, err = capfd.readouterr()
    assert out == "" and err == "a: 33 images\n"
    load_dataset(as_folder(tmp_path / "a\x1b[2Jb", members()), cache=False)
    assert capfd.readouterr().err == "a\\x1b[2Jb: 33 images\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_refused(tmp_path):
    folder = as_folder(tmp_path / "a", members())
    folder.chmod(0)
    assert_refused(folder, "cannot be read")


def test_amhcd_itself(shared):
    data = load(shared / "amhcd_64.zip")
    assert data.images.shape == (25740, 32, 32)
    assert data.class_names == tuple(letter.name for letter in letters())
    np.testing.assert_array_equal(np.bincount(data.labels), [780] * 33)
    assert data.files[779:781] == ("ya/ya_780.jpeg", "yab/yab_1.jpeg")
    top_of_ya = data.images[data.labels == 0][:, :12]
    assert np.median(top_of_ya.mean((1, 2))) < 3


def test_a_set_that_holds_a_copy_of_itself_is_read_once(tmp_path):
    """The copy's folder is no class folder that lacks images."""
    for root in (tmp_path, tmp_path / "copy"):
        for name in ("ya", "yab"):
            (root / name).mkdir(parents=True)
            picture = np.full((20, 20), 200 if name == "ya" else 100, np.uint8)
            cv2.imwrite(str(root / name / "1.png"), picture)
    dataset = load_dataset(tmp_path, cache=False)
    assert dataset.class_names == ("ya", "yab") and len(dataset) == 2
    assert dataset.left_out == (
        ("copy/ya/1.png", "is the same as ya/1.png"),
        ("copy/yab/1.png", "is the same as yab/1.png"),
    )
