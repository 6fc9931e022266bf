"""Joined launches give the bits of the launches that they stand for, in whatever network."""

import numpy as np
import pytest
from cupy_stand_in import state

from lenet_xp.layers import AvgPool2D, Conv2D, Flatten, Linear, ReLU, ScaledTanh, Tanh
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.ops.cuda import cupy_arrays
from lenet_xp.ops.cuda.cupy_ops import CupyOps
from lenet_xp.optim import SDLM, SGD, Adam, Optimiser
from lenet_xp.training.recipes import lenet5_1998

pytestmark = pytest.mark.usefixtures("stand_in")
JOINT = {"head", "dense_gradients", "stage_backward_below", "dense_backward_below"}
SMALL = [Conv2D(1, 3, 3, padding=1), ScaledTanh(), AvgPool2D(2)]
THREE = [*SMALL, Conv2D(3, 4, (3, 2), stride=2, padding=1), Tanh(), AvgPool2D(3), ReLU()]


def plain(layers, shape, sizes):
    """A builder of a network of dense layers of these sizes on some layers."""

    def build(ops):
        inputs, *outputs = np.prod(Sequential([*layers, Flatten()], shape, ops).shapes[-1]), *sizes
        dense = []
        for size, activation in zip(outputs, (ScaledTanh, ReLU, Tanh), strict=False):
            dense += [Linear(int(inputs), size), activation()]
            inputs = size
        return Sequential([*layers, Flatten(), *dense[:-1]], shape, ops)

    return build


# A network, an optimiser, images, and the joint kernels of a step with their updates
NETWORKS = {
    "lenet5": (lambda ops: LeNet5(ops=ops), SGD, 5, JOINT - {"dense_backward_below"} | {"sgd"}),
    "adam": (
        lambda ops: LeNet5(activation="relu", squash_pools=False, ops=ops),
        Adam,
        33,
        JOINT - {"dense_backward_below"} | {"adam"},
    ),
    "one image": (
        lambda ops: LeNet5(7, ops=ops),
        SGD,
        1,
        JOINT - {"dense_backward_below"} | {"sgd"},
    ),
    # The loss does not read the last dense layer's logits.
    "rubbish": (
        lambda ops: LeNet5(rubbish=True, ops=ops),
        SGD,
        3,
        {"dense_backward_below", "stage_backward_below", "sgd"},
    ),
    # More images than the head is for
    "many": (plain(SMALL, (1, 6, 6), (5, 4, 3)), SGD, 257, {"dense_backward_below"}),
    # More numbers than a block has room for
    "wide": (plain(SMALL, (1, 6, 6), (5, 900, 3)), SGD, 3, {"dense_backward_below"}),
    "one stage": (plain(SMALL, (1, 9, 8), (5, 4, 3)), Adam, 6, {"head", "dense_gradients"}),
    "one dense layer": (
        plain(THREE, (1, 12, 12), (3,)),
        SGD,
        6,
        {"dense_backward_below", "stage_backward_below", "sgd"},
    ),
    "colour": (
        plain([Conv2D(3, 1, 1), Tanh(), AvgPool2D(1), *THREE], (3, 13, 12), (9, 8, 7)),
        SGD,
        6,
        {"head", "dense_gradients", "stage_backward_below", "sgd"},
    ),
    # A layer between each stage and the next, and masked gradients, which CuPy computes
    "1998": (lambda ops: lenet5_1998(ops=ops), SGD, 2, set()),
    # CuPy scales the gradients before the update.
    "measured": (lambda ops: LeNet5(5, ops=ops), SDLM, 2, JOINT - {"dense_backward_below"}),
}


class Noted(CupyOps):
    """Notes what is launched."""

    def __init__(self):
        super().__init__()
        run, self.names = self._kernels.run, []
        self._kernels.run = lambda launch: self.names.append(launch.name) or run(launch)


def steps(name: str) -> tuple[list[np.ndarray], list[str]]:
    """What three captured steps leave, and the kernels of the last that Python launched."""
    build, optimiser, count, _ = NETWORKS[name]
    ops = Noted()
    model, rng = build(ops), np.random.default_rng(5)
    update: Optimiser = optimiser(ops, model.values, model.gradients)
    colours = model.input_shape[0]
    shape = (count, *model.input_shape[1:], *([colours] if colours > 1 else []))
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    labels, rates = rng.integers(0, model.num_classes, count), np.array([0.1, 1.0])
    losses, hits, place = ops.zeros((count + 3,)), ops.zeros((count + 3,)), np.array([2])
    loss = model.loss()

    def step():
        ops.names.clear()
        logits = model.forward(ops.image_batch(images, 1 / 127.5, -1.0))
        _, _, gradient = loss(logits, ops.asarray(labels), None, (losses, hits, place))
        model.backward(gradient)
        update.update(rates)
        return logits, gradient

    repeat = ops.capture(step)
    for number in (2, 3):
        rates[:] = 0.1 / number, number
        images[...] = rng.integers(0, 256, shape, dtype=np.uint8)
        labels[...] = rng.integers(0, model.num_classes, count)
        given = repeat()
    kept = *given, losses, hits, model.gradients, model.values, *update.moments().values()
    return [ops.to_host(each) for each in kept], ops.names


@pytest.mark.parametrize("name", NETWORKS)
def test_joined_launches_give_the_same_bits(name, monkeypatch):
    given, names = steps(name)
    state.reversed = True  # a missing barrier would show, and a block that waits for another
    turned, _ = steps(name)
    state.reversed = False
    monkeypatch.setattr(cupy_arrays, "joined", lambda launches: launches)
    expected, more = steps(name)
    for one, two, other in zip(given, turned, expected, strict=True):
        assert np.isfinite(other).all() and np.array_equal(one, other)
        assert np.array_equal(two, other)
    assert not any(each in JOINT or each.endswith("_sums") for each in more)
    assert len(names) < len(more) or name == "1998"
    assert {each.removesuffix("_update_sums") for each in names if each not in more} == NETWORKS[
        name
    ][3]


def test_a_gradient_elsewhere_is_no_part_of_the_update(monkeypatch):
    """The sums of a stage whose gradients are not the ones that the update reads stay launches."""

    def step(ops):
        one, other = LeNet5(ops=ops), LeNet5(seed=1, ops=ops)
        update = SGD(ops, other.values, other.gradients)
        x = ops.zeros((1, 32, 32, 2)) + 0.5

        def compute():
            ops.names.clear()
            one.backward(one.forward(x))
            update.update((0.1, 1))

        repeat = ops.capture(compute)
        repeat()
        return [ops.to_host(a) for a in (one.gradients, other.values)]

    ops = Noted()
    given = step(ops)
    assert ops.names.count("sum_partials") == 2 and ops.names[-1] == "sgd_update"
    monkeypatch.setattr(cupy_arrays, "joined", lambda launches: launches)
    for one, other in zip(given, step(Noted()), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("kind", ("tanh", "relu", None))
def test_gradients_at_other_outputs_are_no_part_of_the_head(kind, monkeypatch):
    """The backward pass of another network on the same weights, or as if F6 were linear."""

    def gradients(ops):
        images, labels = np.full((3, 32, 32), 90, np.uint8), np.arange(3)
        model, update = LeNet5(ops=ops), np.array([0.1, 1.0])
        twin = LeNet5(activation=kind, values=model.values, ops=ops) if kind else model
        f6 = twin._running[-2]
        optimiser, loss = SGD(ops, twin.values, twin.gradients), model.loss()

        def step():
            twin.forward(ops.image_batch(images, 1 / 255, -1.0))
            logits = model.forward(ops.image_batch(images, -1 / 255, 0.5))
            f6.kind = kind
            twin.backward(loss(logits, ops.asarray(labels))[2])
            f6.kind = kind or "tanh"
            optimiser.update(update)

        repeat = ops.capture(step)
        repeat()
        return ops.to_host(twin.gradients)

    given = gradients(CupyOps())
    monkeypatch.setattr(cupy_arrays, "joined", lambda launches: launches)
    assert np.array_equal(given, gradients(CupyOps()))


def test_outside_a_capture_nothing_waits():
    ops = Noted()
    model = LeNet5(ops=ops)
    logits = model.forward(ops.zeros((1, 32, 32, 2)))
    assert ops.names == [*2 * ["stage_forward"], *3 * ["dense_forward"]]
    model.backward(logits)
    assert ops.names[-3:] == ["stage_gradient", "stage_backward", "sum_partials"]


def test_a_pass_that_fails_leaves_nothing_that_waits():
    ops = CupyOps()
    x = ops.zeros((3, 2))

    def fail():
        ops.activation("tanh", x)
        raise KeyError

    with pytest.raises(KeyError):
        ops.capture(fail)
    assert ops._kernels.held is None
    before = state.launches
    ops.activation("tanh", x)
    ops.synchronize()
    assert state.launches == before + 1
