"""What the contract promises of every operation: inputs left alone, results that can be kept,
the dtype of the ops object, and steps that change nothing but where results live."""

import tracemalloc

import numpy as np
import pytest
from cases import CASES, Inputs

from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5
from lenet_xp.ops.arena import ALIGNMENT, Arena, aligned_empty
from lenet_xp.ops.numpy_ops import NumpyOps


@pytest.mark.parametrize("name", sorted(CASES))
def test_inputs_are_untouched_and_dtype_kept(ops, name):
    for function in CASES[name]:
        draw = Inputs(ops)
        for array in function(ops, draw):
            assert array.dtype == ops.dtype
        draw.assert_untouched()


@pytest.mark.parametrize("name", sorted(CASES))
def test_results_outside_a_step_are_independent(ops, name):
    for function in CASES[name]:
        draw = Inputs(ops)
        results = function(ops, draw)
        kept = [ops.to_host(r) for r in results]
        draw.overwrite()
        function(ops, Inputs(ops, seed=1))
        for result, before in zip(results, kept, strict=True):
            assert np.array_equal(ops.to_host(result), before)


@pytest.mark.parametrize("name", sorted(set(CASES) - {"step"}))
def test_a_step_gives_the_same_results(ops, name):
    """Twice over, with the memory of the step before full of other numbers."""
    outside = [[ops.to_host(r) for r in f(ops, Inputs(ops))] for f in CASES[name]]
    for seed in (1, 0):
        inside = []
        for function in CASES[name]:
            with ops.step():
                inside.append([ops.to_host(r) for r in function(ops, Inputs(ops, seed))])
    for a, b in zip(outside, inside, strict=True):
        for expected, actual in zip(a, b, strict=True):
            assert np.array_equal(actual, expected)


def train_step(model: LeNet5, count: int, seed: int = 0) -> tuple:
    """Logits, losses and every gradient of one batch."""
    rng = np.random.default_rng(seed)
    x = model.ops.asarray(rng.normal(size=(1, 32, 32, count)))
    labels = model.ops.asarray(rng.integers(0, 33, count))
    logits = model.forward(x)
    losses, _, dlogits = SoftmaxCrossEntropy(model.ops, 0.1)(logits, labels)
    model.backward(dlogits)
    return logits, losses, model.gradients


@pytest.mark.parametrize("activation", ("tanh", "relu"))
def test_steps_of_different_batch_sizes(ops, activation):
    model = LeNet5(activation=activation, ops=ops)
    sizes = (2, 5, 1, 5, 2)
    fresh = {n: [ops.to_host(a) for a in train_step(model, n)] for n in set(sizes)}
    for count in sizes:
        with ops.step():
            results = [ops.to_host(a) for a in train_step(model, count)]
        for actual, expected in zip(results, fresh[count], strict=True):
            assert np.array_equal(actual, expected)


def test_a_gradient_of_a_step_survives_a_forward_pass_of_another(ops):
    model = LeNet5(ops=ops)
    with ops.step():
        train_step(model, 3)
    gradients = ops.to_host(model.gradients)
    with ops.step():
        model.forward(ops.asarray(np.ones((1, 32, 32, 3))))
    assert np.array_equal(ops.to_host(model.gradients), gradients)


def test_a_step_that_fails_closes(ops):
    with pytest.raises(KeyError), ops.step():
        raise KeyError
    with ops.step():
        ops.activation("tanh", ops.zeros((3, 2)))
    first, second = (ops.activation("tanh", ops.asarray(np.full((3, 2), v))) for v in (1.0, 2.0))
    np.testing.assert_allclose(ops.to_host(first), np.tanh(1.0), rtol=1e-6)
    np.testing.assert_allclose(ops.to_host(second), np.tanh(2.0), rtol=1e-6)


# NumPy's arena: the memory of a step is allocated once


@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_numpy_steps_use_the_same_memory_again(dtype):
    ops = NumpyOps(dtype)
    model = LeNet5(ops=ops)
    for count in (8, 3, 1, 8):  # a new size makes new workspaces, the same size none
        addresses = set()
        for _ in range(3):
            with ops.step():
                addresses.add(train_step(model, count)[0].ctypes.data)
        assert len(addresses) == 1

    batch = ops.zeros((1, 32, 32, 64))
    tracemalloc.start()
    peaks = []
    for _ in range(3):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        with ops.step():
            logits = model.forward(batch)
            model.backward(logits)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    # after the first step, what is left are gradients of the size of a kernel
    assert max(peaks[1:]) < 0.02 * peaks[0]


def test_arena():
    arena = Arena()

    def take(*shape, dtype=np.float32):
        return arena.take(aligned_empty, shape, dtype)

    outside = take(3, 5), take(3, 5)
    assert not np.shares_memory(*outside)
    with arena:
        first = take(7), take(4, 3, dtype=np.float64)
        assert not np.shares_memory(*first)
    with arena:
        again = take(7), take(4, 3, dtype=np.float64)
        extra = take(5)
    assert all(a is b for a, b in zip(first, again, strict=True))
    with arena:
        other = take(8), take(4, 3, dtype=np.float32)
    assert other[0].shape == (8,) and other[1].dtype == np.float32
    for array in (*outside, *first, extra, *other):
        assert array.ctypes.data % ALIGNMENT == 0
    with arena, pytest.raises(RuntimeError, match="do not nest"), arena:
        pass
    with arena:  # the failed nesting has not left it half open
        assert take(8).shape == (8,)


def test_arena_survives_a_workspace_that_cannot_be_made():
    arena = Arena()

    def fail(size):
        raise MemoryError(size)

    with pytest.raises(MemoryError), arena:
        arena.take(fail, 2)
    with arena:
        assert arena.take(aligned_empty, (2,), np.float32).shape == (2,)
