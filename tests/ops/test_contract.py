"""What the contract promises of every operation: inputs left alone, results that can be kept,
the dtype of the ops object, and captures that change nothing but where results live."""

import tracemalloc

import numpy as np
import pytest
from cases import CASES, Inputs

from lenet_xp.layers import AvgPool2D, Conv2D, Flatten, Linear, MaxPool2D, ReLU, ScaledTanh
from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.ops import Array
from lenet_xp.ops.blocked import ALIGNMENT, aligned_empty
from lenet_xp.ops.numpy_ops import NumpyOps


@pytest.mark.parametrize("name", sorted(CASES))
def test_inputs_are_untouched_and_dtype_kept(ops, name):
    for function in CASES[name]:
        draw = Inputs(ops)
        for array in function(ops, draw):
            assert array.dtype == ops.dtype
        draw.assert_untouched()


@pytest.mark.parametrize("name", sorted(CASES))
def test_results_are_independent(ops, name):
    for function in CASES[name]:
        draw = Inputs(ops)
        results = function(ops, draw)
        kept = [ops.to_host(r) for r in results]
        draw.overwrite()
        function(ops, Inputs(ops, seed=1))
        for result, before in zip(results, kept, strict=True):
            assert np.array_equal(ops.to_host(result), before)


def train_step(model: LeNet5, x: Array, labels: np.ndarray) -> tuple:
    """Logits, losses and every gradient of one batch."""
    logits = model.forward(x)
    loss = SoftmaxCrossEntropy(model.ops)
    losses, _, dlogits = loss(logits, model.ops.asarray(labels))
    model.backward(dlogits)
    return logits, losses, model.gradients


def batch(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(1, 32, 32, count)), rng.integers(0, 33, count)


@pytest.mark.parametrize("activation", ("tanh", "scaled_tanh", "relu"))
def test_a_captured_training_step_is_the_step(ops, activation):
    """On new images, new labels and new parameters each time, for two batch sizes in turns."""
    model = LeNet5(activation=activation, ops=ops)
    held = {n: (ops.zeros((1, 32, 32, n)), np.zeros(n, np.int64)) for n in (5, 2)}
    repeat = {
        n: ops.capture(lambda x=x, labels=labels: train_step(model, x, labels))
        for n, (x, labels) in held.items()
    }
    for seed, count in enumerate((5, 2, 5)):
        images, labels = batch(count, seed)
        model.values[...] = model.values * 1.1
        expected = [ops.to_host(a) for a in train_step(model, ops.asarray(images), labels)]
        held[count][0][...] = ops.asarray(images)
        held[count][1][...] = labels
        for actual, right in zip(repeat[count](), expected, strict=True):
            assert np.array_equal(ops.to_host(actual), right)


@pytest.mark.parametrize("layers", ("max", "plain"))
def test_other_networks_can_be_captured(ops, layers):
    """Padding, a pool that leaves an edge, and layers that no stage takes together."""
    pool = MaxPool2D(2) if layers == "max" else AvgPool2D(2)
    network = [
        Conv2D(1, 3, 3, padding=1),
        ScaledTanh(),
        pool,
        Conv2D(3, 4, 2, stride=2, padding=1),
        ReLU(),
        Flatten(),
        Linear(64, 5),
    ]
    model = Sequential(network, (1, 15, 14), ops)
    x = ops.zeros((1, 15, 14, 3))

    def step():
        logits = model.forward(x)
        model.backward(logits)
        return logits, model.gradients

    repeat = ops.capture(step)
    for seed in range(2):
        x[...] = ops.asarray(np.random.default_rng(seed).normal(size=x.shape))
        repeated = [ops.to_host(a) for a in repeat()]
        for actual, expected in zip(repeated, step(), strict=True):
            assert np.array_equal(actual, ops.to_host(expected))


def test_a_capture_that_fails_closes(ops):
    def fail():
        raise KeyError

    with pytest.raises(KeyError):
        ops.capture(fail)
    x = ops.zeros((3, 2))
    repeat = ops.capture(lambda: ops.activation("tanh", x))
    x[...] = x + 1.0
    np.testing.assert_allclose(ops.to_host(repeat()), np.tanh(1.0), rtol=1e-6)


def test_numpy_captures_do_not_nest():
    ops = NumpyOps()
    with pytest.raises(RuntimeError, match="do not nest"):
        ops.capture(lambda: ops.capture(lambda: None))


@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_a_repetition_on_numpy_allocates_nothing(dtype):
    ops = NumpyOps(dtype)
    model = LeNet5(ops=ops)
    x, labels = ops.asarray(batch(64, 0)[0]), batch(64, 0)[1]
    repeat = ops.capture(lambda: train_step(model, x, labels))
    tracemalloc.start()
    addresses = set()
    for _ in range(3):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        addresses.add(repeat()[0].ctypes.data)
        assert tracemalloc.get_traced_memory()[1] - before < 100_000  # the workspaces are 9 MB
    tracemalloc.stop()
    assert len(addresses) == 1


def test_arrays_are_aligned():
    for shape, dtype in (((7,), np.float32), ((4, 3), np.float64), ((1, 2, 5), np.float32)):
        array = aligned_empty(shape, dtype)
        assert array.shape == shape and array.dtype == dtype
        assert array.ctypes.data % ALIGNMENT == 0
