"""MNIST's idx files, packed or not, written here byte by byte; and files that lie."""

import gzip
import os
import struct
import tracemalloc

import numpy as np
import pytest
from commandline import call

from lenet_xp.data.sources import framing_of, load_dataset

__all__ = ["call"]  # the fixture

X = np.random.default_rng(0).integers(0, 256, (9, 12, 10), np.uint8)
Y = np.array([3, 1, 2, 1, 2, 3, 2, 3, 1])
CODES = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}


def idx(array, kind="u1"):
    head = struct.pack(f">4B{array.ndim}I", 0, 0, CODES[kind], array.ndim, *array.shape)
    return head + array.astype(kind).tobytes()


def mnist(folder, prefix="", test="t10k", dot="-", packed=True, kind="u1"):
    """Six training and three test images; returns the path of each file."""
    folder.mkdir(exist_ok=True)
    paths = []
    for part, some in (("train", slice(6)), (test, slice(6, None))):
        for what, array, own in (("images", X, kind), ("labels", Y, "u1")):
            end = f"{what}{dot}idx{array.ndim}-ubyte" + ".gz" * packed
            paths.append(folder / f"{prefix}{part}-{end}")
            data = idx(array[some], own)
            paths[-1].write_bytes(gzip.compress(data) if packed else data)
    return paths


def load(path):
    return load_dataset(path, cache=False, progress=False)


@pytest.fixture
def expected(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=X[:6], y_train=Y[:6], x_test=X[6:], y_test=Y[6:])
    return load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"packed": False, "dot": "."},
        {"prefix": "emnist-letters-", "test": "test"},
        *({"kind": kind} for kind in (">i2", ">i4", ">f4", ">f8")),
    ],
)
def test_a_folder_and_each_file_give_the_images(tmp_path, expected, how):
    paths = mnist(tmp_path / "mnist", **how)
    for source in (tmp_path / "mnist", *paths):
        found = load(source)
        np.testing.assert_array_equal(found.images, expected.images)
        np.testing.assert_array_equal(found.labels, expected.labels)
        assert (found.class_names, found.source_train) == (("1", "2", "3"), 6)
        assert framing_of(source) == "keep"


def test_of_both_spellings_one_is_read_and_a_path_chooses_its_set(tmp_path, expected):
    mnist(tmp_path / "a", packed=False)
    mnist(tmp_path / "a")[0].write_bytes(b"damaged")
    assert len(load(tmp_path / "a")) == 9
    one = mnist(tmp_path / "a", "emnist-digits-")
    np.testing.assert_array_equal(load(one[2]).images, expected.images)


def test_the_cache_knows_all_files(tmp_path, monkeypatch):
    monkeypatch.setenv("LENET_XP_CACHE", str(tmp_path / "cache"))
    paths = mnist(tmp_path / "a")
    assert load_dataset(tmp_path / "a", progress=False).labels.tolist() == [*(Y - 1)]
    paths[3].write_bytes(gzip.compress(idx(np.array([1, 1, 1]))))
    found = load_dataset(tmp_path / "a", progress=False)
    assert found.labels.tolist() == [*(Y[:6] - 1), 0, 0, 0]


DATA = idx(X[:6])


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "is no idx file"),
        (b"text", "is no idx file"),
        (gzip.compress(DATA)[:-9], "end-of-stream"),
        (gzip.compress(DATA)[:40] + b"\0" * 9 + gzip.compress(DATA)[49:], "is no idx file"),
        (gzip.compress(b""), "is no idx file"),
        (gzip.compress(b"\0\0\x08"), "is no idx file"),
        (gzip.compress(DATA[:10]), "is no idx file"),
        (gzip.compress(DATA[:-1]), "is cut short"),
        (gzip.compress(DATA + b"\0"), "holds more than it declares"),
        (gzip.compress(b"\1" + DATA[1:]), "no header of idx"),
        (gzip.compress(DATA[:2] + b"\x07" + DATA[3:]), "no header of idx"),
        (gzip.compress(idx(Y[:6])), "has shape (6,)"),
        (gzip.compress(idx(X[:5])), "holds 5 images"),
        (gzip.compress(idx(X[:6] - 300.0, ">f4")), "has values"),
        (gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, *(2**32 - 1,) * 3)), "at most"),
        (gzip.compress(struct.pack(">4B255I", 0, 0, 8, 255, *(9,) * 255)), "has shape"),
        (gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 6, 0, 0)), "has shape"),
    ],
)
def test_damaged_and_lying_files_end_in_one_line(tmp_path, call, data, word):
    mnist(tmp_path / "a")[0].write_bytes(data)
    call("audit", "--data", tmp_path / "a", "--no-cache").assert_refused(word)


def test_a_bomb_takes_no_memory(tmp_path, call):
    """A gigabyte of zeros in a megabyte, declared as a few images, and declared in full."""
    paths = mnist(tmp_path / "a")
    for shape, word in (((6, 12, 10), "holds more"), ((2**20, 32, 32), "at most")):
        head = struct.pack(">4B3I", 0, 0, 8, 3, *shape)
        with gzip.open(paths[0], "wb", 1) as file:
            file.write(head)
            for _ in range(64):
                file.write(bytes(2**20))
        tracemalloc.start()
        call("audit", "--data", tmp_path / "a", "--no-cache").assert_refused(word)
        assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
        tracemalloc.stop()


def test_a_set_must_be_whole_and_the_only_one(tmp_path, call):
    paths = mnist(tmp_path / "a")
    mnist(tmp_path / "a", "emnist-digits-")
    call("audit", "--data", tmp_path / "a").assert_refused("emnist-digits-t10k", "one file")
    paths[3].unlink()
    call("audit", "--data", paths[0]).assert_refused("train-images", "t10k or test are expected")
    call("audit", "--data", tmp_path / "train-images-idx3-ubyte").assert_refused("no such file")


def test_pipes_are_not_opened(tmp_path, call):
    """Reading one would wait for ever."""
    for name in ("train-images-idx3-ubyte", "labels.csv"):
        os.mkfifo(tmp_path / name)
        call("audit", "--data", tmp_path / name).assert_refused(name, "is no data set")
