"""The gradient of a logit with respect to the network's input, on every backend."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tolerances import FINITE_DIFFERENCE, NETWORK, assert_close, error

from lenet_xp import (
    AvgPool2D,
    Conv2D,
    Flatten,
    LeNet5,
    Linear,
    MaxPool2D,
    ReLU,
    Sequential,
    Tanh,
    input_gradient,
)
from lenet_xp.pictures.preprocess import Preprocessing

PREPARED = Preprocessing(mean=0.2, std=0.4)


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, shape, np.uint8)


def colour(ops, **options) -> Sequential:
    layers = [Conv2D(3, 4, 3, padding=1), Tanh(), AvgPool2D(2), Flatten(), Linear(100, 5)]
    return Sequential(layers, (3, 10, 10), ops, seed=1, **options)


NETWORKS = {
    "LeNet5": (lambda ops: LeNet5(7, ops=ops, seed=2), (3, 32, 32)),
    "plain": (lambda ops: LeNet5(7, activation="relu", ops=ops, fused=False), (3, 32, 32)),
    "colour": (colour, (3, 10, 10, 3)),
    "max pool first": (
        lambda ops: Sequential([MaxPool2D(2), Flatten(), Linear(16, 4)], (1, 8, 8), ops),
        (3, 8, 8),
    ),
}


def inputs(pictures: np.ndarray) -> np.ndarray:
    """What the network sees of uint8 pictures: (C, S, S, N)."""
    pixels = pictures if pictures.ndim == 4 else pictures[..., None]
    return np.moveaxis((pixels / 255 - PREPARED.mean) / PREPARED.std, (3, 0), (0, 3))


@pytest.mark.parametrize("name", NETWORKS)
def test_finite_differences(ops64, name):
    make, shape = NETWORKS[name]
    model, pictures = make(ops64), images(*shape)
    classes = np.array([3, 0, 2])
    got = input_gradient(model, pictures, PREPARED, classes)
    assert got.shape == (3, *model.input_shape) and got.dtype == np.float64
    x = inputs(pictures)
    direction = np.random.default_rng(0).choice((-1.0, 1.0), x.shape)

    def logits(x):
        return ops64.to_host(model.forward(ops64.asarray(x)))[classes, range(3)]

    slope = (logits(x + 1e-6 * direction) - logits(x - 1e-6 * direction)) / 2e-6
    computed = (np.moveaxis(direction, -1, 0) * got).sum(axis=(1, 2, 3))
    assert error(computed, slope) < 100 * FINITE_DIFFERENCE


@pytest.mark.parametrize("name", NETWORKS)
def test_every_backend_gives_the_references_numbers(ops, variant, name):
    make, shape = NETWORKS[name]
    reference = make(type(ops)("float64")) if ops.name == "numpy" else make(ops)
    pictures = images(*shape)
    got = input_gradient(make(ops), pictures, PREPARED)
    assert got.dtype == np.dtype(ops.dtype_name)
    twin = Sequential(reference.replica().layers, reference.input_shape, ops, fused=False,
                      values=make(ops).values)  # fmt: skip
    for layer in twin.layers:
        layer.input_gradient = True
    logits = ops.to_host(twin.forward(ops.asarray(inputs(pictures))))
    dy = np.arange(len(logits))[:, None] == logits.argmax(axis=0)
    expected = ops.to_host(twin.backward(ops.asarray(dy * 1.0)))
    assert_close(ops, ops.asarray(got), np.moveaxis(expected, -1, 0), NETWORK)


def test_the_class_read_is_the_default_and_one_number_is_for_all(ops):
    model, pictures = LeNet5(ops=ops), images(4, 32, 32)
    read = ops.to_host(model.forward(ops.asarray(inputs(pictures)))).argmax(axis=0)
    default = input_gradient(model, pictures, PREPARED)
    assert np.array_equal(default, input_gradient(model, pictures, PREPARED, read))
    of_five = input_gradient(model, pictures, PREPARED, 5)
    assert np.array_equal(of_five, input_gradient(model, pictures, PREPARED, [5] * 4))
    assert not np.array_equal(of_five, default)


def test_any_number_of_images_each_for_itself(ops):
    model, pictures = colour(ops), images(70, 10, 10, 3)
    together = input_gradient(model, pictures, PREPARED)
    for place in (0, 31, 32, 69):
        alone = input_gradient(model, pictures[place : place + 1], PREPARED)
        assert_close(ops, ops.asarray(together[place : place + 1]), alone, NETWORK)
    assert input_gradient(model, pictures[:0], PREPARED).shape == (0, 3, 10, 10)


@pytest.mark.parametrize("fused", (True, False))
def test_the_model_is_not_changed(ops, fused):
    model, pictures = LeNet5(ops=ops, fused=fused), images(2, 32, 32)
    logits = model.forward(ops.asarray(inputs(pictures)))
    model.backward(logits)
    before = [ops.to_host(each) for each in (model.values, model.gradients)]
    assert input_gradient(model, pictures, PREPARED).any()
    after = [ops.to_host(each) for each in (model.values, model.gradients)]
    assert all(map(np.array_equal, after, before))
    assert model.backward(model.forward(ops.asarray(inputs(pictures)))) is None


def test_from_many_threads_at_once():
    model, pictures = LeNet5(seed=1), images(6, 32, 32)
    expected = input_gradient(model, pictures, PREPARED)
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda _: input_gradient(model, pictures, PREPARED), range(16))
        assert all(np.array_equal(each, expected) for each in found)


@pytest.mark.parametrize(
    "pictures, classes, message",
    [
        (images(2, 28, 28), None, r"takes \(1, 32, 32, N\), not \(1, 28, 28, 2\)"),
        (images(2, 32, 32, 3), None, r"takes \(1, 32, 32, N\), not \(3, 32, 32, 2\)"),
        (images(2, 32, 32), 33, r"label 33 is outside 0 .. 32"),
        (images(2, 32, 32), [0, -1], r"label -1 is outside 0 .. 32"),
        (images(2, 32, 32), [0, 1, 2], r"shape"),
        (images(2, 32, 32), 1.5, r"integers"),
        (images(2, 32, 32) / 255, None, r"uint8, not float64 \(2, 32, 32\)"),
        (images(32, 32), None, r"uint8, not uint8 \(32, 32\)"),
    ],
)
def test_bad_arguments(pictures, classes, message):
    with pytest.raises(ValueError, match=message):
        input_gradient(LeNet5(), pictures, PREPARED, classes)


def test_the_gradient_shows_where_the_network_looks():
    """A network that reads the left half alone has none in the right one."""
    model = Sequential([ReLU(), Flatten(), Linear(64, 2)], (1, 8, 8))
    weight = np.zeros((2, 8, 8))
    weight[:, :, :4] = [[[1.0]], [[-2.0]]]
    model.parameters()["linear_1.weight"].value[...] = model.ops.asarray(weight.reshape(2, 64))
    bright = np.full((1, 8, 8), 200, np.uint8)
    assert np.array_equal(input_gradient(model, bright, PREPARED, 1)[0, 0], weight[1])
    assert np.array_equal(input_gradient(model, bright, PREPARED)[0, 0], weight[0])
    assert not input_gradient(model, bright * 0, PREPARED).any()  # below zero: ReLU is flat
