"""Twenty steps of training come out the same on every backend, and twice over on NumPy."""

from functools import cache

import numpy as np
import pytest
from tolerances import NETWORK, TRAINING

from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5
from lenet_xp.ops import Ops
from lenet_xp.ops.numpy_ops import NumpyOps
from lenet_xp.optim import SGD, Adam

STEPS = 20
RUNS = [("tanh", "nesterov"), ("scaled_tanh", "adamw"), ("relu", "nesterov")]


def train(ops: Ops, activation: str, method: str) -> tuple[np.ndarray, np.ndarray]:
    """The mean loss of every step, and by how much the parameters moved."""
    rng = np.random.default_rng(11)
    images, labels = rng.normal(size=(1, 32, 32, 8)), rng.integers(0, 10, 8)
    model = LeNet5(10, activation=activation, ops=ops, seed=1)
    vectors = ops, model.values, model.gradients
    if method == "nesterov":
        optimiser, rate = SGD(*vectors, 0.9, nesterov=True, weight_decay=1e-3), 0.02
    else:
        optimiser, rate = Adam(*vectors, weight_decay=0.01, decoupled=True), 1e-3
    loss = SoftmaxCrossEntropy(ops)
    start, history = ops.to_host(model.values).astype(float), []
    for step in range(STEPS):
        batch = slice(0, 3) if step % 2 else slice(3, 8)  # of two sizes
        x, y = ops.asarray(images[..., batch]), ops.asarray(labels[batch])
        losses, _, dlogits = loss(model.forward(x), y)
        history.append(ops.to_host(losses).mean(dtype=float))
        model.backward(dlogits)
        optimiser.step(rate * (1 - step / STEPS))
    return np.array(history), ops.to_host(model.values) - start


@cache
def standard(kind: str, activation: str, method: str) -> tuple[np.ndarray, np.ndarray]:
    return train(NumpyOps("float64") if kind == "numpy" else Ops(np, "float64"), activation, method)


def assert_follows(ops: Ops, run: tuple, expected: tuple) -> None:
    (losses, moved), (expected_losses, expected_moved) = run, expected
    np.testing.assert_allclose(losses, expected_losses, rtol=NETWORK[ops.dtype_name])
    gap = np.linalg.norm(moved - expected_moved) / np.linalg.norm(expected_moved)
    assert gap <= TRAINING[ops.dtype_name]


@pytest.mark.parametrize("activation, method", RUNS)
def test_every_backend_follows_numpy_in_float64(ops, activation, method):
    run = train(ops, activation, method)
    assert_follows(ops, run, standard("numpy", activation, method))
    assert run[0][-2:].mean() < 0.8 * run[0][:2].mean()  # it learns


@pytest.mark.parametrize("activation, method", RUNS)
def test_numpy_follows_the_reference(activation, method):
    ops = NumpyOps("float64")
    assert_follows(ops, train(ops, activation, method), standard("reference", activation, method))


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("make", (NumpyOps, lambda dtype: Ops(np, dtype)))
def test_runs_repeat_to_the_bit(make, dtype):
    first, second = (train(make(dtype), "tanh", "adamw") for _ in range(2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
