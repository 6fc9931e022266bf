"""The recursion of LeCun et al. 1998, Appendix C: against naive loops and finite differences."""

import math
from collections import defaultdict

import numpy as np
import pytest
from tolerances import OPERATION, assert_close

from lenet_xp.curvature import curvature
from lenet_xp.layers import (
    AvgPool2D,
    Codes,
    Conv2D,
    Flatten,
    Layer,
    Linear,
    MapAffine,
    MaxPool2D,
    ReLU,
    Rubbish,
    ScaledTanh,
    Tanh,
)
from lenet_xp.model import Sequential
from lenet_xp.ops import get_ops

NAIVE, DIFFERENCES = 1e-10, 1e-6  # relative to the largest h of a parameter
TABLE = [[0], [0, 1], [1]]
A, S = 1.7159, 2 / 3


class Unit:
    """A unit of the paper: a weighted sum of others, then perhaps the squashing."""

    def __init__(self, links, bias=None, squashed=False):
        self.links = links  # (unit or pixel, weight, name of the weight or None)
        self.bias, self.squashed = bias, squashed

    def compute(self):
        total = sum(weight * source.x for source, weight, _ in self.links)
        total += 0.0 if self.bias is None else self.bias[1]
        self.x = A * math.tanh(S * total) if self.squashed else total
        self.slope = A * S * (1 - (self.x / A) ** 2) if self.squashed else 1.0


class Pixel:
    def __init__(self, x):
        self.x = x


def units_of(model: Sequential, image: np.ndarray) -> list[Unit]:
    """Every unit below `Codes`, each with its links, in the order of the layers."""
    parameters = {name: p.value for name, p in model.parameters().items()}
    maps, units = [[[Pixel(x) for x in row] for row in each] for each in image], []
    for layer in model.layers:
        value = lambda kind, *at, n=layer.name: (f"{n}.{kind}", at, parameters[f"{n}.{kind}"][at])  # noqa: E731
        made = []
        if isinstance(layer, Conv2D):
            height, width = layer.output_shape((len(maps), len(maps[0]), len(maps[0][0])))[1:]
            seen = layer.connections or [range(layer.in_channels)] * layer.out_channels
            for o in range(layer.out_channels):
                bias = value("bias", o)
                rows = []
                for i in range(height):
                    rows.append([])
                    for j in range(width):
                        links = []
                        for c in seen[o]:
                            for di in range(layer.kernel[0]):
                                for dj in range(layer.kernel[1]):
                                    *key, weight = value("weight", o, c, di, dj)
                                    links.append((maps[c][i + di][j + dj], weight, tuple(key)))
                        rows[-1].append(Unit(links, (bias[:2], bias[2])))
                made.append(rows)
        elif isinstance(layer, AvgPool2D):
            for each in maps:
                made.append(
                    [
                        [
                            Unit(
                                [
                                    (each[2 * i + a][2 * j + b], 0.25, None)
                                    for a in (0, 1)
                                    for b in (0, 1)
                                ]
                            )
                            for j in range(len(each[0]) // 2)
                        ]
                        for i in range(len(each) // 2)
                    ]
                )
        elif isinstance(layer, MapAffine):
            for c, each in enumerate(maps):
                *key, weight = value("coefficient", c)
                bias = value("bias", c)
                made.append(
                    [
                        [Unit([(u, weight, tuple(key))], (bias[:2], bias[2])) for u in row]
                        for row in each
                    ]
                )
        elif isinstance(layer, Flatten):
            maps = [[[u for each in maps for row in each for u in row]]]
            continue
        elif isinstance(layer, Linear):
            made = [[[]]]
            for o in range(layer.out_features):
                links = []
                for j, unit in enumerate(maps[0][0]):
                    *key, weight = value("weight", o, j)
                    links.append((unit, weight, tuple(key)))
                bias = value("bias", o)
                made[0][0].append(Unit(links, (bias[:2], bias[2])))
        elif isinstance(layer, ScaledTanh):
            for unit in (u for each in maps for row in each for u in row):
                unit.squashed = True
            continue
        else:
            break
        maps = made
        units += [u for each in maps for row in each for u in row]
    for unit in units:
        unit.compute()
    return units


def naive(model: Sequential, x: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """h of every parameter by the paper's recursion, unit by unit."""
    h = {name: np.zeros(p.shape) for name, p in model.parameters().items()}
    codes = next(layer for layer in model.layers if isinstance(layer, Codes))
    w = np.array([[1 if bit == "#" else -1 for bit in code] for code in codes.codes])
    j = model.layers[-1].j if isinstance(model.layers[-1], Rubbish) else None
    for n, label in enumerate(labels):
        units = units_of(model, x[..., n])
        above = defaultdict(float)  # d2E / dx2 of each unit
        outputs = units[-codes.in_features :]
        f = np.array([unit.x for unit in outputs])
        distances = [sum((f - code) ** 2) for code in w]
        likely = [0.0 if j is None else math.exp(-d) for d in distances]
        total = sum(likely) + (1.0 if j is None else math.exp(-j))
        for i, unit in enumerate(outputs):
            slopes = [2 * (f[i] - code[i]) for code in w]
            p = [each / total for each in likely]
            above[id(unit)] = 2 * (1 - sum(p)) + sum(
                q * s * s for q, s in zip(p, slopes, strict=True)
            )
            above[id(unit)] -= sum(q * s for q, s in zip(p, slopes, strict=True)) ** 2
        for unit in reversed(units):
            by_sum = unit.slope**2 * above[id(unit)]  # d2E / da2
            for source, weight, key in unit.links:
                above[id(source)] += weight**2 * by_sum
                if key:
                    h[key[0]][key[1]] += by_sum * source.x**2
            if unit.bias:
                h[unit.bias[0][0]][unit.bias[0][1]] += by_sum
        assert 0 <= label < len(w)
    return h


def of_1998(last: list[Layer], ops=None) -> Sequential:
    layers = [
        *(Conv2D(1, 2, 3, name="C1"), ScaledTanh(), AvgPool2D(2), MapAffine(2, name="S2")),
        *(ScaledTanh(), Conv2D(2, 3, 2, connections=TABLE, name="C3"), ScaledTanh(), AvgPool2D(2)),
        *(MapAffine(3, name="S4"), ScaledTanh(), Flatten(), Linear(3, 4, name="F6"), ScaledTanh()),
        *(Codes(4, 3, ["##..", "#.#.", "...#"]), *last),
    ]
    return Sequential(layers, (1, 8, 8), ops or get_ops("numpy", "float64"), seed=3)


def data(shape: tuple[int, ...], count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(*shape, count)), rng.integers(0, 3, count)


@pytest.mark.parametrize("last", ([], [Rubbish(1)]), ids=("eq. 8", "eq. 9"))
def test_the_recursion_is_the_papers(last):
    model, (x, labels) = of_1998(last), data((1, 8, 8), 4)
    model.values[...] += np.random.default_rng(0).normal(0, 0.1, model.values.shape)
    expected = naive(model, x, labels)
    curvature(model, x, labels)
    for name, parameter in model.parameters().items():
        gap = np.abs(parameter.gradient - expected[name]).max() / expected[name].max()
        assert gap <= NAIVE, (name, gap)
    assert (model.gradients >= 0).all()


@pytest.mark.parametrize("last", ([], [Rubbish(1)]), ids=("eq. 8", "eq. 9"))
def test_every_backend_gives_it(last, ops):
    x, labels = data((1, 8, 8), 4)
    expected = curvature(of_1998(last), x, labels)
    model = of_1998(last, ops)
    h = curvature(model, ops.asarray(x), ops.asarray(labels))
    assert_close(ops, h, expected, {k: 10 * v for k, v in OPERATION.items()})


def second_differences(model: Sequential, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """d2E / dw2 of each parameter by central differences of the gradient."""
    loss, step, result = model.loss(), 1e-5, np.empty(model.values.shape)
    for place in range(result.size):
        before, sides = model.values[place], []
        for move in (step, -step):
            model.values[place] = before + move
            model.backward(loss(model.forward(x), labels, 1.0)[2])
            sides.append(model.gradients[place])
        model.values[place] = before
        result[place] = (sides[0] - sides[1]) / (2 * step)
    return result


EXACT = {  # unshared weights, one layer above whose outputs the loss does not mix, no curved slope
    "eq. 8": [Flatten(), Linear(16, 4), Codes(4, 3, ["##..", "#.#.", "...#"])],
    "eq. 8, a layer between": [Flatten(), Linear(16, 5), Linear(5, 4), Codes(4, 3)],
    "eq. 9": [Flatten(), Linear(16, 4), Codes(4, 3, ["##..", "#.#.", "...#"]), Rubbish(1)],
    "softmax": [Flatten(), Linear(16, 3)],
    "softmax and rubbish": [Flatten(), Linear(16, 3), Rubbish()],
    "max pool": [MaxPool2D(2), Flatten(), Linear(4, 5), ReLU(), Linear(5, 4), Codes(4, 3)],
}


@pytest.mark.parametrize("name", EXACT)
def test_where_it_is_exact_it_is_the_second_derivative(name):
    model = Sequential(EXACT[name], (1, 4, 4), get_ops("numpy", "float64"), seed=1)
    model.values[...] *= 0.2  # near codes all classes compete
    x, labels = data((1, 4, 4), 6)
    expected = second_differences(model, x, labels)
    assert np.abs(curvature(model, x, labels) - expected).max() <= DIFFERENCES * expected.max()


def test_a_layer_of_a_user_is_refused():
    class Mine(Tanh):
        pass

    model = Sequential([Flatten(), Mine(), Linear(16, 3)], (1, 4, 4))
    with pytest.raises(ValueError, match="no layer such as tanh"):
        curvature(model, *data((1, 4, 4), 2))
