"""predictions.csv gives back what a network read, whatever the classes and files are called."""

import csv
import math
import tracemalloc

import numpy as np
import pytest
from scipy.stats import binom

from lenet_xp.errors import InputError
from lenet_xp.scores.predictions import mcnemar, read_predictions, write_predictions
from lenet_xp.scores.summary import Scores

ODD = ("a,b", 'say "ya"', "=1+1", "ⵣ", " ya ", "writer", "-", "file", "1e5")


def written(folder):
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as text:
        return list(csv.reader(text))


def answers(count=40, names=ODD, temperature=1.0, groups=None):
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.full(len(names), 0.2), count)
    labels = np.where(rng.random(count) < 0.7, probabilities.argmax(1), 0)
    return Scores(labels, probabilities, names, temperature, groups)


def test_every_cell_is_read_back(tmp_path):
    scores = answers(temperature=1.7, groups=np.arange(40) % 6)
    files = {i: f"{ODD[scores.labels[i]]}/{i}.png" for i in range(36)}
    files |= {36: "new\nline.png", 37: "return\r.png", 38: '"', 39: "=cmd"}
    write_predictions(tmp_path, scores, files)
    header, *rows = written(tmp_path)
    assert header == ["file", "true", "read", *ODD, "writer"]
    for i, (file, true, read, *shares, writer) in enumerate(rows):
        assert (file, true) == (files[i], ODD[scores.labels[i]])
        assert read == ODD[int(np.argmax([float(each) for each in shares]))]
        np.testing.assert_allclose([float(each) for each in shares], scores.scaled[i], rtol=6e-6)
        assert writer == str(i % 6)
    assert len(rows) == 40 and not np.allclose(scores.scaled, scores.probabilities)
    found = read_predictions(tmp_path)
    assert list(found.values()) == scores.correct.tolist()
    assert list(found) == [(files[i], ODD[label]) for i, label in enumerate(scores.labels)]


def test_rows_are_in_the_order_of_the_data_set_and_writers_may_be_unknown(tmp_path):
    write_predictions(tmp_path, answers(4), {7: "d", 2: "b", 5: "c", 0: "a"})
    rows = written(tmp_path)[1:]
    assert [row[0] for row in rows] == ["a", "b", "c", "d"]
    labels = [ODD[label] for label in answers(4).labels]
    assert [row[1] for row in rows] == [labels[3], labels[1], labels[2], labels[0]]
    assert {row[-1] for row in rows} == {""}


def test_many_rows_take_little_memory(tmp_path):
    names = tuple(f"class {k}" for k in range(500))
    scores = answers(2_000, names)
    assert scores.scaled.nbytes  # computed before, and not for the file
    tracemalloc.start()
    try:
        write_predictions(tmp_path, scores, {i: str(i) for i in range(2_000)})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (tmp_path / "predictions.csv").stat().st_size / 5


WHOLE = b"file,true,read,ya,yab,writer\nya/1,ya,ya,1,0,\nya/2,ya,yab,0,1,\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"file,true\n",
        b"a,b,c,d\n",
        WHOLE[:-9],
        WHOLE + b"\n",
        WHOLE + b"ya/1,ya,ya,1,0,\n",
        WHOLE + b'"ya/3,ya,ya,1,0,\n',
        WHOLE + b"\xff,ya,ya,1,0,\n",
        WHOLE + b"x" * 200_000 + b",ya,ya,1,0,\n",
        b"\x00" * 50,
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path, content):
    (tmp_path / "predictions.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"predictions\.csv: cannot be read \(.*score again$"):
        read_predictions(tmp_path)


def test_a_whole_file_is_read(tmp_path):
    (tmp_path / "predictions.csv").write_bytes(WHOLE)
    assert read_predictions(tmp_path) == {("ya/1", "ya"): True, ("ya/2", "ya"): False}


# McNemar's test


def readings(both, only_this, only_that, neither=3):
    """Two readings with so many images of each kind."""
    kinds = [(True, True)] * both + [(True, False)] * only_this
    kinds += [(False, True)] * only_that + [(False, False)] * neither
    return tuple({(str(i), "ya"): pair[k] for i, pair in enumerate(kinds)} for k in (0, 1))


@pytest.mark.parametrize(("this", "that"), [(0, 0), (0, 1), (1, 0), (5, 5), (2, 9), (9, 2), (0, 6)])
def test_mcnemar_is_the_two_sided_binomial_test(this, that):
    only_this, only_that, p = mcnemar(*readings(20, this, that))
    assert (only_this, only_that) == (this, that)
    tail = binom.cdf(min(this, that), this + that, 0.5)
    assert math.isclose(p, min(1.0, 2 * tail))


def test_mcnemar_on_a_published_example():
    """1 and 8 discordant pairs: p = 0.0391, as in tables of the sign test."""
    assert round(mcnemar(*readings(10, 1, 8))[2], 4) == 0.0391
