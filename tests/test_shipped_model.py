"""The model that comes with the package: there for every command, and what its card says it is."""

import json

import numpy as np
import pytest
from commandline import call

from lenet_xp.data.alphabet import letters
from lenet_xp.data.synthetic import generate
from lenet_xp.model_file import SHIPPED
from lenet_xp.opencv import cv2

__all__ = ["call"]  # the fixture

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
    readings = json.loads(outcome.out)
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
    assert scores["model"] == "models/tifinagh.npz" and scores["accuracy"] > 0.9
    named = ("evaluate", SHIPPED, "--data", "synthetic", "--samples", 15, "--part", "all")
    assert json.loads(call(*named, "--json").out) == scores
    exported = call("export", "--to", tmp_path / "letters.safetensors")
    assert exported.status == 0 and "33 classes" in exported.out
