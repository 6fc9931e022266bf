"""Tables of pixels as people have MNIST: read as arrays are, or refused in a line."""

import csv

import numpy as np
import pytest
from commandline import call

from lenet_xp.data import pixel_table
from lenet_xp.data.sources import framing_of, load_dataset
from lenet_xp.errors import InputError

__all__ = ["call"]  # the fixture

X = np.zeros((30, 8, 8), np.uint8)
for place, picture in enumerate(X):
    picture[1 + place % 5, 1:7] = 255
    picture[3:7, 1 + place % 4] = 100 + place
Y = np.arange(30) % 3 + 1


def rows_of(x, last):
    flat = x.reshape(len(x), -1).tolist()
    return [[*r, y] if last else [y, *r] for r, y in zip(flat, Y.tolist(), strict=True)]


def written(path, x=X, last=False, header=None, **how):
    with path.open("w", newline="", encoding=how.pop("encoding", "utf-8")) as file:
        csv.writer(file, **how).writerows([*([header] if header else []), *rows_of(x, last)])
    return path


def load(path):
    return load_dataset(path, cache=False, progress=False)


PIXELS = [f"pixel{n}" for n in range(64)]
CELLS = [f"{row}x{column}" for row in range(1, 9) for column in range(1, 9)]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.TXT"])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("header", [None, PIXELS, CELLS])
@pytest.mark.parametrize(
    "how", [{}, {"delimiter": ";", "quoting": csv.QUOTE_ALL}, {"delimiter": "\t"}]
)
def test_label_first_or_last_header_or_not(tmp_path, name, last, header, how):
    np.savez(tmp_path / "same.npz", x=X, y=Y)
    expected = load(tmp_path / "same.npz")
    header = header and ([*header, "Label"] if last else ["Class", *header])
    found = load(written(tmp_path / name, X, last, header, encoding="utf-8-sig", **how))
    np.testing.assert_array_equal(found.images, expected.images)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert found.class_names == ("1", "2", "3") and found.source_train is None
    assert framing_of(tmp_path / name) == "keep"


def test_fractions_and_two_values_are_read(tmp_path):
    expected = load(written(tmp_path / "a.csv"))
    found = load(written(tmp_path / "b.csv", X / 255))
    assert np.abs(found.images.astype(int) - expected.images).max() <= 1
    two = load(written(tmp_path / "c.csv", (X > 0).astype(int)))
    black = load(written(tmp_path / "d.csv", (X > 0) * 255))
    np.testing.assert_array_equal(two.images, black.images)


def test_a_header_decides_before_numbers_do(tmp_path):
    noisy = X.copy()
    noisy[:, -1, -1] = np.arange(30) * 8  # a corner further from its neighbour than labels are
    found = load(written(tmp_path / "a.csv", noisy, False, ["label", *PIXELS]))
    assert found.class_names == ("1", "2", "3")


ZEROS = ",".join(["0"] * 16)
START = ",".join(["label", *PIXELS[:16]]) + f"\n1,{ZEROS}\n2,{ZEROS}\n"


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("1,2", "columns changed from 17 to 2"),
        (f"1,{ZEROS[:-1]}x", "could not convert string 'x'"),
        (f"ya,{ZEROS}", "could not convert string 'ya'"),
        (f"1,{ZEROS[:-1]}256", "has values 0 to 256"),
        (f"1,{ZEROS[:-1]}-1", "has values -1 to 0"),
        (f"1,{ZEROS[:-1]}1e999", "has values 0 to inf"),
        (f"1,{ZEROS[:-1]}nan", "has values nan"),
        (f"1.5,{ZEROS}", "labels: is"),
        (f"nan,{ZEROS}", "labels: is"),
        (f",{ZEROS}", "could not convert string ''"),
        ("0," * 2**20, "a line has over 1,048,576 bytes"),
        ("\udcff", "codec can't decode"),
    ],
)
def test_what_cannot_be_read_ends_in_one_line(tmp_path, call, line, word):
    text = START + line
    (tmp_path / "bad.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    call("audit", "--data", tmp_path / "bad.csv", "--no-cache").assert_refused("bad.csv", word)


def test_a_number_of_images_is_read_and_no_more(tmp_path, monkeypatch):
    path = written(tmp_path / "a.csv")
    for limit, most in (("MAX_IMAGES", 30), ("MAX_VALUES", 30 * 4 * 65)):
        with monkeypatch.context() as patch:
            patch.setattr(pixel_table, limit, most)
            assert len(load(path)) == 30
            patch.setattr(pixel_table, limit, most - 1)
            with pytest.raises(InputError, match="it holds over 29 pictures"):
                load(path)


@pytest.mark.parametrize("cells", [4 * 4, 4 * 4 + 2, 3 * 3 + 1])
def test_other_numbers_of_columns_are_no_pictures(tmp_path, cells):
    (tmp_path / "a.csv").write_text((",".join("0" * cells) + "\n") * 3)
    with pytest.raises(InputError, match="which columns hold files and labels"):
        load(tmp_path / "a.csv")
