"""Recipes as TOML files: they say all that a recipe is, and nothing else."""

import json
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest
from any_network import KINDS

from lenet_xp.data.augment import Distortion
from lenet_xp.errors import InputError
from lenet_xp.training.plan import Plan
from lenet_xp.training.recipes import (
    BEST,
    CLASSIC,
    DISTILLED,
    FINE_TUNE,
    PUBLISHED,
    RECIPES,
    Recipe,
    named_recipe,
    read_recipe,
)

EVERYTHING = Recipe(
    "odd-1.0_ⵣ",
    epochs=7,
    batch_size=12,
    network=(
        {"kind": "conv2d", "out_channels": 4, "kernel": [3, 5], "padding": 1, "name": 'C "1"'},
        {"kind": "relu"},
        {"kind": "flatten"},
        {"kind": "linear"},
    ),
    size=20,
    channels=3,
    levels=(-0.5, 1),
    optimiser="nesterov",
    learning_rate=1e-5,
    momentum=0.5,
    weight_decay=0.25,
    schedule="one-cycle",
    distortion=Distortion(1.5, 0.1, 0.2, 0.3, 0.4, 5, 0.6, 0.7),
)


@pytest.mark.parametrize("recipe", (CLASSIC, BEST, EVERYTHING), ids=lambda each: each.name)
def test_a_file_says_all_of_a_recipe(recipe, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(recipe.as_toml(), encoding="utf-8")
    assert read_recipe(path) == recipe
    told = tomllib.loads(recipe.as_toml())
    left_out = {each.name for each in fields(Recipe)} - told.keys()
    unused = {"activation", "squash_pools"} if recipe.network else {"network"}
    unused |= {name for name in ("distortion", "levels") if getattr(recipe, name) is None}
    assert left_out == unused


@pytest.mark.parametrize("name", KINDS)
def test_any_network_is_a_recipe(name, tmp_path):
    kind = KINDS[name]
    recipe = BEST.with_network(kind.on())
    (tmp_path / "mine.toml").write_text(recipe.as_toml(), encoding="utf-8")
    again = read_recipe(tmp_path / "mine.toml")
    assert again == recipe and (again.size, again.channels) == (12, kind.shape[0])
    assert again.preprocessing().input_shape == kind.shape
    network = again.make_network(kind.classes, seed=5)
    assert (network.values == kind.on(seed=5).values).all()


def test_the_packages_recipes_are_such_files():
    assert [*RECIPES.values()] == [CLASSIC, BEST, FINE_TUNE, DISTILLED, PUBLISHED]
    assert DISTILLED.of_teachers() == replace(BEST, name="distilled")
    assert (DISTILLED.epochs, DISTILLED.teachers) == (200, 5)
    assert replace(BEST, name="fine-tune", epochs=10, learning_rate=0.0005) == FINE_TUNE
    assert (CLASSIC.epochs, CLASSIC.batch_size, CLASSIC.activation) == (10, 64, "tanh")
    assert (CLASSIC.optimiser, CLASSIC.learning_rate, CLASSIC.distortion) == ("sgd", 0.1, None)
    assert (BEST.epochs, BEST.activation, BEST.squash_pools) == (60, "relu", False)
    assert (BEST.optimiser, BEST.learning_rate, BEST.weight_decay) == ("adamw", 4e-3, 0.01)
    assert BEST.distortion == Distortion(7.0, 0.12, 0.08, 1.2, 0.9)


def test_a_file_is_named_by_itself(tmp_path):
    (tmp_path / "small.toml").write_text("epochs = 3\n")
    assert read_recipe(tmp_path / "small.toml") == replace(CLASSIC, name="small", epochs=3)


def test_a_file_wins_over_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert named_recipe("best") is BEST
    (tmp_path / "best").write_text('name = "mine"\nepochs = 3\n')
    assert named_recipe("best").name == "mine"
    assert named_recipe(BEST) is BEST
    with pytest.raises(ValueError, match="1998 or a TOML file, not 'bset'; did you mean"):
        named_recipe("bset")


LAYERS = '{kind = "flatten"}, {kind = "linear"}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "epochs is missing"),
        ("epochs = 0", "epochs must be a whole number from 1 to 100,000"),
        ("epochs = 2.0", "epochs must be a whole number"),
        ("epochs = true", "epochs must be a whole number"),
        ("epochs = 2\nepoch = 3", "a recipe has no 'epoch'; did you mean epochs?"),
        ("epochs = 2\nlearning-rate = 3", "did you mean learning_rate?"),
        ("epochs = 2\nlearning_rate = 'fast'", "learning_rate cannot be 'fast'"),
        ("epochs = 2\nlearning_rate = nan", "learning_rate must be a positive number"),
        ("epochs = 2\nlearning_rate = true", "learning_rate cannot be True"),
        ("epochs = 2\nweight_decay = inf", "weight_decay"),
        ("epochs = 2\nweight_decay = 10000000000000000000", "weight_decay cannot be 1000000000"),
        ("epochs = 2\nsquash_pools = 1", "squash_pools cannot be 1"),
        ("epochs = 2\noptimiser = ['adam']", "optimiser cannot be"),
        ("epochs = 2\noptimiser = 'adan'", "optimiser must be one of sgd"),
        ("epochs = 2\nname = '../mine'", "name must be"),
        ("epochs = 2\nname = ''", "name must be"),
        ("epochs = 2\nsize = 28", "LeNet-5 takes grey images of 32 x 32"),
        ("epochs = 2\nchannels = 3", "LeNet-5 takes grey images of 32 x 32"),
        ("epochs = 2\nchannels = 2", "channels must be 1 or 3"),
        (f"epochs = 2\nsize = 500\nnetwork = [{LAYERS}]", "size must be a whole number from 8"),
        (
            f"epochs = 2\nactivation = 'relu'\nnetwork = [{LAYERS}]",
            "activation is an option of LeN",
        ),
        ("epochs = 2\nnetwork = []", "a list of 1 to 200 layers"),
        ("epochs = 2\nnetwork = 'lenet'", "a list of 1 to 200 layers"),
        ("epochs = 2\nnetwork = [3]", "layer 1 of the network: a layer is a table"),
        ("epochs = 2\nnetwork = [{kind = 'linear', out = 3}]", "a linear has no 'out'"),
        ("epochs = 2\nnetwork = [{kind = 'conv2d', kernel = 3}]", "a conv2d needs out_channels"),
        ("epochs = 2\nnetwork = [{kind = 'linear'}]", "layer 1 of the network: linear takes"),
        ("epochs = 2\n[distortion]\nrotate = 3", "no 'rotate'; did you mean rotation?"),
        ("epochs = 2\n[distortion]\nrotation = 'much'", "strengths of a distortion are numbers"),
        ("epochs = 2\n[distortion]\nrotation = -1", "numbers from 0 to 1000"),
        (f"epochs = 2\n[distortion]\nrotation = {10**30}", "numbers from 0 to 1000"),
        (f"epochs = 2\nchannels = true\nnetwork = [{LAYERS}]", "channels must be 1 or 3"),
        ("epochs = 2\ndistortion = 3", "a distortion is a table"),
        ("epochs = = 2", "is no recipe"),
        ("[" * 5000, "is no recipe"),
        ("epochs = 2 #" + "x" * 2**16, "too large"),
    ],
)
def test_what_is_no_recipe_is_told_in_one_line(text, words, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_recipe(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and words in message and "\n" not in message, message


def test_a_file_of_notepad_is_read_and_may_be_a_path(tmp_path):
    """Which begins with a byte order mark."""
    path = tmp_path / "mine.toml"
    path.write_text("epochs = 2", encoding="utf-8-sig")
    assert named_recipe(path) == named_recipe(str(path)) == Recipe("mine", 2)


def test_what_is_no_file_is_told(tmp_path):
    for path, content in ((tmp_path / "none.toml", None), (tmp_path / "bytes.toml", b"\xff\xfe")):
        if content:
            path.write_bytes(content)
        with pytest.raises(InputError, match=path.name):
            read_recipe(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_recipe(tmp_path)


def test_a_checkpoint_keeps_it():
    plan = Plan("letters", EVERYTHING, Path("runs"))
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_another_number_of_classes_is_an_error():
    recipe = BEST.with_network(KINDS["max pools"].on())
    with pytest.raises(ValueError, match=r"gives \(3,\) .* 33 classes"):
        recipe.make_network(33)
