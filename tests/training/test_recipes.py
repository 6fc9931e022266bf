"""Recipes and plans: the published values, their optimisers, and each limit from both sides."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lenet_xp.ops import get_ops
from lenet_xp.optim import SGD, Adam
from lenet_xp.training.plan import Plan
from lenet_xp.training.recipes import BEST, CLASSIC, RECIPES, Recipe

PLAN = Plan("synthetic", CLASSIC, Path("out"))


def test_the_recipes_are_those_of_the_documentation():
    """docs/training.md: classic is the seed notebook's."""
    assert [*RECIPES] == ["classic", "best", "fine-tune", "distilled", "1998"]
    classic = (10, 64, "tanh", "sgd", 0.1, "constant", None, 0.0)
    best = (60, 64, "relu", "adamw", 4e-3, "one-cycle", 0.01)
    c, b = CLASSIC, BEST
    assert classic == (
        *(c.epochs, c.batch_size, c.activation, c.optimiser, c.learning_rate, c.schedule),
        *(c.distortion, c.weight_decay),
    )
    assert best == (
        *(b.epochs, b.batch_size, b.activation, b.optimiser, b.learning_rate, b.schedule),
        b.weight_decay,
    )
    assert c.squash_pools and not b.squash_pools
    d = b.distortion
    assert (d.rotation, d.shear, d.scale, d.shift, d.elastic) == (7, 0.12, 0.08, 1.2, 0.9)
    assert (d.grid, d.pen, d.blur) == (4, 0, 0)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("epochs", (1, 100_000), (0, -1, 100_001, 2.0, True, None)),
        ("batch_size", (1, 100_000), (0, 100_001, 64.0)),
        ("learning_rate", (1e-9, 1e9), (0.0, -0.1, float("inf"), float("nan"))),
        ("momentum", (0.0, 0.999), (-0.1, 1.0)),
        ("weight_decay", (0.0, 5.0), (-1e-9, float("inf"), float("nan"))),
        ("optimiser", ("sgd", "momentum", "nesterov", "adam", "adamw"), ("lamb", "")),
        ("activation", ("tanh", "relu", "scaled_tanh"), ("gelu",)),
        ("schedule", ("constant", "step", "cosine", "one-cycle"), ("linear",)),
    ],
)
def test_the_limits_of_a_recipe(field, good, bad):
    for value in good:
        assert getattr(replace(CLASSIC, **{field: value}), field) == value
    for value in bad:
        with pytest.raises(ValueError, match=field):
            replace(CLASSIC, **{field: value})


def test_nesterov_needs_momentum_and_others_do_not():
    assert replace(CLASSIC, momentum=0.0, optimiser="momentum").momentum == 0
    with pytest.raises(ValueError, match="above 0 for Nesterov"):
        replace(CLASSIC, momentum=0.0, optimiser="nesterov")


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "adamw"])
def test_the_optimiser_is_the_one_that_is_named(name):
    ops, gradient = get_ops("numpy", "float64"), np.array([0.5, -2.0])
    recipe = replace(CLASSIC, optimiser=name, momentum=0.8, weight_decay=0.1)
    values, gradients = ops.asarray(np.array([1.0, 2.0])), ops.asarray(gradient)
    found = recipe.make_optimiser(ops, values, gradients)
    decay = {"weight_decay": 0.1}
    own = ops.asarray(np.array([1.0, 2.0]))
    expected = {
        "sgd": lambda: SGD(ops, own, gradients, 0.0, False, **decay),
        "momentum": lambda: SGD(ops, own, gradients, 0.8, False, **decay),
        "nesterov": lambda: SGD(ops, own, gradients, 0.8, True, **decay),
        "adam": lambda: Adam(ops, own, gradients, decoupled=False, **decay),
        "adamw": lambda: Adam(ops, own, gradients, decoupled=True, **decay),
    }[name]()
    for _ in range(3):
        found.step(0.1)
        expected.step(0.1)
    np.testing.assert_array_equal(values, own)


def test_a_recipe_is_read_as_it_was_written():
    for recipe in RECIPES.values():
        assert Recipe.from_dict(recipe.to_dict()) == recipe
        assert Recipe.from_dict(recipe.to_dict() | {"label_smoothing": 0.0}) == recipe
    with pytest.raises(ValueError, match="no 'label_smoothing'"):
        Recipe.from_dict(CLASSIC.to_dict() | {"label_smoothing": 0.1})
    for values in (None, [], "classic"):
        with pytest.raises(TypeError):
            Recipe.from_dict(values)
    with pytest.raises(ValueError, match="epochs is missing"):
        Recipe.from_dict({})
    changed = CLASSIC.with_options(epochs=3, batch_size=None)
    assert (changed.epochs, changed.batch_size) == (3, 64)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("seed", (0, 2**40), (-1,)),
        ("samples_per_class", (1, 10_000), (0, -1, 10_001)),
        ("photos", (0, 20), (-1, 21)),
        ("threads", (None, 1, 256), (-1, 0, 257)),
    ],
)
def test_a_plan_is_read_as_it_was_written_and_its_numbers_have_limits(field, good, bad):
    for value in good:
        plan = replace(PLAN, **{field: value})
        assert Plan.from_dict(plan.to_dict()) == plan
    for value in bad:
        with pytest.raises(ValueError, match="out of range"):
            Plan.from_dict(PLAN.to_dict() | {field: value})
    with pytest.raises(TypeError, match=f"{field} of a plan"):
        Plan.from_dict(PLAN.to_dict() | {field: "1"})


def test_a_plan_by_itself():
    plain = (PLAN.seed, PLAN.samples_per_class, PLAN.photos, PLAN.split, PLAN.fold)
    assert plain == (0, 400, 0, None, 0)
    assert PLAN.cache and PLAN.plots and PLAN.fused and PLAN.graph
    assert not (PLAN.allow_overlap or PLAN.skip_bad or PLAN.overwrite or PLAN.resume)
