"""Tables of labels: every spelling people have, what is left out and why, and what is refused."""

import csv
import io
import json
import os

import numpy as np
import pytest
from commandline import QUICK, call, letters_folder

from lenet_xp.data import label_table
from lenet_xp.data.sources import load_dataset
from lenet_xp.errors import InputError
from lenet_xp.training.plan import Plan
from lenet_xp.training.recipes import CLASSIC

__all__ = ["call"]  # the fixture


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LENET_XP_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path):
    """A folder with photos/0.jpeg to 8.jpeg, three each of ya, yan and yat."""
    letters_folder(tmp_path / "letters", 3)
    (tmp_path / "a" / "photos").mkdir(parents=True)
    for number, path in enumerate(sorted((tmp_path / "letters").rglob("*.jpeg"))):
        path.rename(tmp_path / "a" / "photos" / f"{number}.jpeg")
    return tmp_path / "a"


ROWS = [(f"photos/{n}.jpeg", ("ya", "yan", "yat")[n // 3]) for n in range(9)]


def written(folder, rows, header=("file", "label"), name="labels.csv", encoding="utf-8", **how):
    text = io.StringIO(newline="")
    csv.writer(text, **how).writerows([header, *rows])
    (folder / name).write_bytes(text.getvalue().encode(encoding))
    return folder / name


def load(path, **how):
    return load_dataset(path, progress=False, **how)


def left_out(path):
    return {(file, why) for file, why in load(path).left_out}


@pytest.mark.parametrize(
    ("header", "how"),
    [
        (("file", "label"), {}),
        (("FileName", "Class"), {"delimiter": ";", "encoding": "utf-8-sig"}),
        (("image_path", "letter"), {"delimiter": "\t", "name": "labels.tsv"}),
        (("Nom du fichier", "Étiquette"), {"delimiter": ";", "lineterminator": "\n"}),
        ((" chemin ", "e\u0301tiquette"), {"quoting": csv.QUOTE_ALL, "name": "labels.txt"}),
    ],
)
def test_columns_are_found_whatever_separates_them(photos, header, how):
    found = load(written(photos, ROWS, header, **how), cache=False)
    assert (found.class_names, found.name) == (("ya", "yan", "yat"), "labels")
    assert found.labels.tolist() == sorted([0, 1, 2] * 3)
    assert found.files == tuple(f"photos/{n}.jpeg" for n in range(9))
    assert found.left_out == () and found.source_train is None
    once = load(written(photos, ROWS))
    np.testing.assert_array_equal(found.images, once.images)


def test_other_columns_are_passed_over_or_named(photos, call):
    rows = [(n, label, "x, y", file.replace("/", "\\")) for n, (file, label) in enumerate(ROWS)]
    assert len(load(written(photos, rows, ("id", "lettre", "remark", "file")))) == 9
    path = written(photos, rows, ("nr", "what", "remark", "where"))
    with pytest.raises(InputError, match=r"nr, what, remark, where\) .* --columns FILE,LABEL"):
        load(path)
    found = load(path, columns="Where,WHAT")
    assert found.class_names == ("ya", "yan", "yat")
    for wrong in ("where", "where,where", "where,what,nr", "where,label", ","):
        with pytest.raises(InputError, match="--columns"):
            load(path, columns=wrong)
    shown = call("audit", "--labels", path, "--columns", "where,what", "--json")
    assert json.loads(shown.out)["classes"] == {"ya": 3, "yan": 3, "yat": 3}
    call("audit", "--data", photos, "--columns", "a,b").assert_refused("no table of labels")


def test_what_is_not_taken_is_listed_with_its_line(photos):
    (photos / "new").mkdir()
    (photos / "new" / "9.jpeg").write_bytes((photos / "photos" / "0.jpeg").read_bytes())
    (photos / "notes.md").write_text("x")
    outside = photos.parent / "outside.jpeg"
    outside.write_bytes((photos / "photos" / "0.jpeg").read_bytes())
    os.symlink(outside, photos / "link.jpeg")
    rows = [
        *ROWS[:8],
        (".\\photos//0.jpeg", "ya"),
        ("photos/1.jpeg", "yat"),
        ("photos/gone.jpeg", "ya"),
        ("../outside.jpeg", "ya"),
        (str(outside), "ya"),
        ("C:\\x.jpeg", "ya"),
        ("link.jpeg", "ya"),
        ("photos", "ya"),
        ("a\0b", "ya"),
        ("photos/8.jpeg", " "),
        ("", "ya"),
        ("", ""),
        ("photos/8.jpeg",),
    ]
    away, none = "leads out of the table's folder", "is no file in the table's folder"
    assert left_out(written(photos, rows)) == {
        ("photos/0.jpeg", "line 10: is named once more, with the same label"),
        ("photos/1.jpeg", "has several labels: ya, yat"),
        ("photos/gone.jpeg", f"line 12: {none}"),
        ("../outside.jpeg", f"line 13: {away}"),
        (str(outside).lstrip("/"), f"line 14: {away}"),
        ("C:/x.jpeg", f"line 15: {away}"),
        ("link.jpeg", "line 16: is a link that leads out"),
        ("photos", f"line 17: {none}"),
        ("a\0b", f"line 18: {none}"),
        ("photos/8.jpeg", "line 19: has no label"),
        ("labels.csv", f"line 20: {none}"),
        ("photos/8.jpeg", "line 22: has no label"),
        ("new/9.jpeg", "stands in no row of labels.csv"),
        ("notes.md", "is no image"),
    }
    found = load(photos / "labels.csv")
    assert len(found) == 7 and "photos/1.jpeg" not in found.files


def test_the_cache_sees_a_changed_label_and_a_changed_picture(photos):
    path = written(photos, ROWS)
    first = load(path)
    status = path.stat()
    written(photos, [*ROWS[:8], ("photos/8.jpeg", "yan")])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert load(path).labels.tolist() == [0] * 3 + [1] * 4 + [2] * 2
    written(photos, ROWS)
    (photos / "photos" / "0.jpeg").write_bytes((photos / "photos" / "8.jpeg").read_bytes())
    np.testing.assert_array_equal(load(path).images[0], first.images[8])


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "does not tell"),
        (b"\0\xff\xfe", "no table in UTF-8"),
        ("file,label\na,é".encode("latin-1"), "no table in UTF-8"),
        ("file,label\n".encode("utf-16"), "no table in UTF-8"),
        (b"file,file,label\na,b,c", "does not tell"),
        (b"file,label\n", "holds no images"),
        (b"file,label\nphotos/0.jpeg,ya\nphotos/1.jpeg,ya", "the one class 'ya'"),
        (b'file,label\nphotos/0.jpeg,"ya\nphotos/1.jpeg,ya\n', "unexpected end"),
        (b"file,label\n" + b"x" * 200_000 + b",ya", "field larger"),
        (b"x" * (32 * 2**20 + 1), "over 32 MiB"),
        (b"file,label\nphotos/0.jpeg,\x1b[2J\nphotos/1.jpeg,ya", "no printable text"),
        (b"file,label\nphotos/0.jpeg," + b"y" * 256 + b"\nphotos/1.jpeg,ya", "no printable text"),
    ],
)
def test_what_is_no_table_ends_in_one_line(photos, call, content, word):
    (photos / "bad.csv").write_bytes(content)
    call("audit", "--labels", photos / "bad.csv").assert_refused("bad.csv", word)


def test_a_table_has_a_size_that_is_read(photos, monkeypatch):
    path = written(photos, ROWS)
    monkeypatch.setattr(label_table, "MAX_TABLE", path.stat().st_size)
    assert len(load(path)) == 9
    monkeypatch.setattr(label_table, "MAX_TABLE", path.stat().st_size - 1)
    with pytest.raises(InputError, match="over 0 MiB"):
        load(path)


def test_a_bad_picture_of_a_table_is_named_or_skipped(photos):
    (photos / "photos" / "4.jpeg").write_bytes(b"x")
    path = written(photos, ROWS)
    with pytest.raises(InputError, match=r"photos/4.jpeg.*--skip-bad"):
        load(path)
    assert [file for file, _ in load(path, skip_bad=True).skipped] == ["photos/4.jpeg"]


def test_a_run_on_a_table_keeps_its_columns(tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = sorted(letters_folder(tmp_path / "letters").rglob("*.jpeg"))
    rows = [(file.relative_to(tmp_path), file.parent.name) for file in files]
    path = written(tmp_path, rows, ("where", "what"))
    columns = ("--labels", path, "--columns", "where,what")
    assert call("train", *columns, "--out", "run", *QUICK).status == 0
    scored = call("evaluate", "run/model.npz", *columns, "--json")
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert json.loads(scored.out)["accuracy"] == metrics["test_accuracy"]
    plan = Plan(str(path), CLASSIC, tmp_path, columns="where,what")
    assert Plan.from_dict(plan.to_dict()) == plan
    with pytest.raises(TypeError, match="columns"):
        Plan.from_dict(plan.to_dict() | {"columns": 3})


def test_the_first_that_is_told_is_a_row(photos, call):
    (photos / "a_note.md").write_text("x")
    path = written(photos, [*ROWS, ("photos/gone.jpeg", "ya")], ("file", "label"))
    assert load(path).left_out[0][0] == "photos/gone.jpeg"
    path = written(photos, [(f"{file}.JPG", label) for file, label in ROWS], ("file", "label"))
    call("audit", "--data", path).assert_refused("line 2: is no file in the table's folder")
