"""Comparing runs: finished runs in one table, and which differences may be chance."""

import csv
import json
import os
import re

import numpy as np
import pytest
from commandline import QUICK, call, files_in, letters_folder

from lenet_xp.scores.summary import Scores
from lenet_xp.scores.tables import write_predictions
from lenet_xp.system.files import write_json

__all__ = ["call"]  # the fixture

NAMES = ("ya", "yab")
OLD = {"test_accuracy": 0.5, "n_test": 4, "dataset": "letters"}  # what the oldest records have


def run(folder, right, **more):
    """A finished run whose images were read right or not."""
    right = np.array(right)
    folder.mkdir()
    labels = np.arange(len(right)) % 2
    shares = np.eye(2)[np.where(right, labels, 1 - labels)]
    files = {i: f"{NAMES[label]}/{i}.png" for i, label in enumerate(labels)}
    write_predictions(folder, Scores(labels, shares, NAMES), files)
    scores = {
        **{"accuracy": right.mean(), "accuracy_interval": (0.25, 0.75), "macro_f1": 0.5},
        **{"loss": 9.0, "loss_scaled": 0.625, "ece": 0.9, "ece_scaled": 0.015},
    }
    record = {
        **{"dataset": "letters", "split": "seed", "fold": None, "parameters": 63_661},
        **{"recipe": "classic", "epochs": 10, "n_test": len(right), "train_seconds": 12.4},
        **{"device": "cpu", **{f"test_{name}": value for name, value in scores.items()}, **more},
    }
    write_json(folder / "metrics.json", record)
    return folder


def reads(ones, zeros=0):
    return [True] * ones + [False] * zeros


@pytest.fixture
def pair(tmp_path):
    """Two runs on 100 images: only the first reads 2 of them right, only the second 12."""
    first = run(tmp_path / "first", reads(82) + reads(2, 12) + reads(0, 4))
    return first, run(tmp_path / "second", reads(82) + reads(0, 2) + reads(12, 4))


def test_the_table_has_a_row_for_each_run(pair, call):
    first, second = pair
    done = call("compare", first, second)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    titles = "run data split parameters recipe epochs images accuracy from to macro F1 loss ECE"
    assert lines[0].split() == [*titles.split(), "seconds", "device"]
    cells = "letters test of seed 63,661 classic 10 100 84.00% 25.00% 75.00% 50.00% 0.6250 1.50%"
    assert lines[1].split() == [str(first), *cells.split(), "12", "cpu"]
    assert lines[2].split()[9] == "94.00%*" and lines[3].startswith("* the best accuracy")
    alone = call("compare", second).out.splitlines()
    assert len(alone) == 3 and "94.00%*" in alone[1]


def test_the_difference_is_tested_on_the_same_images(pair, call, tmp_path):
    first, second = pair
    done = call("compare", first, second).out.splitlines()
    assert done[-2:] == [
        f"{second} against {first}: 12 images right by the former alone, 2 by the latter alone; "
        "the difference is hardly chance, p = 0.013",
        "p: McNemar's exact test",
    ]
    third = run(tmp_path / "third", reads(80) + reads(0, 4) + reads(4, 12))
    lines = call("compare", first, second, third, second).out.splitlines()
    assert "is hardly chance, p = 0.039" in lines[-4]  # three tests, three chances
    assert "4 images right by the former alone, 4 by the latter" in lines[-3]
    assert lines[-3].startswith(f"{third} against {first}: ") and "may be chance" in lines[-3]
    assert lines[-1] == "p: McNemar's exact test, p times 3 (Bonferroni)"
    same = call("compare", first, first).out
    assert (
        "0 images right by the former alone, 0 by the latter alone; the difference may be" in same
    )


def test_other_images_are_not_tested(pair, call, tmp_path):
    first, second = pair
    fewer = run(tmp_path / "fewer", reads(90, 9))
    other = run(tmp_path / "other", reads(90, 10), dataset="others")
    (second / "predictions.csv").unlink()
    lines = call("compare", first, fewer, other, second).out.splitlines()
    assert lines[-3:] == [
        f"{fewer} against {first}: not tested, for their test images are not the same",
        f"{other} against {first}: not tested, for their test images are not the same",
        f"{second} against {first}: not tested, for {second} has no predictions.csv",
    ]
    assert f"for {second} has no" in call("compare", second, first).out


def test_json_holds_the_same(pair, call, tmp_path):
    first, second = pair
    fewer = run(tmp_path / "fewer", reads(90, 9))
    answer = json.loads(call("compare", first, second, fewer, "--json").out)
    assert [row["run"] for row in answer["runs"]] == [str(first), str(second), str(fewer)]
    assert answer["runs"][1]["accuracy"] == 0.94 and answer["runs"][1]["low"] == 0.25
    tested, untested = answer["tests"]
    assert (tested["only_run"], tested["only_against"]) == (12, 2)
    assert tested["p"] == pytest.approx(2 * (1 + 14 + 91) / 2**14)
    assert untested["not_compared"] == "their test images are not the same"


def test_an_old_record_has_dashes(call, tmp_path):
    for name, record in (("old", OLD), ("scored", {"accuracy": 0.5, "images": 4, "part": "val"})):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / ("metrics.json" if name == "old" else "scores.json"), record)
    old, scored = call("compare", tmp_path / "old", tmp_path / "scored").out.splitlines()[1:3]
    dashes = ["-"] * 7
    assert old.split()[1:] == ["letters", "test", "-", "-", "-", "4", "50.00%*", *dashes]
    assert scored.split()[1:] == ["-", "val", "-", "-", "-", "4", "50.00%*", *dashes]


def test_real_runs_are_compared(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LENET_XP_CACHE", str(tmp_path / "cache"))
    data = ("--data", letters_folder(tmp_path / "letters"))
    assert call("train", *data, *QUICK, "--out", "a").status == 0
    assert call("evaluate", "a/model.npz", *data, "--out", "b").status == 0
    assert call("evaluate", "a/model.npz", *data, "--out", "c", "--dtype", "float64").status == 0
    assert call("evaluate", "a/model.npz", *data, "--part", "all", "--out", "d").status == 0
    with open("d/predictions.csv", encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    files = [f"{name}/{name}_{i}.jpeg" for name in ("ya", "yan", "yat") for i in range(15)]
    assert [row["file"] for row in rows] == files
    assert all(row["file"].startswith(f"{row['true']}/") for row in rows)
    lines = call("compare", "b", "c", "d", "a").out.splitlines()
    assert lines[-4].startswith("c against b: 0 images right by the former alone, 0 by the latter")
    assert "not the same" in lines[-3] and "a has no predictions.csv" in lines[-2]


def test_generated_letters_of_other_seeds_are_other_images(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("train", "--samples", 15, "--seed", 1, *QUICK, "--out", "a").status == 0
    for seed, out in ((1, "b"), (2, "c"), (1, "d")):
        given = ("--data", "synthetic", "--samples", 15, "--seed", seed)
        assert call("evaluate", "a/model.npz", *given, "--out", out).status == 0
    lines = call("compare", "b", "c", "d").out.splitlines()
    assert "not the same" in lines[-3] and "may be chance" in lines[-2]


def test_bad_input_is_one_line(pair, call, tmp_path):
    first, second = pair
    before = files_in(tmp_path)
    call("compare", first, tmp_path / "none").assert_refused("none", "is no run", "metrics.json")
    call("compare", first / "metrics.json").assert_refused("is no run")
    call("compare", tmp_path).assert_refused("is no run")
    assert files_in(tmp_path) == before
    (tmp_path / "half" / "checkpoints").mkdir(parents=True)
    half = tmp_path / "half"
    call("compare", half).assert_refused("half", "not finished", f"lenet-xp train --resume {half}")
    table = second / "predictions.csv"
    whole = table.read_text()
    table.write_text(whole[:-6])
    call("compare", first, second).assert_refused("predictions.csv", "cannot be read")
    table.write_text(re.sub("ya/0.png.*\n", "", whole))
    call("compare", first, second).assert_refused("predictions.csv", "does not fit metrics.json")
    table.write_text(whole.replace("ya/0.png,ya,ya", "ya/0.png,ya,yab"))
    call("compare", first, second).assert_refused("predictions.csv", "does not fit metrics.json")
    table.unlink()
    table.symlink_to(os.devnull)  # a device may go on for ever
    assert "second has no predictions.csv" in call("compare", first, second).out


@pytest.mark.parametrize(
    "record",
    [
        *("", "[]", "{}", "null", "{", "[" * 100_000, '{"test_accuracy": null, "n_test": 4}'),
        *(json.dumps(OLD | {"test_accuracy": value}) for value in ("1", [1], 1e999, {})),
        *(json.dumps(OLD | {"n_test": value}) for value in ("4", 4.5, [4])),
        *(json.dumps(OLD | {"dataset": 5}), json.dumps(OLD | {"test_accuracy_interval": 5})),
        json.dumps(OLD | {"test_accuracy_interval": [1, 2, 3]}),
        '{"test_accuracy": 0.5, "n_test": 1' + "0" * 400 + "}",
    ],
)
def test_a_damaged_record_is_one_line(call, tmp_path, record):
    (tmp_path / "metrics.json").write_text(record)
    call("compare", tmp_path).assert_refused("metrics.json", "is no record of a run")


def test_names_cannot_steer_the_terminal(call, tmp_path):
    folder = run(tmp_path / "a\x1b[2Jb", reads(3, 1), device="c\x1b[31mpu")
    done = call("compare", folder, folder)
    assert done.status == 0 and "\x1b" not in done.out and r"c\x1b[31mpu" in done.out
