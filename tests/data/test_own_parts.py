"""Folders train, val and test as the data's own split; and loose files named by their class."""

import zipfile

import pytest
from commandline import QUICK, call, letters_folder

from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import make_split
from lenet_xp.errors import InputError

__all__ = ["call"]  # the fixture


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LENET_XP_CACHE", str(tmp_path / "cache"))


def pictures(tmp_path):
    """The bytes of different letters, without end."""
    letters_folder(tmp_path / "letters", 20)
    for path in sorted((tmp_path / "letters").rglob("*.jpeg")):
        yield path.read_bytes()


def as_folder(path, content):
    for name, data in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def as_zip(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


MAKERS = pytest.mark.parametrize("made", [as_folder, as_zip])


@pytest.fixture
def tree(tmp_path):
    """A function that gives content for names of files."""
    data = pictures(tmp_path)
    return lambda names: {name: next(data) for name in names}


def load(path, **how):
    return load_dataset(path, progress=False, **how)


def parts(*folders, classes=("ya", "yab"), count=3):
    return [f"{f}/{name}/{n}.png" for f in folders for name in classes for n in range(count)]


def sizes(data):
    split = make_split(data)
    assert split.name == "source"
    return [len(side) for side in (split.train, split.val, split.test)]


@MAKERS
@pytest.mark.parametrize(
    "folders",
    [
        ("train", "val", "test"),
        ("Training", "Validation", "Testing"),
        ("a/b/TRAIN", "a/b/dev", "a/b/test"),
        ("x/train", "x/valid", "x/TEST"),
    ],
)
def test_the_folders_of_parts_are_the_split(tmp_path, tree, made, folders):
    content = tree(parts(*folders))
    content |= tree(f"{folders[0]}/ya/{n}.png" for n in range(3, 8))
    source = made(tmp_path / "a.zip", content)
    for _ in range(2):  # the second time out of the cache
        data = load(source)
        assert sizes(data) == [11, 6, 6] and data.class_names == ("ya", "yab")
        assert (data.left_out, data.remarks) == ((), ())
        split = make_split(data)
        last = [folder.rpartition("/")[2] for folder in folders]
        for side, name in zip((split.train, split.val, split.test), last, strict=True):
            assert {data.files[i].split("/")[0] for i in side} == {name}
        assert all(
            data.class_names[y] == f.split("/")[1]
            for y, f in zip(data.labels, data.files, strict=True)
        )


@MAKERS
def test_without_validation_it_is_drawn_and_without_test_it_tests(tmp_path, tree, made):
    content = tree(parts("train", count=10)) | tree(parts("test", count=5))
    assert sizes(load(made(tmp_path / "a.zip", content))) == [18, 2, 10]
    renamed = {name.replace("test/", "valid/"): data for name, data in content.items()}
    assert sizes(load(made(tmp_path / "b.zip", renamed))) == [18, 2, 10]
    alone = {name: data for name, data in content.items() if name.startswith("train")}
    data = load(made(tmp_path / "c.zip", alone))
    assert data.source_train is None and data.files[0] == "ya/0.png"


@MAKERS
def test_a_class_of_one_part_is_refused_or_told(tmp_path, tree, made):
    content = tree(parts("train", "val", "test"))
    more = tree(f"train/yax/{n}.png" for n in range(3))
    data = load(made(tmp_path / "a.zip", content | more))
    assert data.remarks == ("class 'yax' has no test image",) and sizes(data) == [9, 6, 6]
    moved = {name.replace("train", "test"): each for name, each in more.items()}
    with pytest.raises(InputError, match=r"class 'yax' has no image to train on"):
        load(made(tmp_path / "b.zip", content | moved))


@MAKERS
def test_unreadable_images_leave_the_parts_in_order(tmp_path, tree, made):
    content = tree(parts("train", "val", "test"))
    content |= {"train/ya/0.png": b"x", "val/yab/2.png": b"x"}
    data = load(made(tmp_path / "a.zip", content), skip_bad=True)
    assert sizes(data) == [5, 5, 6]
    assert [file for file, _ in data.skipped] == ["train/ya/0.png", "val/yab/2.png"]


@MAKERS
def test_what_stands_beside_parts_is_listed(tmp_path, tree, made):
    content = tree(parts("d/train", "d/test"))
    loose = tree(["d/train/a.png", "d/b.png", "c.png", "d/train/ya/more/1.png"])
    data = load(made(tmp_path / "a.zip", content | loose | {"d/train/notes.txt": b"x" * 600}))
    assert len(data) == 12
    assert {file for file, _ in data.left_out} == {*loose, "d/train/notes.txt"}
    again = {name.replace("d/", "copy/"): each for name, each in content.items()}
    twice = load(made(tmp_path / "b.zip", content | again))
    assert len(twice) == 12 and len(twice.left_out) == 12
    other = dict(
        zip(
            [f"copy/{n}" for n in parts("train", "test")], list(content.values())[::-1], strict=True
        )
    )
    with pytest.raises(InputError, match="several different sets"):
        load(made(tmp_path / "c.zip", content | other))


@MAKERS
def test_an_empty_class_folder_of_a_part_is_refused(tmp_path, tree, made):
    source = made(tmp_path / "a.zip", tree(parts("train", "test")))
    if made is as_folder:
        (source / "train" / "yaz").mkdir()
    else:
        with zipfile.ZipFile(source, "a") as archive:
            archive.mkdir("train/yaz")
    with pytest.raises(InputError, match="class folder train/yaz holds no image"):
        load(source)


def test_a_table_of_files_in_such_folders_has_their_split(tmp_path, tree):
    names = parts("train", "val", "test")
    source = as_folder(tmp_path / "a", tree(names))
    rows = [f"{name},{name.split('/')[1]}" for name in names]
    (source / "all.csv").write_text("\n".join(["path,class", *rows[::-1]]))
    assert sizes(load(source / "all.csv")) == [6, 6, 6]
    (source / "all.csv").write_text("\n".join(["path,class", *rows, "a.png,ya"]))
    (source / "a.png").write_bytes((source / names[0]).read_bytes())
    assert load(source / "all.csv").source_train is None


def test_classes_may_have_the_names_of_parts(tmp_path, tree):
    data = load(
        as_folder(tmp_path / "a", tree(f"{c}/{n}.png" for c in ("test", "train") for n in "12"))
    )
    assert data.class_names == ("test", "train") and data.source_train is None


@MAKERS
@pytest.mark.parametrize("folder", ["", "photos/", "a/b/"])
def test_loose_files_are_named_by_their_class(tmp_path, tree, made, folder):
    names = ["ya_001.png", "ya-2.jpg", "ya003.png", "yab (3).png", "yab 4.png", "yab.5.png"]
    names += ["ⵣ_1.png", "ⵣ2.png", "y_a_1.png", "y_a_02.png"]
    odd = ["12.png", "2024-01-02 03.png", "notes.png", "_5.png", "ya_1_b.png"]
    source = made(tmp_path / "a.zip", tree(f"{folder}{name}" for name in (*names, *odd)))
    data = load(source)
    assert data.class_names == ("y_a", "ya", "yab", "ⵣ")
    found = [data.files[i].removeprefix(folder) for i in range(len(data))]
    assert sorted(found) == sorted(names)
    for file, label in zip(found, data.labels, strict=True):
        assert file.startswith(data.class_names[label])
    why = "has a name that gives no class"
    assert set(data.left_out) == {(f"{folder}{name}", why) for name in odd}


@MAKERS
def test_a_class_of_one_file_or_one_class_alone_is_refused_with_a_hint(tmp_path, tree, made):
    for number, names in enumerate(
        (["ya_1.png", "ya_2.png", "yab_1.png"], ["ya_1.png", "ya_2.png"])
    ):
        with pytest.raises(InputError, match=r"files named by class, such as ya_1.png, at least 2"):
            load(made(tmp_path / f"{number}.zip", tree(names)))


def test_class_folders_are_believed_before_names(tmp_path, tree):
    names = [f"{folder}/{name}_{n}.png" for folder in "ab" for name in ("ya", "yab") for n in "12"]
    assert load(as_folder(tmp_path / "a", tree(names))).class_names == ("a", "b")


def test_a_run_validates_and_tests_on_the_datas_own_parts(tmp_path, tree, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = as_folder(tmp_path / "a", tree(parts("train", "val", "test", count=5)))
    outcome = call("train", "--data", source, "--out", "run", "--allow-overlap", *QUICK)
    assert outcome.status == 0 and "10 training, 10 validation, 10 test images" in outcome.err
