"""The model that comes with the package: there for every command, and what its card says it is."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commandline import call

from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.model_file import MODELS, SHIPPED, load_model
from lenet_xp.ops import get_ops
from lenet_xp.system.opencv import cv2
from studies import make_generated
from studies.report.card import render_card
from studies.report.records import Records

__all__ = ["call"]  # the fixture

ROOT = Path(__file__).resolve().parents[2]
NAMES = [letter.name for letter in letters()]


@pytest.fixture
def photos(tmp_path):
    """A folder of two generated pictures of each letter, named by it."""
    pictures, labels = generate(2, seed=5)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        cv2.imwrite(str(folder / f"{NAMES[label]}-{number}.png"), picture)
    return folder


def test_letters_are_read_with_no_model_named(photos, call):
    outcome = call("predict", photos, "--top", 1, "--json")
    assert outcome.status == 0 and outcome.err == ""
    readings = json.loads(outcome.out)["results"]
    # Another source than the model's: letters that the package draws itself.
    right = [
        r["file"].endswith(f"/{r['readings'][0]['name']}-{n}.png") for n, r in _by_number(readings)
    ]
    assert len(right) == 66 and np.mean(right) > 0.9


def _by_number(readings):
    return [(r["file"].rsplit("-")[-1].split(".")[0], r) for r in readings]


def test_a_model_is_named_in_either_way(photos, call, tmp_path):
    (tmp_path / "other.npz").write_bytes(SHIPPED.read_bytes())
    plain = call("predict", photos)
    assert plain.status == 0
    assert call("predict", photos, "--model", tmp_path / "other.npz") == plain
    assert call("predict", tmp_path / "other.npz", photos) == plain
    alone = call("predict", tmp_path / "other.npz")
    assert alone.status == 2 and "name the images to read" in alone.err
    call("predict", photos, "--model", "none.npz").assert_refused("none.npz", "no such file")


@pytest.mark.parametrize("command", ["evaluate", "predict", "export"])
def test_every_command_that_takes_a_model_takes_it_alike(command, call):
    assert "--model FILE" in call(command, "--help").out


def test_evaluate_and_export_take_the_packages_own(call, tmp_path):
    scored = call("evaluate", "--data", "synthetic", "--samples", 15, "--part", "all", "--json")
    scores = json.loads(scored.out)
    assert scores["model"] == "models/letters.npz" and scores["accuracy"] > 0.9
    named = ("evaluate", SHIPPED, "--data", "synthetic", "--samples", 15, "--part", "all")
    assert json.loads(call(*named, "--json").out) == scores
    exported = call("export", "--to", tmp_path / "letters.safetensors")
    assert exported.status == 0 and "33 classes" in exported.out


@pytest.fixture(scope="module")
def record():
    return json.loads(SHIPPED.with_suffix(".json").read_text(encoding="utf-8"))


def card(record, results=ROOT / "results"):
    return render_card(record, Records(results))


def test_the_record_is_this_files(record):
    content = SHIPPED.read_bytes()
    assert record["model"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert record["model"]["bytes"] == len(content)
    assert sum(row["errors"] for row in record["writers"]) == round(
        (1 - record["metrics"]["test_accuracy"]) * record["metrics"]["n_test"]
    )


def test_the_committed_card_is_what_the_record_gives(record):
    written = (ROOT / "docs" / "model_card.md").read_text(encoding="utf-8")
    assert written == card(record), "docs/model_card.md: run `python -m studies.make_model`"
    assert "@{" not in written
    for link in re.findall(r"\]\((?!https)([^)]+)\)", written):
        assert (ROOT / "docs" / link).exists()


def test_a_changed_figure_changes_the_card(record):
    changed = {**record, "metrics": {**record["metrics"], "test_accuracy": 0.12345}}
    assert "**12.35 %**" in card(changed) or "**12.34 %**" in card(changed)


def test_folds_of_another_recipe_are_not_told_as_the_models(record):
    metrics = record["metrics"]
    config = {**metrics["config"], "recipe": {**metrics["config"]["recipe"], "epochs": 7}}
    text = card({**record, "metrics": {**metrics, "config": config}})
    assert "are of another recipe" in text and "Over all five folds" not in text


def test_the_card_names_data_terms_and_limits(record):
    text = card(record)
    for words in ("Es Saady", "researches and academic uses", "MIT licence", "What it is not for"):
        assert words in text


@pytest.mark.parametrize("changed", [{"recipe": "classic"}, {"config": {"photos": 0}}])
def test_make_model_refuses_a_run_of_another_setting(changed, record, tmp_path):
    metrics = record["metrics"] | changed
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "model.npz").write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-m", "studies.make_model", "--run", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "another setting" in done.stderr


def test_the_figures_are_those_of_the_writers_never_seen(record, shared, call):
    outcome = call("evaluate", "--data", shared / "amhcd_64.zip", "--json", "--backend", "numpy")
    scores = json.loads(outcome.out)
    metrics = record["metrics"]
    assert (scores["split"], scores["fold"], scores["images"]) == ("writer", 0, metrics["n_test"])
    # Another processor may round one image in two ways.
    assert scores["accuracy"] == pytest.approx(metrics["test_accuracy"], abs=1.5 / 5148)
    assert scores["loss"] == pytest.approx(metrics["test_loss"], rel=1e-3)
    assert scores["worst_writer_accuracy"] == pytest.approx(
        metrics["test_worst_writer_accuracy"], abs=1.5 / 429
    )


def test_the_generated_model_has_its_record_and_card():
    record = json.loads(MODELS["generated"].with_suffix(".json").read_text(encoding="utf-8"))
    content = MODELS["generated"].read_bytes()
    assert record["model"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert record["amhcd"]["images"] == 25_740 and record["amhcd"]["accuracy"] > 0.975
    assert record["metrics"]["config"]["data"] == "synthetic"
    assert make_generated.CARD.read_text(encoding="utf-8") == make_generated.card(record)
    assert list(load_model("generated", get_ops("numpy")).class_names) == NAMES
