"""predictions.csv gives back what a network read, whatever the classes and files are called."""

import csv
import tracemalloc

import numpy as np

from lenet_xp.scores.summary import Scores
from lenet_xp.scores.tables import write_predictions
from studies.compare import read_predictions

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
