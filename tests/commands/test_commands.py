"""The commands end to end: train, evaluate, predict, and what they print and leave."""

import csv
import json
import re
import shutil
import signal
import sys
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
from commandline import QUICK, call, files_in, finish, letters_folder, start

from lenet_xp.commands import predict
from lenet_xp.commands import train as train_command
from lenet_xp.data import folder
from lenet_xp.inference import predict_probabilities
from lenet_xp.layers import Conv2D
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.image_file import read_image
from lenet_xp.scores.calibration import apply_temperature
from lenet_xp.system.opencv import cv2
from lenet_xp.training.record import RESULTS

__all__ = ["call"]  # the fixture

KEYS = {
    *("recipe", "dataset", "n_train", "n_val", "n_test", "split", "seed", "epochs", "batch_size"),
    *("backend_requested", "backend", "device", "dtype", "best_val_accuracy", "test_accuracy"),
    *("test_loss", "train_seconds", "images_per_second", "parameters", "versions", "git_commit"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with data and one finished run with plots; tests add, and change nothing."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("world")
        patch.setenv("LENET_XP_CACHE", str(place / "cache"))
        data = letters_folder(place / "letters")
        train_command.train(
            ["--data", str(data), "--epochs", "2", "--batch-size", "8", "--out", str(place / "run")]
        )
        yield place


@pytest.fixture(autouse=True)
def own_place(world, tmp_path, monkeypatch):
    monkeypatch.setenv("LENET_XP_CACHE", str(world / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def metrics(world):
    return json.loads((world / "run" / "metrics.json").read_text(encoding="utf-8"))


def test_a_run_leaves_its_results(world, metrics):
    assert files_in(world / "run") == sorted(RESULTS)
    assert all((world / "run" / name).stat().st_size > 0 for name in RESULTS)
    assert not KEYS - set(metrics)
    assert (metrics["n_train"], metrics["n_val"], metrics["n_test"]) == (32, 4, 9)
    assert (metrics["backend_requested"], metrics["dtype"]) == ("auto", "float32")
    assert (metrics["epochs"], metrics["batch_size"], metrics["recipe"]) == (2, 8, "classic")
    assert metrics["dataset"] == "letters" and metrics["versions"]["numpy"] == np.__version__
    assert metrics["git_commit"] is None or re.match("[0-9a-f]{40}", metrics["git_commit"])
    with (world / "run" / "history.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    best = max(float(row["val_accuracy"]) for row in rows)
    assert metrics["best_val_accuracy"] == best
    for name in RESULTS:
        if name.endswith(".png"):
            assert min(read_image(world / "run" / name).shape[:2]) > 100


def test_evaluate_repeats_the_runs_own_figures(world, metrics, call):
    arguments = ["evaluate", world / "run" / "model.npz", "--data", world / "letters"]
    scores = json.loads(call(*arguments, "--json").out)
    assert scores["accuracy"] == metrics["test_accuracy"]
    assert scores["loss"] == pytest.approx(metrics["test_loss"], rel=1e-5)
    assert (scores["images"], scores["part"], scores["skipped"]) == (9, "test", 0)
    shown = call(*arguments)
    assert shown.status == 0
    assert f"accuracy {metrics['test_accuracy']:.2%}" in shown.out
    low, high = metrics["test_accuracy_interval"]
    assert f"(95% interval {low:.2%} to {high:.2%})" in shown.out
    assert f"{scores['ece']:.2%} as trained, {scores['ece_scaled']:.2%} at" in shown.out
    for name in ("ece", "ece_scaled", "loss_scaled", "brier_score", "macro_f1"):
        assert scores[name] == pytest.approx(metrics[f"test_{name}"], rel=1e-5)
    everything = json.loads(call(*arguments, "--json", "--part", "all").out)
    assert everything["images"] == 45


def test_classes_that_the_model_does_not_know_are_named_and_not_scored(world, call):
    """Letters beside a class of the same pictures under another name: the scores stay."""
    folder = shutil.copytree(world / "letters", Path("more"))
    shutil.copytree(folder / "ya", folder / "yaz")
    model = world / "run" / "model.npz"
    whole = ("--part", "all", "--json", "--data")
    expected = json.loads(call("evaluate", model, *whole, world / "letters").out)
    outcome = call("evaluate", model, *whole, folder)
    found = json.loads(outcome.out)
    assert (expected["unknown_classes"], found["unknown_classes"]) == ({}, {"yaz": 15})
    words = "not scored: 15 of 60 images, of classes that the model lacks: yaz"
    assert words in outcome.err.splitlines()
    differing = {"dataset", "unknown_classes"}
    assert all(found[key] == expected[key] for key in expected.keys() - differing)
    scored = call("evaluate", model, "--data", folder, "--split", "seed", "--out", "scores")
    assert scored.status == 0 and "not scored: 3 of 12 images" in scored.err
    rows = Path("scores/predictions.csv").read_text().splitlines()[1:]
    assert len(rows) == 9 and not any("yaz" in row for row in rows)
    for name in ("ya", "yan", "yat"):
        (folder / name).rename(folder / f"{name}2")
    call("evaluate", model, "--data", folder).assert_refused("knows no class 'ya2'")


def test_averaging_stands_apart(world, metrics, call):
    arguments = [world / "run" / "model.npz", "--data", world / "letters"]
    plain = json.loads(call("evaluate", *arguments, "--json").out)
    both = json.loads(call("averaging", *arguments, "--views", 3, "--json").out)
    averaged = both.pop("averaged")
    assert both == plain
    assert (averaged["views"], averaged["seed"]) == (3, 0) and averaged["loss"] != plain["loss"]
    assert f"accuracy {averaged['accuracy']:.2%}" in call("averaging", *arguments, "--views", 3).out
    assert call("averaging", *arguments, "--views", 1).status == 2


def test_synthetic_letters_from_training_to_scores(tmp_path, call):
    out = tmp_path / "run"
    trained = call("train", "--samples", 15, "--seed", 3, "--out", out, *QUICK)
    assert trained.status == 0 and f"{out}/" in trained.out
    assert files_in(out) == ["history.csv", "metrics.json", "model.npz", "recipe.toml"]
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["dataset"] == "synthetic" and metrics["parameters"] == 63_661
    # The temperature was fitted to the validation images.
    saved = load_model(out / "model.npz", get_ops("numpy"))
    assert saved.temperature == metrics["temperature"] != 1
    synthetic = ["evaluate", out / "model.npz", "--data", "synthetic", "--json"]
    val = json.loads(call(*synthetic, "--part", "val").out)
    assert val["temperature"] == saved.temperature
    assert val["loss_scaled"] < val["loss"]
    # The file knows its samples and seed.
    scored = call(*synthetic, "--out", "report")
    scores = json.loads(scored.out)
    assert scores["accuracy"] == metrics["test_accuracy"]
    assert scores["loss"] == pytest.approx(metrics["test_loss"], rel=1e-5)
    written = files_in(tmp_path / "report")
    made = {"per_class.csv", "calibration.json", "reliability.png", "rejection.csv"}
    assert made | {"rejection.png"} <= set(written)


def test_predict_says_what_the_api_says(world, call):
    model = world / "run" / "model.npz"
    outcome = call("predict", model, world / "letters", "--top", 2, "--json", "--backend", "numpy")
    answer = json.loads(outcome.out)
    readings = answer.pop("results")
    assert answer == {"version": 1, "skipped": []}
    assert len(outcome.out.splitlines()) == len(readings) + 2  # one a line, for grep and the like
    files = sorted((world / "letters").rglob("*.jpeg"))
    assert [reading["file"] for reading in readings] == [str(file) for file in files]
    saved = load_model(model, get_ops("numpy"))
    images = np.array([saved.preprocessing.apply(read_image(file)) for file in files])
    plain = predict_probabilities(saved.model, images, saved.preprocessing, 1)
    probabilities = apply_temperature(plain, saved.temperature)
    for reading, row in zip(readings, probabilities, strict=True):
        best = np.argsort(-row)[:2]
        printed = [(each["name"], each["probability"]) for each in reading["readings"]]
        assert printed == [(saved.class_names[i], pytest.approx(row[i], rel=1e-6)) for i in best]
    truth = np.array([saved.class_names.index(file.parent.name) for file in files])
    assert np.mean(truth == probabilities.argmax(1)) > 0.4  # a third is chance


@pytest.mark.parametrize("shape", [(40, 40), (300, 200)])
def test_predict_sees_that_a_picture_holds_no_ink(world, call, tmp_path, shape):
    blank, good = tmp_path / "blank.png", world / "letters" / "ya" / "ya_0.jpeg"
    cv2.imwrite(str(blank), np.full(shape, 230, np.uint8))
    words = "predict", world / "run" / "model.npz", blank, good
    lines = call(*words).out.splitlines()
    assert lines[0].split()[1:] == ["(no", "ink)"] and lines[1].count("%") == 3
    results = json.loads(call(*words, "--json").out)["results"]
    assert [each["blank"] for each in results] == [True, False]
    assert results[0] == {
        "file": str(blank),
        "pages": 1,
        "blank": True,
        "none_of_these": False,
        "readings": [],
    }
    (page,) = json.loads(call("predict", "--page", blank, "--json").out)["results"]
    assert page["blank"] and page["letters"] == [] and page["text"] == ""
    assert call("predict", "--page", blank).out == f"{blank}: 0 letters\n"


@pytest.mark.parametrize("page", [(), ("--page",)])
def test_what_predict_skips_is_listed_in_its_json(world, call, tmp_path, page):
    good, bad = world / "letters" / "ya" / "ya_0.jpeg", tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    outcome = call("predict", bad, good, "--json", "--skip-bad", *page)
    answer = json.loads(outcome.out)
    assert [each["file"] for each in answer["results"]] == [str(good)]
    (skipped,) = answer["skipped"]
    assert skipped["file"] == str(bad) and skipped["reason"].startswith("is not an image")
    assert outcome.err == f"skipped {bad}: {skipped['reason']}\n"


def test_predict_prints_one_line_for_each_image(world, call):
    folder, file = world / "letters" / "ya", world / "letters" / "yat" / "yat_3.jpeg"
    outcome = call("predict", world / "run" / "model.npz", folder, file, "--top", 99)
    assert outcome.status == 0 and outcome.err == ""
    lines = outcome.out.splitlines()
    assert len(lines) == 16 and lines[-1].startswith(str(file))
    assert all(line.count("%") == 3 and "ⵜ yat" in line for line in lines)


def test_predict_passes_over_what_systems_leave(tmp_path, world, call):
    folder = letters_folder(tmp_path / "photos", 1)
    (folder / "._ya.png").write_bytes(b"finder's")
    (folder / "folder.png").mkdir()
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails" / "ya.png").write_bytes(b"another's")
    assert len(call("predict", world / "run" / "model.npz", folder).out.splitlines()) == 3


def test_predict_reports_a_long_search(world, call, monkeypatch):
    monkeypatch.setattr("lenet_xp.system.progress.DELAY", -1.0)
    letters = world / "letters"
    outcome = call("predict", letters, "--model", world / "run" / "model.npz")
    assert outcome.status == 0 and outcome.err == f"searching {letters} ...\n"


def test_predict_ends_its_search_at_one_image_too_many(world, call, monkeypatch):
    seen = []
    monkeypatch.setattr(predict, "MAX_IMAGES", 20)
    monkeypatch.setattr(folder, "why_left_out", lambda path, start: seen.append(path))
    call("predict", world / "letters").assert_refused("over 20 images")
    assert len(seen) == 21


@pytest.mark.parametrize("page", [(), ("--page",)])
def test_predict_names_the_way_on_without_a_bad_image_where_there_are_others(
    world, call, tmp_path, page
):
    good, bad = world / "letters/ya/ya_0.jpeg", tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    model = "--model", world / "run" / "model.npz"
    call("predict", bad, good, *model, *page).assert_refused("bad.png", "--skip-bad")
    alone = call("predict", bad, *model, *page)
    alone.assert_refused("bad.png")
    assert "--skip-bad" not in alone.err


def test_skip_bad_leaves_out_counts_and_lists(tmp_path, world, call):
    data = letters_folder(tmp_path / "data", 16)
    bad = data / "yan" / "yan_3.jpeg"
    bad.write_bytes(bad.read_bytes()[:300])
    outcome = call("train", "--data", data, "--skip-bad", "--out", "run", *QUICK)
    assert outcome.status == 0
    assert outcome.err.count("skipped yan/yan_3.jpeg: is cut short") == 1
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["skipped"] == 1
    assert metrics["n_train"] + metrics["n_val"] + metrics["n_test"] == 47
    outcome = call("evaluate", "run/model.npz", "--data", data, "--skip-bad", "--json")
    assert json.loads(outcome.out)["skipped"] == 1
    assert json.loads(outcome.out)["accuracy"] == metrics["test_accuracy"]
    assert "skipped yan/yan_3.jpeg" in outcome.err
    outcome = call("predict", "run/model.npz", data, "--skip-bad", "--json")
    answer = json.loads(outcome.out)
    assert len(answer["results"]) == 47
    assert answer["skipped"] == [{"file": str(bad), "reason": ANY}]
    assert outcome.err.startswith(f"skipped {bad}: is cut short")
    assert outcome.err.count("yan_3") == 1


def test_a_finished_run_is_replaced_only_on_request(world, call, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(world / "run", out)
    before = {name: (out / name).read_bytes() for name in files_in(out)}
    (out / "mine.txt").write_text("kept")
    again = ["train", "--data", world / "letters", "--out", out, *QUICK]
    call(*again).assert_refused(out, "--overwrite")
    # A run that fails leaves the old one whole.
    diverging = ["--learning-rate", "1e38", "--batch-size", 4, "--overwrite"]
    call(*again, *diverging).assert_refused("learning rate 1e+38 is too high; try a tenth")
    assert {name: (out / name).read_bytes() for name in before} == before
    assert call(*again, "--overwrite").status == 0
    # No file of the old run stands beside the new figures.
    kept = ["history.csv", "metrics.json", "mine.txt", "model.npz", "recipe.toml"]
    assert files_in(out) == kept
    assert (out / "metrics.json").read_bytes() != before["metrics.json"]


def test_runs_without_out_are_numbered(world, call, tmp_path):
    for _ in range(2):
        assert call("train", "--data", world / "letters", *QUICK).status == 0
    names = [p.name for p in (tmp_path / "runs").iterdir()]
    assert sorted(names) == ["classic-letters", "classic-letters-2"]


def test_a_best_run_in_double_precision(world, call, tmp_path):
    options = ["--recipe", "best", "--dtype", "float64", "--batch-size", 5, "--learning-rate", 1e-3]
    assert call("train", "--data", world / "letters", "--out", "b", *QUICK, *options).status == 0
    metrics = json.loads((tmp_path / "b" / "metrics.json").read_text())
    assert (metrics["recipe"], metrics["dtype"], metrics["batch_size"]) == ("best", "float64", 5)
    assert metrics["config"]["recipe"]["learning_rate"] == 1e-3
    double = "--dtype", "float64"
    again = call("evaluate", "b/model.npz", "--data", world / "letters", "--json", *double)
    assert json.loads(again.out)["accuracy"] == metrics["test_accuracy"]
    read = call("predict", "b/model.npz", world / "letters/ya/ya_0.jpeg", "--json", *double)
    assert (
        sum(each["probability"] for each in json.loads(read.out)["results"][0]["readings"]) > 0.999
    )


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "audit"])
def test_help_ends_with_examples(command, call):
    outcome = call(command, "--help")
    assert outcome.status == 0
    examples = outcome.out.split("examples:\n")[1]
    assert f"lenet-xp {command}" in examples
    for option in re.findall(r"(--[a-z-]+)", examples):
        assert f"{option} " in outcome.out.split("examples:\n")[0].replace(",", " ")
    assert max(map(len, examples.splitlines())) <= 100


def test_the_scripts_run_from_anywhere_and_write_plain_logs(world, tmp_path):
    quick = QUICK[2:]
    trained = start(
        "train", "--data", world / "letters", "--epochs", 2, "--out", "o", *quick, cwd=tmp_path
    )
    trained = finish(trained)
    assert trained.status == 0, trained.err
    assert len(re.findall(r"^epoch [12]/2  loss .* images/s$", trained.err, re.M)) == 2
    read = finish(start("predict", "o/model.npz", world / "letters" / "ya", cwd=tmp_path))
    assert read.status == 0 and "ⵜ" in read.out
    for text in (*trained[1:], *read[1:]):
        assert "\r" not in text and "\x1b" not in text and "\x08" not in text
    assert not [p for p in files_in(tmp_path) if not p.startswith("o/")]


def test_ctrl_c_is_130_and_one_line(world, tmp_path):
    process = start(
        "train", "--data", world / "letters", "--epochs", 5000, "--out", "a/b", cwd=tmp_path
    )
    for line in process.stderr:
        if re.match(r"epoch +3/", line):
            break
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.status == 130
    others = [line for line in outcome.err.splitlines() if not line.startswith("epoch ")]
    assert others == ["stopped; go on with: lenet-xp train --resume a/b"] and outcome.out == ""
    assert {name.rpartition("/")[0] for name in files_in(tmp_path)} == {"a/b/checkpoints"}


def test_a_reader_who_leaves_ends_the_command_quietly(world, tmp_path):
    process = start("predict", world / "run/model.npz", world / "letters", cwd=tmp_path)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=300) == 141


@pytest.mark.parametrize("backend", ((), ("--backend", "numpy"), ("--backend", "cupy")))
def test_a_plain_run_passes_layers_py_in_every_step(world, tmp_path, call, monkeypatch, backend):
    """Also where CuPy is missing and the run falls back on NumPy."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    passed, own = [], Conv2D.backward
    monkeypatch.setattr(
        Conv2D, "backward", lambda self, dy: passed.append(self.name) or own(self, dy)
    )
    data = ["--data", world / "letters", "--epochs", 2, "--batch-size", 10, "--threads", 1]
    plain = ["--plain", "--no-plots", *backend, "--out", tmp_path / "run"]
    assert call("train", *data, *plain).status == 0
    record = json.loads((tmp_path / "run" / "metrics.json").read_text())
    steps = 2 * -(-record["n_train"] // 10)
    assert passed == ["C3", "C1"] * steps
    assert record["fused"] is False and record["graph"] is False
