"""The cache: met again, never believed when damaged or out of date, and never in the way."""

import errno
import hashlib
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from lenet_xp.data import sources
from lenet_xp.data.cache import cache_folder, cache_path, read_cache, write_cache
from lenet_xp.data.dataset import Dataset
from lenet_xp.errors import InputError
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LENET_XP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def reads(monkeypatch):
    """How often a source was read and not taken from the cache."""
    counted = []

    def counting(source):
        return replace(source, read=lambda request: counted.append(request) or source.read(request))

    monkeypatch.setattr(sources, "SOURCES", tuple(map(counting, sources.SOURCES)))
    return counted


def letters(path):
    for name in ("ya", "yab"):
        (path / name).mkdir(parents=True)
        for number in range(5):
            picture = np.full((64, 64), 250, np.uint8)
            picture[8 * number : 8 * number + 8] = 30
            cv2.imwrite(str(path / name / f"{number}.png"), picture)
    return path


def load(path, **options):
    return sources.load_dataset(path, progress=False, **options)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_the_second_time_nothing_is_read(tmp_path, reads, kind):
    path = letters(tmp_path / "letters")
    if kind == "zip":
        path = shutil.make_archive(str(path), "zip", path)
    first, second = load(path), load(path)
    assert len(reads) == 1
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.labels, second.labels)
    for field in ("name", "class_names", "files", "source_train", "skipped"):
        assert getattr(first, field) == getattr(second, field)
    assert second.labels.dtype == np.int64


def test_a_copy_of_an_archive_is_known_again_under_its_own_name(tmp_path, reads):
    path = shutil.make_archive(str(tmp_path / "a"), "zip", letters(tmp_path / "letters"))
    load(path)
    assert load(shutil.copy(path, tmp_path / "b.zip")).name == "b"
    assert len(reads) == 1


def test_a_change_of_content_is_noticed(tmp_path, reads):
    path = letters(tmp_path / "letters")
    load(path)
    file = path / "ya" / "0.png"
    status = file.stat()
    shutil.copy(path / "ya" / "4.png", file)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1000))
    assert (load(path).images[0] == load(path).images[4]).all()
    (path / "yab" / "9.png").write_bytes(file.read_bytes())
    assert len(load(path)) == 11
    (path / "yab" / "9.png").rename(path / "yab" / "8.png")
    assert "yab/8.png" in load(path).files
    assert len(reads) == 4


def test_what_changes_while_it_is_read_is_not_kept(tmp_path, monkeypatch, folder):
    path = letters(tmp_path / "letters")

    def changing(row):
        def read(request):
            shutil.copy(path / "ya" / "4.png", path / "ya" / "0.png")
            return row.read(request)

        return replace(row, read=read)

    monkeypatch.setattr(sources, "SOURCES", tuple(map(changing, sources.SOURCES)))
    load(path)
    assert not folder.exists()
    load(path)  # the picture stays as it is from now on
    assert len(list(folder.iterdir())) == 1


def test_other_parameters_are_other_entries_but_mean_and_std_are_not(tmp_path, reads):
    path = letters(tmp_path / "letters")
    for parameters in (
        {},
        {"size": 28},
        {"contrast": False},
        {"polarity": "dark-on-light"},
        {"framing": "keep"},
    ):
        assert load(path, preprocessing=Preprocessing(**parameters)).images.ndim == 3
    assert len(reads) == 5
    load(path, preprocessing=Preprocessing(mean=0.1, std=0.3))
    assert len(reads) == 5
    load(path, skip_bad=True)
    assert len(reads) == 6


def test_without_cache_nothing_is_kept(tmp_path, reads, folder):
    path = letters(tmp_path / "letters")
    load(path, cache=False), load(path, cache=False)
    assert len(reads) == 2 and not folder.exists()


def test_a_damaged_file_is_silently_made_again(tmp_path, reads, folder, capfd):
    path = letters(tmp_path / "letters")
    expected = load(path).images
    (kept,) = folder.iterdir()
    good = kept.read_bytes()
    damages = [b"", b"text", good[:-1], good[: len(good) // 2], good[100:]]
    damages += [good[:i] + bytes([good[i] ^ 255]) + good[i + 1 :] for i in (300, 5000, 9000)]
    for number, damaged in enumerate(damages, 2):
        kept.write_bytes(damaged)
        np.testing.assert_array_equal(load(path).images, expected)
        assert len(reads) == number
        assert kept.read_bytes()[:100] == good[:100] and kept.stat().st_size == len(good)
    assert capfd.readouterr() == ("", "")


def test_no_flipped_byte_is_believed(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8)).astype(np.uint8)
    dataset = Dataset("a", images, np.arange(3), ("x", "y", "z"), ("1", "2", "3"), 2, (("4", "b"),))
    path = tmp_path / "kept.npz"
    write_cache(path, dataset)
    good = path.read_bytes()
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0x15]) + good[position + 1 :])
        found = read_cache(path)
        if found is not None:  # a byte that means nothing, such as a date in the zip
            np.testing.assert_array_equal(found.images, images)
            np.testing.assert_array_equal(found.labels, dataset.labels)
            fields = ("name", "class_names", "files", "source_train", "skipped")
            assert [getattr(found, f) for f in fields] == [getattr(dataset, f) for f in fields]


def test_a_place_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, reads):
    (tmp_path / "file").write_text("in the way")
    path = letters(tmp_path / "letters")
    for place in (tmp_path / "file", tmp_path / "file" / "below", "/proc/nowhere"):
        monkeypatch.setenv("LENET_XP_CACHE", str(place))
        assert len(load(path)) == 10
    assert len(reads) == 3


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch, folder):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert len(load(letters(tmp_path / "letters"))) == 10
    assert list(folder.iterdir()) == []


def test_where_it_is(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("LENET_XP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "lenet_xp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "lenet_xp"
    for ignored in ("", "relative/cache", "."):  # as the standard says
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache_folder() == tmp_path / ".cache" / "lenet_xp"
    one, other = (cache_path(each, Preprocessing(), False) for each in "ab")
    assert one.parent == cache_folder() and one != other


def test_a_file_that_the_disk_cannot_give_is_named(tmp_path, monkeypatch):
    path = shutil.make_archive(str(tmp_path / "a"), "zip", letters(tmp_path / "letters"))

    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(hashlib, "file_digest", broken)
    with pytest.raises(InputError, match=r"a\.zip: cannot be read \(Input/output error\)"):
        load(path)
