"""Every file of a source is read or stands in its account, and nothing irrelevant stops the work.

CASES is the table of inputs: what is put beside two classes of three letters. Each is tried as a
folder, as a zip, and as a folder that predict searches.
"""

import io
import json
import os
import random
import stat
import zipfile

import numpy as np
import pytest
from commandline import QUICK, call, letters_folder
from own_place import place
from PIL import Image

from lenet_xp.data import folder as folders
from lenet_xp.data.account import is_aside, told
from lenet_xp.data.folder import pictures_in, scan
from lenet_xp.data.sources import load_dataset
from lenet_xp.errors import InputError

__all__ = ["call", "place"]  # fixtures


def image(number, kind="PNG"):
    """An image file's bytes with an upright and a stroke at a height of its own."""
    picture = np.full((40, 40), 250, np.uint8)
    picture[2:38, 4:7] = 20
    picture[3 * number % 36 : 3 * number % 36 + 3, 4:36] = 20
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind)
    return buffer.getvalue()


def letters(root=""):
    names = [f"{root}{name}/{name}_{number}.png" for name in ("ya", "yan") for number in range(3)]
    return {name: image(number) for number, name in enumerate(names)}


def as_folder(path, content):
    path.mkdir()
    for name, data in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def as_zip(path, content, how=zipfile.ZIP_DEFLATED):
    path = path.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def load(source, **options):
    return load_dataset(source, progress=False, **options)


TEXT, PHOTO = b"read me\n", image(9, "JPEG")
BIG = bytes(3 * 2**20)  # packed it shrinks as a bomb does
ICON = b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0"
READ, LEFT, ASIDE = "read", "left out", "aside"
# What it is, the files beside the letters, and what becomes of each.
CASES = [
    ("a readme", {"README.md": TEXT}, LEFT),
    ("a readme among the letters", {"ya/README": TEXT}, LEFT),
    ("labels beside and within", {"labels.csv": TEXT, "ya/labels.csv": TEXT}, LEFT),
    ("a folder of notes", {"notes/one.txt": TEXT, "notes/two/three.txt": TEXT}, LEFT),
    ("a folder of odd things", {"docs/.draft.txt": TEXT, "docs/a.ico": ICON, "docs/b": b""}, LEFT),
    ("an empty file", {"ya/nothing": b"", "nothing": b""}, LEFT),
    ("a large file that is no image", {"weights.bin": BIG, "ya/weights.npy": BIG}, LEFT),
    ("an archive in it", {"letters.zip": b"PK\3\4" + bytes(99), "ya/a.tar.gz": b"\x1f\x8b"}, LEFT),
    ("a loose picture", {"preview.png": image(1)}, LEFT),
    ("a loose picture under another name", {"preview": PHOTO}, LEFT),
    ("pictures deeper in a class", {"ya/more/1.png": PHOTO, "yan/a/b/2.png": image(2)}, LEFT),
    ("a film", {"ya/ya.mov": b"\0\0\0\x14ftypqt  \0\0\0\0qt  "}, LEFT),
    ("icons", {"ya/folder.ico": ICON, "favicon.ico": ICON}, LEFT),
    ("a dotted picture", {"ya/.ya_7.png": image(7)}, LEFT),
    ("a dotted class", {".yat/1.png": image(1), ".yat/2.png": image(2)}, LEFT),
    ("a dotted text", {".labels": TEXT}, LEFT),
    ("texts that begin like images", {"ya/a": b"BM and P5", "ya/b": b"P5 1 picture"}, LEFT),
    ("a page of a site", {"index.html": b"<img src='ya/ya_1.png'>", "ya/a.svg": b"<svg/>"}, LEFT),
    ("a name with line ends", {"ya/a\nb\x1b[2J.txt": TEXT}, LEFT),
    ("a name in Tifinagh", {"ⵜⵉⴼⵉⵏⴰⵖ.txt": TEXT}, LEFT),
    ("another's names, but images", {"ya/._ya_1.png": PHOTO, "yan/Thumbs.db": PHOTO}, LEFT),
    ("a JPEG without a suffix", {"ya/ya_8": PHOTO}, READ),
    (
        "JPEGs of other suffixes",
        {f"ya/ya_8.{s}": PHOTO for s in ("jfif", "jpe", "JPG_large")},
        READ,
    ),
    (
        "a JPEG named as another thing",
        {"ya/8.png": PHOTO, "ya/9.txt": PHOTO, "yan/8.db": PHOTO},
        READ,
    ),
    (
        "every format under no name",
        {f"yan/{kind}": image(8, kind) for kind in ("PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")},
        READ,
    ),
    ("a bitmap of Windows", {"ya/8.dib": image(8, "BMP")}, READ),
    ("a name of many dots", {"ya/a..b.c": image(8), "yan/8.": image(9)}, READ),
    ("a backup of an editor", {"ya/ya_1.png~": image(8), "ya/ya_1.png.bak": image(9)}, READ),
    ("Finder's", {".DS_Store": TEXT, "ya/.DS_Store": TEXT, "__MACOSX/ya/._ya_1.png": TEXT}, ASIDE),
    ("Windows'", {"Thumbs.db": TEXT, "ya/THUMBS.DB": TEXT, "yan/desktop.ini": TEXT}, ASIDE),
    ("a server's", {"@eaDir/ya/SYNO.jpg": PHOTO, "ya/@eaDir/SYNO.jpg": PHOTO}, ASIDE),
    ("git's", {".git/objects/a.png": image(1), ".gitignore": TEXT, "ya/.gitkeep": b""}, ASIDE),
    ("a notebook's", {".ipynb_checkpoints/a.png": image(1)}, ASIDE),
    ("a disk's", {"lost+found/#12": PHOTO, "$RECYCLE.BIN/a.png": image(1)}, ASIDE),
]
EACH = pytest.mark.parametrize("words, beside, fate", CASES, ids=[each[0] for each in CASES])
MAKERS = pytest.mark.parametrize("made", [as_folder, as_zip])


def accounted(content, dataset):
    """Every file of a content is read or stands in the account; what systems leave in neither."""
    left_out = [path for path, _ in dataset.left_out]
    read = [path for path in content if path not in left_out and not is_aside(path)]
    assert sorted("/".join(path.split("/")[-2:]) for path in read) == sorted(
        [*dataset.files, *(file for file, _ in dataset.skipped)]
    )
    assert len(set(left_out)) == len(left_out) and set(left_out) <= set(content)
    assert all(why and "\n" not in why for _, why in dataset.left_out)


@EACH
@MAKERS
@pytest.mark.parametrize("root", ["", "letters/in one/"])
def test_what_stands_beside_the_letters(tmp_path, made, words, beside, fate, root):
    beside = {root + name: data for name, data in beside.items()}
    content = letters(root) | beside
    data = load(made(tmp_path / "source", content))
    accounted(content, data)
    assert len(data) == 6 + len(beside) * (fate == READ)
    assert [path for path, _ in data.left_out] == sorted(beside if fate == LEFT else [])
    assert data.class_names == ("ya", "yan") and data.skipped == ()


@EACH
def test_what_a_search_for_pictures_finds(tmp_path, words, beside, fate):
    content = letters() | beside
    images, left_out = pictures_in(as_folder(tmp_path / "source", content), 99)
    taken = [*images, *(path for path, _ in left_out)]
    assert sorted(taken) == sorted(content if fate != ASIDE else letters())
    if fate == READ:
        assert left_out == []


@pytest.mark.parametrize("seed", range(12))
def test_random_sources_lose_nothing(tmp_path, seed):
    rng = random.Random(seed)
    names = ["a", "b.png", ".c.png", "Thumbs.db", "d.jfif", "e.txt", "f.JPG", "g.", "h.avif"]
    places = ["", "", "ya/", "yan/", "yat/", ".h/", "__MACOSX/", "docs/", "ya/.git/"]
    things = [TEXT, PHOTO, image(3), b"", ICON, image(5, "GIF"), PHOTO[:300], BIG[:9]]
    content = {"yat/1.png": image(2)} | letters()
    for _ in range(rng.randrange(1, 40)):
        content[rng.choice(places) + rng.choice(names)] = rng.choice(things)
    docs = [name for name in content if name.startswith("docs/")]
    for made in (as_folder, as_zip):
        try:
            data = load(made(tmp_path / "source", content), skip_bad=True)
        except InputError as error:  # a class of which nothing can be read, which is said
            assert docs and "docs" in str(error), error
        else:
            accounted(content, data)


@pytest.mark.parametrize(
    "given",
    ["./ya/8.png", ".//ya/./8.png", "ya\\8.png", ".\\ya\\8.png", "ya//8.png"],
)
def test_ways_to_write_a_path_in_a_zip(tmp_path, given):
    data = load(as_zip(tmp_path / "a", letters() | {given: image(8)}))
    assert "ya/8.png" in data.files and data.left_out == ()


def test_a_zip_of_the_current_folder(tmp_path):
    content = {f"./{name}": data for name, data in letters().items()}
    data = load(as_zip(tmp_path / "a", {"./": b"", "./ya/": b"", "./a.txt": TEXT} | content))
    assert len(data) == 6 and dict(data.left_out).keys() == {"a.txt"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_a_zip_that_stand_there_twice(tmp_path):
    path = as_zip(tmp_path / "a", letters() | {"ya/": b"", "Thumbs.db": TEXT, "a.txt": TEXT})
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("ya/", "ya/", "Thumbs.db", "a.txt", "./ya/"):
            archive.writestr(name, b"")
    data = load(path)
    assert len(data) == 6 and {name for name, _ in data.left_out} == {"a.txt"}
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("./ya/ya_1.png", image(9))
    with pytest.raises(InputError, match=r"two members named 'ya/ya_1\.png'"):
        load(path)


def encrypted(path, name):
    """Set the flag of a member, which then counts as encrypted."""
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\1\2")
    while data[place + 46 : place + 46 + len(name)] != name.encode():
        place = data.index(b"PK\1\2", place + 1)
    data[place + 8] |= 1
    path.write_bytes(data)
    return path


def test_what_is_hostile_and_no_image_is_named(tmp_path):
    content = letters() | {"ya/notes": TEXT, "weights": BIG, "ya/link.png": b"/etc/passwd"}
    path = encrypted(as_zip(tmp_path / "a", content), "ya/notes")
    data = bytearray(path.read_bytes())
    place = data.rindex(b"ya/link.png") - 46
    data[place + 38 : place + 42] = ((stat.S_IFLNK | 0o777) << 16).to_bytes(4, "little")
    path.write_bytes(data)
    found = dict(load(path).left_out)
    assert found.keys() == {"ya/notes", "weights", "ya/link.png"}
    assert "encrypted" in found["ya/notes"] and "symbolic link" in found["ya/link.png"]


def test_what_is_hostile_and_an_image_is_refused(tmp_path):
    bomb = image(1, "BMP") + BIG
    for name in ("ya/8.bmp", "ya/8"):
        with pytest.raises(InputError, match=f"{name}.* too large for an image"):
            load(as_zip(tmp_path / "a", letters() | {name: bomb}))
    with pytest.raises(InputError, match=r"ya_1\.png' is encrypted"):
        load(encrypted(as_zip(tmp_path / "a", letters()), "ya/ya_1.png"))


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_content_is_seen_through_every_compression(tmp_path, how):
    data = load(as_zip(tmp_path / "a", letters() | {"ya/8": PHOTO, "ya/9": TEXT}, how))
    assert "ya/8" in data.files and dict(data.left_out).keys() == {"ya/9"}


@MAKERS
def test_a_name_of_an_image_with_other_content_is_a_problem(tmp_path, made):
    source = made(tmp_path / "a", letters() | {"ya/8.jpe": TEXT, "yan/8.heic": TEXT})
    with pytest.raises(InputError, match=r"ya/8\.jpe: .*\(2 such images\), or .* --skip-bad"):
        load(source)
    data = load(source, skip_bad=True)
    assert [file for file, _ in data.skipped] == ["ya/8.jpe", "yan/8.heic"]


@MAKERS
def test_a_second_copy_is_named_file_by_file(tmp_path, made):
    content = letters("one/") | letters("two/") | {"two/ya/8.png": image(8)}
    data = load(made(tmp_path / "a", content))
    accounted(content, data)
    assert len(data) == 7  # the larger set
    assert dict(data.left_out)["one/ya/ya_1.png"] == "is the same as two/ya/ya_1.png"
    content["one/ya/9.png"] = content["one/ya/10.png"] = image(9)  # of which two has none
    data = load(made(tmp_path / "b", content))
    accounted(content, data)
    assert dict(data.left_out)["two/ya/8.png"].startswith("stands in a second set")


@MAKERS
def test_where_nothing_is_found_the_account_is_told(tmp_path, made):
    with pytest.raises(InputError, match=r"left out 2 of 2 files: a\.png: stands in no class"):
        load(made(tmp_path / "a", {"a.png": image(1), "b.txt": TEXT}))


@MAKERS
def test_a_class_that_would_be_lost_is_refused(tmp_path, made):
    source = made(tmp_path / "a", letters() | {"yat/.1.png": image(1)})
    with pytest.raises(InputError, match=r"class folder yat holds no image \(yat/\.1\.png: has a"):
        load(source)


def test_a_class_that_is_a_link_is_read(tmp_path):
    source = as_folder(tmp_path / "a", letters())
    (source / "yat").symlink_to(as_folder(tmp_path / "elsewhere", {"1.png": image(1)}))
    (source / "ya" / "8.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    data = load(source)
    assert data.class_names == ("ya", "yan", "yat") and data.left_out == ()
    assert {"yat/1.png", "ya/8.png"} <= set(data.files)
    assert pictures_in(source, 99)[0][-1] == "yat/1.png"


def test_a_loop_is_named_once(tmp_path):
    source = as_folder(tmp_path / "a", letters())
    (source / "again").symlink_to(source)
    (source / "ya" / "above").symlink_to(tmp_path)
    (source / "yan" / "other").symlink_to("../ya")
    (source / "yan" / "itself").symlink_to("itself")
    data = load(source)
    assert len(data) == 6
    found = dict(data.left_out)
    assert found.keys() == {"again", "ya/above", "yan/other", "yan/itself"}
    assert "the searched folder" in found["again"] and "ya, which is read" in found["yan/other"]
    assert str(tmp_path) in found["ya/above"]


def test_links_between_folders_elsewhere_end(tmp_path):
    source = as_folder(tmp_path / "a", letters())
    store = as_folder(tmp_path / "store", {"x/1.png": image(1), "y/2.png": image(2)})
    (store / "x" / "y").symlink_to("../y")
    (store / "y" / "x").symlink_to("../x")
    (source / "store").symlink_to(store)
    images, left_out = pictures_in(source, 99)
    assert [path for path in images if path.startswith("store")] == [
        *("store/x/1.png", "store/y/2.png")
    ]
    assert [path for path, _ in left_out] == ["store/x/y", "store/y/x"]


def test_a_link_to_a_folder_behind_a_dot_is_read(tmp_path):
    source = as_folder(tmp_path / "a", letters() | {".store/yat/1.png": image(1)})
    (source / "yat").symlink_to(".store/yat")
    data = load(source)
    assert "yat/1.png" in data.files and dict(data.left_out).keys() == {".store/yat/1.png"}


def test_links_without_a_target_are_named(tmp_path):
    source = as_folder(tmp_path / "a", letters() | {".git/annex/8": image(8)})
    (source / "ya" / "8.png").symlink_to("../.git/annex/8")
    (source / "ya" / "9.png").symlink_to("../.git/annex/9")
    data = load(source)
    assert "ya/8.png" in data.files
    ((path, why),) = data.left_out
    assert path == "ya/9.png" and why.endswith("target is missing: ../.git/annex/9")
    (source / "yat").mkdir()
    (source / "yat" / "1.png").symlink_to("../.git/annex/1")
    with pytest.raises(
        InputError, match=r"class folder yat holds no image \(yat/1\.png: is a link"
    ):
        load(source)


def test_a_name_that_is_no_text_is_accounted_for(place, call):
    source = as_folder(place / "a", letters())
    (source / os.fsdecode(b"notes\xff.txt")).write_bytes(TEXT)
    for _ in range(2):  # read, and then out of the cache
        ((path, why),) = load(source).left_out
        assert os.fsencode(path) == b"notes\xff.txt" and why == "is no image"
    found = json.loads(call("audit", "--data", source, "--json").out)
    assert [each["file"] for each in found["left_out"]] == [path]
    assert "/notes\\udcff.txt: is no image" in call("predict", source).err


def test_pipes_are_named_and_not_opened(tmp_path):
    source = as_folder(tmp_path / "a", letters())
    os.mkfifo(source / "ya" / "8.png")
    os.mkfifo(source / "pipe")
    assert dict(load(source).left_out).keys() == {"ya/8.png", "pipe"}
    assert {path for path, _ in pictures_in(source, 99)[1]} == {"ya/8.png", "pipe"}


def test_folders_that_may_not_be_read(tmp_path, monkeypatch):
    content = letters() | {"lost+found/1.png": image(1), "ya/closed/1.png": image(1)}
    source = as_folder(tmp_path / "a", content)
    allowed = os.scandir

    def scandir(path):
        if "lost+found" in str(path) or "closed" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return allowed(path)

    monkeypatch.setattr(folders.os, "scandir", scandir)
    for left_out in (load(source).left_out, pictures_in(source, 99)[1]):
        assert list(left_out) == [("ya/closed", "cannot be read (Permission denied)")]
    as_folder(source / "closed", {"1.png": image(1)})
    with pytest.raises(InputError, match=r"class folder closed holds no image .*Permission"):
        load(source)
    with pytest.raises(InputError, match="Permission denied"):
        list(scan(source / "closed"))


def test_two_sets_of_pictures_that_differ_in_content_alone(tmp_path):
    """Names, sizes and times are equal: the cache must not take one for the other."""
    sets = [as_folder(tmp_path / name, {}) for name in "ab"]
    for number, source in enumerate(sets):
        for name, data in letters().items():
            picture = image(3 * number + 1 + 4 * ("yan" in name), "BMP")
            path = source / name.replace(".png", ".bmp")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(picture)
            assert data
            os.utime(path, ns=(10**18, 10**18))
    one, other = map(load, sets)
    assert (one.images != other.images).any((1, 2)).all()
    (sets[0] / "ya").rename(sets[0] / "y")  # two classes swapped
    (sets[0] / "yan").rename(sets[0] / "ya")
    (sets[0] / "y").rename(sets[0] / "yan")
    np.testing.assert_array_equal(load(sets[0]).images, one.images[[*range(3, 6), *range(3)]])
    for path in (sets[0] / "ya").iterdir():  # pictures changed in place
        path.write_bytes(image(11, "BMP"))
        os.utime(path, ns=(10**18, 10**18))
    np.testing.assert_array_equal(load(sets[0]).images, load(sets[0], cache=False).images)


@MAKERS
def test_the_account_is_kept_with_the_cache(tmp_path, made):
    source = made(tmp_path / "a", letters() | {"a.txt": TEXT})
    first = load(source)
    assert load(source).left_out == first.left_out != ()
    (tmp_path / "b").mkdir()
    other = made(tmp_path / "b" / "a", letters() | {"b.txt": TEXT})
    assert dict(load(other).left_out).keys() == {"b.txt"}


def test_arrays_that_are_not_used_are_named(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (20, 28, 28, 1)).astype(np.uint8),  # Keras' layout
        "y_train": np.arange(20).reshape(-1, 1) % 2,
        "x_test": rng.integers(0, 256, (6, 28, 28, 1)).astype(np.uint8),
        "y_test": np.arange(6) % 2,
    }
    np.savez(tmp_path / "a.npz", **arrays)
    assert load(tmp_path / "a.npz").left_out == ()
    others = {"x_val": arrays["x_test"], "writers": np.array([None, {}])}  # and a pickle
    np.savez(tmp_path / "b.npz", **arrays, **others)
    with zipfile.ZipFile(tmp_path / "b.npz", "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("README.txt", TEXT)
    data = load(tmp_path / "b.npz")
    assert [name for name, _ in data.left_out] == ["README.txt", "writers.npy", "x_val.npy"]
    np.testing.assert_array_equal(data.images, load(tmp_path / "a.npz").images)
    with (
        zipfile.ZipFile(tmp_path / "b.npz", "a") as archive,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        archive.writestr("y_test.npy", TEXT)
    with pytest.raises(InputError, match="holds an array twice"):
        load(tmp_path / "b.npz")


def test_the_line_of_an_account():
    assert told([("a.txt", "is no image")], 6) == "left out 1 of 7 files: a.txt: is no image"
    assert told([("a", "b")] * 1203, 0).startswith("left out 1,203 of 1,203 files: a: b")


def blanks(place):
    """Letters of which two have no ink, and a file beside them."""
    source = letters_folder(place / "letters")
    for name in ("ya/ya_2.jpeg", "yat/yat_14.jpeg"):
        Image.new("L", (48, 48), 240).save(source / name)
    (source / "notes.txt").write_bytes(TEXT)
    return source


def test_every_command_tells_its_account(place, call):
    source = blanks(place)
    left_out = "left out 1 of 46 files: notes.txt: is no image"
    no_ink = "no ink in 2 of 45 pictures, which stay in the data: ya/ya_2.jpeg"
    trained = call("train", "--data", source, "--out", "run", *QUICK)
    metrics = json.loads((place / "run" / "metrics.json").read_text())
    scored = call("evaluate", "run/model.npz", "--data", source, "--part", "all", "--json")
    for outcome in (trained, scored):
        assert outcome.status == 0
        assert {left_out, no_ink} <= set(outcome.err.splitlines())
    for record in (metrics, json.loads(scored.out)):
        assert (record["skipped"], record["left_out"], record["blank"]) == (0, 1, 2)
    found = json.loads(call("audit", "--data", source, "--json").out)
    assert found["left_out"] == [{"file": "notes.txt", "reason": "is no image"}]
    assert found["blank"] == ["ya/ya_2.jpeg", "yat/yat_14.jpeg"] and found["images"] == 45
    shown = call("audit", "--data", source).out
    for words in ("left out: 1 files", "notes.txt (is no image)", "no ink: 2 pictures"):
        assert words in shown
    read = call("predict", source, "--json", "--model", "run/model.npz")
    answer = json.loads(read.out)
    assert answer["skipped"] == [{"file": str(source / "notes.txt"), "reason": "is no image"}]
    assert len(answer["results"]) == 45 and left_out.replace("notes", f"{source}/notes") in read.err


def test_predict_tells_why_a_folder_holds_no_image(place, call):
    source = as_folder(place / "a", {"notes.txt": TEXT})
    call("predict", source).assert_refused("holds no image", "notes.txt: is no image")


def test_predict_goes_on_past_folders_without_images(place, call, monkeypatch):
    """As a shell gives them for photos/*."""
    as_folder(place / "photos", {"a.png": image(1), "b.txt": TEXT, "docs/c.txt": TEXT})
    (place / "photos" / "empty").mkdir()
    (place / "photos" / "closed").mkdir()
    allowed = os.scandir

    def scandir(path):
        if "closed" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return allowed(path)

    monkeypatch.setattr(folders.os, "scandir", scandir)
    paths = [f"photos/{name}" for name in ("a.png", "b.txt", "closed", "docs", "empty")]
    answer = json.loads(call("predict", *paths, "--json", "--skip-bad").out)
    assert [each["file"] for each in answer["results"]] == ["photos/a.png"]
    skipped = {each["file"]: each["reason"] for each in answer["skipped"]}
    assert skipped.keys() == {"photos/b.txt", "photos/closed", "photos/docs/c.txt", "photos/empty"}
    assert skipped["photos/closed"] == "cannot be read (Permission denied)"
    call("predict", *paths[::4]).assert_refused("photos/empty: holds no image")
    call("predict", *paths[2:], "--skip-bad").assert_refused("no image", "photos/closed", "of 3")


def test_pictures_without_ink_and_without_names(tmp_path):
    rng = np.random.default_rng(0)
    x = np.full((20, 28, 28), 255, np.uint8)
    for number in set(range(20)) - {4, 7}:
        top, left = rng.integers(2, 14, 2)
        x[number, top : top + 12, left : left + 3] = 20
    labels = np.arange(20) % 2
    np.savez(tmp_path / "a.npz", x_train=x, y_train=labels, x_test=x[:4], y_test=labels[:4])
    assert load(tmp_path / "a.npz").blank == ("0#4", "1#7")


def coloured(kind, **options):
    buffer = io.BytesIO()
    picture = np.full((40, 40, 3), 250, np.uint8)
    picture[10:14, 4:36] = 20, 20, 200  # a stroke of blue ink
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


def pages(count):
    buffer = io.BytesIO()
    first, *rest = (Image.open(io.BytesIO(image(number))) for number in range(count))
    first.save(buffer, "TIFF", save_all=True, append_images=rest)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
@MAKERS
def test_colours_that_become_grey_are_told(tmp_path, call, made, kind):
    content = {f"{name}/{n}.png": coloured(kind) for name in ("ya", "yan") for n in range(9)}
    source = made(tmp_path / "source", content)
    expected = (
        "colours are read as grey levels, as those of ya/0.png; channels = 3 in a recipe keeps them"
    )
    for _ in range(2):  # the second time out of the cache
        assert load(source).remarks == (expected,)
    assert expected in call("audit", "--data", source).out
    grey = {f"{n}/{n}.png": image(int(n[-1])) for n in ("ya1", "yan2")}
    rgb = io.BytesIO()
    Image.open(io.BytesIO(image(1))).convert("RGB").save(rgb, kind)  # grey all the same
    assert load(made(tmp_path / "grey", grey | {"ya1/2.png": rgb.getvalue()})).remarks == ()


def test_colours_of_arrays_are_told(tmp_path):
    rng = np.random.default_rng(0)
    x = np.full((8, 28, 28, 3), 255, np.uint8)
    x[:, 5:9, 5:20] = rng.integers(0, 99, (8, 1, 1, 1))
    y = np.arange(8) % 2
    arrays = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    np.savez(tmp_path / "grey.npz", **arrays)
    assert load(tmp_path / "grey.npz").remarks == ()
    x[:, 5:9, 5:20, 2] = 200
    np.savez(tmp_path / "blue.npz", **arrays)
    assert load(tmp_path / "blue.npz").remarks == (
        "colours are read as grey levels, as those of x_train; channels = 3 in a recipe keeps them",
    )


@MAKERS
def test_pages_of_which_the_first_alone_is_read_are_told(tmp_path, made):
    content = letters() | {"ya/scan.tif": pages(3), "yan/a.tif": pages(2), "yan/b.tif": pages(1)}
    data = load(made(tmp_path / "source", content))
    assert data.remarks == ("only the first page is read of 2 files of several: ya/scan.tif",)
    assert len(data) == 9
