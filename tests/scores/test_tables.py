"""The tables of an analysis say what the counts say, and their columns line up."""

import csv
import json

import cv2
import numpy as np
import pytest

from lenet_xp.commands.pictures import draw_scores
from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letters
from lenet_xp.scores.rejection import rejection_curve
from lenet_xp.scores.summary import Scores
from lenet_xp.scores.tables import (
    text_table,
    write_calibration,
    write_confused_pairs,
    write_per_class,
    write_rejection,
    write_tables,
)

NAMES = tuple(each.name for each in letters())


def _scores() -> Scores:
    """20 images a letter, all right but five: three yar read as yarr, two yagw read as yag."""
    labels = np.repeat(np.arange(33), 20)
    read_as = labels.copy()
    for true, read, count in (("yar", "yarr", 3), ("yagw", "yag", 2)):
        read_as[20 * NAMES.index(true) :][:count] = NAMES.index(read)
    return Scores(labels, np.eye(33)[read_as], NAMES)


def _table(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def test_per_class_table_holds_every_letter_with_its_scores(tmp_path):
    write_per_class(tmp_path, _scores())
    rows = {row["class"]: row for row in _table(tmp_path / "per_class.csv")}
    assert tuple(rows) == NAMES
    assert rows["yar"] == {
        "class": "yar",
        "latin": "r",
        "precision": "1.0000",
        "recall": "0.8500",
        "f1": "0.9189",
        "support": "20",
        "glyph": "ⵔ",
    }
    assert rows["yarr"]["precision"] == "0.8696"
    assert rows["yagw"]["glyph"] == "ⴳⵯ"


def test_per_class_text_lines_up_and_shows_every_glyph(tmp_path):
    write_per_class(tmp_path, _scores())
    header, *lines = (tmp_path / "per_class.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 33
    # Numbers end where the heading of their column ends, and the glyph begins under its own.
    for name in ("precision", "recall", "f1", "support"):
        end = header.index(name) + len(name)
        assert all(line[end - 1].isdigit() and line[end] == " " for line in lines)
    start = header.index("glyph")
    assert [line[start:] for line in lines] == [each.glyph for each in letters()]


def test_confused_pairs_come_with_their_glyphs(tmp_path):
    write_confused_pairs(tmp_path, _scores())
    assert [list(row.values()) for row in _table(tmp_path / "confused_pairs.csv")] == [
        ["yar", "yarr", "3", "0.1500", "ⵔ", "ⵕ"],
        ["yagw", "yag", "2", "0.1000", "ⴳⵯ", "ⴳ"],
    ]
    assert (tmp_path / "confused_pairs.txt").read_text(encoding="utf-8").splitlines() == [
        "true  predicted  count   share  glyphs",
        "yar   yarr           3  0.1500  ⵔ → ⵕ",
        "yagw  yag            2  0.1000  ⴳⵯ → ⴳ",
    ]


def test_confusion_table_gives_the_counts_back(tmp_path):
    write_tables(tmp_path, _scores(), {i: f"{i}.png" for i in range(33 * 20)})
    rows = _table(tmp_path / "confusion.csv")
    assert [row["true"] for row in rows] == list(NAMES)
    counts = [[int(row[name]) for name in NAMES] for row in rows]
    expected = np.diag(np.full(33, 20))
    expected[NAMES.index("yar"), [NAMES.index("yar"), NAMES.index("yarr")]] = 17, 3
    expected[NAMES.index("yagw"), [NAMES.index("yagw"), NAMES.index("yag")]] = 18, 2
    np.testing.assert_array_equal(counts, expected)


def test_columns_are_flush_left_or_right():
    assert text_table(("name", "n"), [("ya", "1"), ("yab", "22")], left=(0,)) == (
        "name   n\nya     1\nyab   22\n"
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("names", [NAMES, ("3", "8")])
def test_scores_leave_every_table_and_picture(tmp_path, names):
    labels = np.arange(200) % len(names)
    predictions = np.where(np.arange(200) % 9 == 0, (labels + 1) % len(names), labels)
    probabilities = np.full((200, len(names)), 0.01, dtype=np.float32)
    probabilities[np.arange(200), predictions] = 0.9
    images = np.random.default_rng(0).integers(0, 256, (200, 32, 32), dtype=np.uint8)
    scores = Scores(labels, probabilities, names)
    write_tables(tmp_path / "new" / "run", scores, {i: str(i) for i in range(200)})
    draw_scores(tmp_path / "new" / "run", scores, images)
    written = sorted(path.name for path in (tmp_path / "new" / "run").iterdir())
    assert written == [
        "calibration.json",
        "confused_pairs.csv",
        "confused_pairs.png",
        "confused_pairs.txt",
        "confusion.csv",
        "confusion_matrix.png",
        "misclassified.png",
        "per_class.csv",
        "per_class.png",
        "per_class.txt",
        "predictions.csv",
        "rejection.csv",
        "rejection.png",
        "reliability.png",
    ]
    for path in (tmp_path / "new" / "run").glob("*.png"):
        assert cv2.imread(str(path)) is not None


def _answers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of `count` images of 3 classes, some of them wrong."""
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet((0.1, 0.1, 0.1), count)
    return np.array([rng.choice(3, p=row) for row in probabilities], dtype=int), probabilities


@pytest.mark.filterwarnings("error")
def test_known_writers_add_their_tables_and_picture(tmp_path):
    labels, probabilities = _answers(120)
    images = np.zeros((120, 32, 32), dtype=np.uint8)
    writers = np.arange(120) % 4
    scores = Scores(labels, probabilities, NAMES[:3], 1.5, writers)
    write_tables(tmp_path, scores, {i: str(i) for i in range(120)})
    draw_scores(tmp_path, scores, images)
    rows = _table(tmp_path / "per_writer.csv")
    assert {row["writer"] for row in rows} == {"0", "1", "2", "3"}
    wrong = probabilities.argmax(axis=1) != labels
    for row in rows:
        assert int(row["errors"]) == wrong[writers == int(row["writer"])].sum()
        assert row["images"] == "30"
        assert float(row["low"]) < float(row["accuracy"]) < float(row["high"]) <= 1
    assert len((tmp_path / "per_writer.txt").read_text().splitlines()) == 5
    assert cv2.imread(str(tmp_path / "per_writer.png")) is not None


def test_calibration_is_written_before_and_after_the_temperature(tmp_path):
    labels, probabilities = _answers(300)
    write_calibration(tmp_path, Scores(labels, probabilities, NAMES[:3], 3.0))
    written = json.loads((tmp_path / "calibration.json").read_text())
    assert (written["images"], written["temperature"]) == (300, 3.0)
    for side in (written["before"], written["after"]):
        bins = side["bins"]
        gaps = [
            count / 300 * abs(accuracy - confidence)
            for count, accuracy, confidence in zip(
                bins["counts"], bins["accuracy"], bins["confidence"], strict=True
            )
            if count
        ]
        assert sum(bins["counts"]) == 300 and sum(gaps) == pytest.approx(side["ece"])
    assert written["before"]["ece"] != written["after"]["ece"]


@pytest.mark.parametrize("count", [0, 1, 7, 200, 5148])
def test_rejection_table_is_short_and_ends_with_all_images(tmp_path, count):
    labels, probabilities = _answers(count)
    write_rejection(tmp_path, rejection_curve(probabilities, labels))
    rows = _table(tmp_path / "rejection.csv")
    assert len(rows) == min(count, 200)
    for row in rows:
        kept = probabilities.max(axis=1) >= float(row["threshold"])
        assert float(row["coverage"]) == pytest.approx(kept.mean(), abs=1e-6)
    if count:
        right = probabilities.argmax(axis=1) == labels
        assert float(rows[-1]["coverage"]) == 1
        assert float(rows[-1]["accuracy"]) == pytest.approx(right.mean(), abs=1e-6)


def test_tables_that_cannot_be_written_say_so(tmp_path):
    (tmp_path / "file").touch()
    scores = Scores(np.zeros(1, dtype=np.int64), np.ones((1, 2)), ("ya", "yar"))
    with pytest.raises(InputError, match="cannot write"):
        write_tables(tmp_path / "file", scores, {0: "a"})
