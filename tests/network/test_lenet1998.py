"""The LeNet-5 of 1998: what the paper says of its sizes, its table, its levels and its rates."""

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from lenet_xp import LeNetClassifier, lenet5_1998
from lenet_xp.architecture import describe, layers_of
from lenet_xp.layers import Codes, Conv2D
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.bitmaps import bitmaps, bitmaps_of
from lenet_xp.ops import get_ops
from lenet_xp.optim import SDLM
from lenet_xp.outputs import MAX_SPREAD, spread_codes
from lenet_xp.training.recipes import PUBLISHED

DIGITS = tuple("0123456789")
LEAST = 16  # bits that two letters differ by, docs/1998.md
LETTERS = tuple(letter.name for letter in letters())
# Section II.B: "contains 156 trainable parameters" and so on; F6 "has 10,164"
FREE = {"C1": 156, "S2": 12, "C3": 1516, "S4": 32, "C5": 48_120, "F6": 10_164, "output": 0}
# Table I, a row for each map of S2
TABLE = (
    *("#...###..####.##", "##...###..####.#", "###...###..#.###"),
    *(".###..####..#.##", "..###..####.##.#", "...###..####.###"),
)


def bits_apart(codes) -> int:
    return min(sum(x != y for x, y in zip(a, b, strict=True)) for a, b in combinations(codes, 2))


def test_it_has_the_papers_parameters():
    model = lenet5_1998()
    own = {each.name: each.num_parameters - each.num_masked for each in model.layers}
    assert FREE.items() <= own.items() and sum(own.values()) == 60_000
    assert model.num_masked == 900
    assert "60,000 and 900 masked" in model.summary() and "1,516 and 900" in model.summary()
    assert lenet5_1998(LETTERS).num_parameters == 60_000  # codes are none


def test_c3_sees_what_table_1_says():
    c3 = next(each for each in lenet5_1998().layers if each.name == "C3")
    seen = np.array([[each == "#" for each in row] for row in TABLE]).T
    weights = c3.ops.to_host(c3.weight.value)
    assert np.array_equal(weights.any((2, 3)), seen)
    assert np.array_equal((weights != 0).all((2, 3)), seen)


def test_what_is_masked_counts_for_nothing_and_learns_nothing(ops):
    """Plain and fused, whatever stands there."""
    table, rng = [[0], [0, 1], [1]], np.random.default_rng(0)
    images = rng.normal(size=(1, 32, 32, 3))
    for fused in (True, False):
        model = lenet5_1998(ops=ops, fused=fused)
        x, y = ops.asarray(images), ops.to_host(model.forward(ops.asarray(images)))
        c3 = next(each for each in model.layers if each.name == "C3")
        hidden = ops.to_host(c3.mask) == 0
        c3.weight.value[...] = c3.weight.value + ops.asarray(hidden * 5.0)
        assert np.array_equal(ops.to_host(model.forward(x)), y)
        model.backward(ops.asarray(rng.normal(size=(11, 3))))
        gradient = ops.to_host(c3.weight.gradient)
        assert not gradient[hidden].any() and gradient[~hidden].all()
    assert Conv2D(2, 3, 1, connections=table).num_masked == 2


@pytest.mark.parametrize("names", (DIGITS, LETTERS, ("a", "b", "c")))
def test_the_recipe_is_the_network(names):
    ops = get_ops("numpy")
    made = PUBLISHED.make_network(len(names), ops, seed=4, class_names=names)
    told = describe(made)
    assert told == describe(lenet5_1998(names, ops))
    assert np.array_equal(made.values, lenet5_1998(names, ops=ops, seed=4).values)
    again = layers_of(json.loads(json.dumps(told))["layers"], (1, 32, 32), len(names))
    assert [each.kind for each in again] == [each.kind for each in made.layers]
    eight = replace(PUBLISHED, network=PUBLISHED.network[:-1])
    assert describe(eight.make_network(len(names), ops, class_names=names)) == describe(
        lenet5_1998(names, ops, eq=8)
    )


def test_levels_and_rates_are_the_papers():
    scale, shift = PUBLISHED.preprocessing().scale_and_shift()
    assert shift == pytest.approx(-0.1) and 255 * scale + shift == pytest.approx(1.175)
    images = np.full((2, 32, 32), 7, np.uint8)
    assert PUBLISHED.fitted(PUBLISHED.preprocessing(), images) == PUBLISHED.preprocessing()
    assert PUBLISHED.batch_size == 1 and PUBLISHED.epochs == 20
    rate = PUBLISHED.make_schedule(20 * 60_000)
    passes = [rate(60_000 * k) for k in range(20)]
    assert [rate(60_000 * k + 59_999) for k in range(20)] == passes
    expected = [5e-4] * 2 + [2e-4] * 3 + [1e-4] * 3 + [5e-5] * 4 + [1e-5] * 8
    assert passes == pytest.approx(expected)
    optimiser = PUBLISHED.make_optimiser(get_ops("numpy"), np.zeros(3), np.zeros(3))
    assert optimiser.mu == 0.02


def test_weights_start_within_their_bounds():
    for layer in lenet5_1998(seed=1).layers:
        if layer.name not in ("C1", "C3", "C5", "F6"):
            continue
        weights = layer.ops.to_host(layer.weight.value).reshape(layer.weight.shape[0], -1)
        for row in weights:
            bound = 2.4 / np.sqrt((row != 0).sum())
            assert 0.8 * bound < np.abs(row).max() <= bound * (1 + 1e-6)


def test_bitmaps_tell_their_classes_apart():
    assert set(bitmaps()) == {*DIGITS, *LETTERS}
    for names in (DIGITS, LETTERS):
        codes = bitmaps_of(names)
        assert bits_apart(codes) >= LEAST
        assert all(len(code) == 84 for code in codes)
    assert bits_apart(bitmaps_of(LETTERS)) == LEAST
    assert bitmaps_of([*LETTERS, "yap"]) is None and bitmaps_of(()) is None


def test_spread_codes_stand_far_apart():
    codes = spread_codes(33, 84)
    assert bits_apart(codes) >= 31 and {len(code) for code in codes} == {84}
    assert Codes(84, 33).codes == codes == spread_codes(40, 84)[:33]
    with pytest.raises(ValueError, match="1,024 classes"):
        Codes(4, MAX_SPREAD + 1)


@pytest.mark.parametrize(
    "table, problem",
    (
        ({"kind": "codes", "codes": ["##", "#"]}, "2 of # and ., not '#'"),
        ({"kind": "codes", "codes": ["##"]}, "2 texts"),
        ({"kind": "codes", "codes": 3}, "2 texts"),
        ({"kind": "codes", "codes": ["##", 4]}, "not 4"),
        ({"kind": "codes", "codes": ["##", "#x"]}, "not '#x'"),
    ),
)
def test_codes_that_are_none_are_refused(table, problem):
    with pytest.raises(ValueError, match=problem):
        layers_of([{"kind": "flatten"}, table], (1, 1, 2), 2)


@pytest.mark.parametrize("table", (3, [[0]], [[0], [2]], [[0], []], [[0], ["a"]], [0, 1]))
def test_connections_that_are_none_are_refused(table):
    conv = {"kind": "conv2d", "out_channels": 2, "kernel": 1, "connections": table}
    with pytest.raises(ValueError, match=r"connections|an input map"):
        layers_of([conv, {"kind": "flatten"}, {"kind": "linear"}], (2, 3, 3), 2)


@pytest.mark.parametrize("levels", ((0.0,), (0.0, 0.5), (-2.0, 1.0), (0.0, "1"), [0.0, 1.0], 3))
def test_levels_that_are_none_are_refused(levels):
    with pytest.raises(ValueError, match="levels must be"):
        replace(PUBLISHED, levels=levels)


def test_each_pass_measures_the_curvature(monkeypatch):
    """partial_fit, too: after it 1 / (mu + h) is below 1 / mu = 50."""
    inverses, measured = [], SDLM.measured

    def noted(self, h):
        measured(self, h)
        inverses.append(self.inverse.copy())

    monkeypatch.setattr(SDLM, "measured", noted)
    images = np.random.default_rng(0).integers(0, 256, (9, 32, 32), dtype=np.uint8)
    recipe = replace(PUBLISHED, network=None, levels=None)
    model = LeNetClassifier(recipe, threads=1, random_state=0, backend="numpy")
    for _ in range(2):
        model.partial_fit(images, np.arange(9) % 3, classes=[0, 1, 2])
    assert len(inverses) == 2
    for inverse in inverses:
        assert 0 < inverse.min() < 40 and inverse.max() <= 50
