"""`train --recipe FILE`: another network, colours, and what the run leaves."""

import json

import numpy as np
import pytest
from any_network import KINDS
from commandline import QUICK, call, files_in  # noqa: F401

from lenet_xp.architecture import describe
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.system.opencv import cv2
from lenet_xp.training.recipes import BEST, read_recipe

COLOURS = {
    "blue": (200, 40, 30),
    "green": (40, 200, 30),
    "red": (30, 40, 200),
}  # as OpenCV has them
SMALL = BEST.with_network(KINDS["three channels"].on()).with_options(epochs=8, batch_size=8)


@pytest.fixture
def coloured(tmp_path):
    """Class folders of pictures of one grey level, which their colour alone tells apart."""
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        folder = tmp_path / "coloured" / name
        folder.mkdir(parents=True)
        for number in range(24):
            picture = np.full((20, 26, 3), colour) + rng.integers(-20, 20, (20, 26, 3))
            ending = ("png", "jpg")[number % 2]
            cv2.imwrite(str(folder / f"{number}.{ending}"), picture.clip(0, 255).astype(np.uint8))
    return tmp_path / "coloured"


def recipe_file(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_colours_are_kept_where_the_recipe_says_so(call, coloured, tmp_path):  # noqa: F811
    recipe = recipe_file(tmp_path, SMALL.as_toml())
    out = tmp_path / "run"
    options = ("--data", coloured, "--out", out, *QUICK[2:], "--no-cache")
    done = call("train", "--recipe", recipe, *options)
    assert done.status == 0 and "grey" not in done.err
    record = json.loads((out / "metrics.json").read_text())
    assert record["test_accuracy"] == 1.0
    assert read_recipe(out / "recipe.toml") == SMALL
    saved = load_model(out / "model.npz", get_ops("numpy"))
    assert saved.preprocessing.channels == 3 and saved.model.input_shape == (3, 12, 12)
    again = call("evaluate", out / "model.npz", "--data", coloured, "--json", "--no-cache")
    assert json.loads(again.out)["accuracy"] == 1.0
    read = call("predict", coloured / "red", "--model", out / "model.npz", "--json")
    assert read.status == 0
    results = json.loads(read.out)["results"]
    assert len(results) == 24 and {each["readings"][0]["name"] for each in results} == {"red"}


def test_without_it_they_become_grey_and_a_line_says_so(call, coloured, tmp_path):  # noqa: F811
    done = call("train", "--data", coloured, "--out", tmp_path / "run", *QUICK, "--no-cache")
    assert "colours are read as grey levels" in done.err + done.out
    assert "channels = 3 in a recipe keeps them" in done.err + done.out


def test_a_run_leaves_the_recipe_that_it_used(call, tmp_path):  # noqa: F811
    kind = KINDS["max pools"]
    tables = [each | {"name": f"L{i}"} for i, each in enumerate(describe(kind.on())["layers"])]
    del tables[-1]["out_features"]
    text = "epochs = 9\nsize = 12\nnetwork = [\n"
    for each in tables:
        inner = ", ".join(f"{name} = {json.dumps(value)}" for name, value in each.items())
        text += f"  {{{inner}}},\n"
    recipe = recipe_file(tmp_path, text + "]\n")
    options = ("--samples", "15", "--out", tmp_path / "run", *QUICK)
    assert call("train", "--recipe", recipe, *options).status == 0
    used = read_recipe(tmp_path / "run" / "recipe.toml")
    assert used == read_recipe(recipe).with_options(epochs=1) and used.name == "mine"
    again = call(
        "train",
        "--recipe",
        tmp_path / "run" / "recipe.toml",
        *options[:2],
        "--out",
        tmp_path / "again",
        *QUICK[2:],
    )
    assert again.status == 0
    ops = get_ops("numpy")
    one, two = (load_model(tmp_path / each / "model.npz", ops).model for each in ("run", "again"))
    np.testing.assert_array_equal(one.values, two.values)
    assert next(iter(one.parameters())) == "L0.weight" and one.num_classes == 33


def test_a_path_wins_in_words(call, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best").write_text('name = "own"\nepochs = 1\n')
    done = call("train", "--recipe", "best", "--samples", "15", *QUICK[2:])
    assert done.status == 0
    assert "recipe best: the file of that name, not the package's own recipe" in done.err
    assert (tmp_path / "runs" / "own-synthetic" / "metrics.json").exists()


def test_wrong_recipes_are_one_line(call, coloured, tmp_path):  # noqa: F811
    mistyped = call("train", "--recipe", "bset")
    assert mistyped.status == 2 and "did you mean best?" in mistyped.err.splitlines()[-1]
    call("train", "--recipe", tmp_path / "no.toml").assert_refused("no.toml", "No such file")
    wrong = recipe_file(tmp_path, "epochs = 3\nepoch = 2\n")
    call("train", "--recipe", wrong).assert_refused(wrong, "did you mean epochs?")
    call(
        "train", "--recipe", recipe_file(tmp_path, SMALL.as_toml()), "--photos", "1"
    ).assert_refused("--photos", "colours")
    three = recipe_file(tmp_path, BEST.with_network(KINDS["max pools"].on()).as_toml())
    options = ("--samples", "15", "--out", tmp_path / "run", *QUICK)
    call("train", "--recipe", three, *options).assert_refused("33 classes", "(3,)")
    assert not (tmp_path / "run").exists()
