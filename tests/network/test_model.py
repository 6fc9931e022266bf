"""LeNet-5: its parameters, shapes and weights, and its gradient as a whole."""

import copy
import pickle

import numpy as np
import oracle
import pytest
from tolerances import FINITE_DIFFERENCE, NETWORK, assert_close

from lenet_xp.architecture import describe
from lenet_xp.gradient_check import check_gradients
from lenet_xp.layers import Conv2D, Flatten, Linear, MaxPool2D, Tanh
from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.ops import get_ops
from lenet_xp.ops.cuda.cupy_ops import CupyOps

SHAPES = {
    "C1.weight": (6, 1, 5, 5),
    "C1.bias": (6,),
    "C3.weight": (16, 6, 5, 5),
    "C3.bias": (16,),
    "C5.weight": (120, 400),
    "C5.bias": (120,),
    "F6.weight": (84, 120),
    "F6.bias": (84,),
    "output.weight": (33, 84),
    "output.bias": (33,),
}
NETWORKS = [(a, s) for a in ("tanh", "scaled_tanh", "relu") for s in (True, False)]


def batch(ops, count: int = 2):
    rng = np.random.default_rng(5)
    images = ops.asarray(rng.normal(size=(1, 32, 32, count)))
    return images, ops.asarray(rng.integers(0, 33, count))


def test_parameters(ops):
    model = LeNet5(ops=ops)
    parameters = model.parameters()
    assert {name: p.shape for name, p in parameters.items()} == SHAPES
    assert list(parameters) == list(SHAPES)
    assert model.values.shape == model.gradients.shape == (63_661,)
    assert model.values.dtype == model.gradients.dtype == ops.dtype
    assert LeNet5(10, ops=ops).values.shape == (63_661 - 23 * 85,)


def test_parameters_view_the_flat_vectors(ops):
    model = LeNet5(ops=ops)
    numbers = np.arange(63_661.0)
    model.values[...] = ops.asarray(numbers)
    model.gradients[...] = ops.asarray(-numbers)
    start = 0
    for parameter in model.parameters().values():
        size = int(np.prod(parameter.shape))
        part = numbers[start : start + size].reshape(parameter.shape)
        assert np.array_equal(ops.to_host(parameter.value), part)
        assert np.array_equal(ops.to_host(parameter.gradient), -part)
        parameter.value[...] = 0.5
        parameter.gradient[...] = 0.25
        start += size
    assert start == 63_661
    assert (ops.to_host(model.values) == 0.5).all()
    assert (ops.to_host(model.gradients) == 0.25).all()


def test_forward_and_backward_use_the_flat_vectors(ops):
    model = LeNet5(ops=ops)
    images, labels = batch(ops)
    first = ops.to_host(model.forward(images))
    _, _, dlogits = SoftmaxCrossEntropy(ops)(model.forward(images), labels)
    model.gradients[...] = 1e3
    model.backward(dlogits)
    gradients = ops.to_host(model.gradients)
    assert 0 < np.abs(gradients).max() < 100  # all written, nothing added to what was there
    model.values[...] = model.values * 0.5
    assert not np.allclose(ops.to_host(model.forward(images)), first)


@pytest.mark.parametrize("activation, squash_pools", NETWORKS)
def test_finite_differences(ops64, activation, squash_pools):
    """The loss along a random direction of each parameter: every entry takes part in it."""
    ops = ops64
    model = LeNet5(activation=activation, squash_pools=squash_pools, ops=ops)
    loss = SoftmaxCrossEntropy(ops)
    images, labels = batch(ops)
    _, _, dlogits = loss(model.forward(images), labels)
    model.backward(dlogits)
    rng = np.random.default_rng(2)
    for name, parameter in model.parameters().items():
        value = ops.to_host(parameter.value)

        def score(host: np.ndarray, parameter=parameter) -> float:
            parameter.value[...] = ops.asarray(host)
            return ops.to_host(loss(model.forward(images), labels)[0]).mean()

        direction = rng.choice((-1.0, 1.0), parameter.shape)
        expected = oracle.slope(score, value, direction, 1e-6)
        actual = np.vdot(ops.to_host(parameter.gradient), direction)
        scale = np.linalg.norm(ops.to_host(parameter.gradient))
        assert abs(actual - expected) < FINITE_DIFFERENCE * scale, name
        parameter.value[...] = ops.asarray(value)


def test_same_seed_same_weights_on_every_backend(ops):
    host = LeNet5(seed=3, ops=get_ops("numpy", "float64")).values
    for _ in range(2):
        values = ops.to_host(LeNet5(seed=3, ops=ops).values)
        assert np.array_equal(values, host.astype(ops.dtype_name))
    assert not np.array_equal(ops.to_host(LeNet5(seed=4, ops=ops).values), values)
    plain = [ops.to_host(LeNet5(ops=ops, **seed).values) for seed in ({}, {"seed": 0})]
    np.testing.assert_array_equal(*plain)


@pytest.mark.parametrize(
    "activation, gain", (("tanh", 1.0), ("scaled_tanh", 2.4 / 3**0.5), ("relu", 2**0.5))
)
def test_initial_weights(ops64, activation, gain):
    """Uniform of deviation gain / sqrt(fan-in), the output layer's gain always 1; zero biases."""
    for name, parameter in LeNet5(activation=activation, ops=ops64).parameters().items():
        value = ops64.to_host(parameter.value)
        if name.endswith("bias"):
            assert not value.any()
            continue
        fan_in = np.prod(parameter.shape[1:])
        bound = (1.0 if name == "output.weight" else gain) * np.sqrt(3 / fan_in)
        assert 0.9 * bound < np.abs(value).max() <= bound
        assert abs(value.mean()) < 4 * bound / np.sqrt(3 * value.size)
        assert 0.85 < value.std() / (bound / np.sqrt(3)) < 1.15


def test_first_layer_gives_no_input_gradient(ops):
    model = LeNet5(ops=ops, fused=False)
    assert [layer.input_gradient for layer in model.layers] == [False] + [True] * 13
    dy = model.forward(batch(ops)[0])
    for layer in reversed(model.layers[1:]):
        dy = layer.backward(dy)
        assert dy is not None
    assert model.layers[0].backward(dy) is None


def test_trace(ops):
    model = LeNet5(ops=ops)
    images, _ = batch(ops, 3)
    outputs = model.trace(images)
    assert {n: a.shape for n, a in outputs.items()} == {
        "C1": (6, 28, 28, 3),
        "S2": (6, 14, 14, 3),
        "C3": (16, 10, 10, 3),
        "S4": (16, 5, 5, 3),
        "flatten_1": (400, 3),
        "C5": (120, 3),
        "F6": (84, 3),
        "output": (33, 3),
    }
    assert_close(ops, model.forward(images), ops.to_host(outputs["output"]), NETWORK)
    # with the activation that follows: S2 has been squashed twice, by C1's and by its own
    pooled = ops.average_pool(outputs["C1"], 2)
    assert_close(ops, outputs["S2"], np.tanh(ops.to_host(pooled)))
    bare = LeNet5(squash_pools=False, ops=ops).trace(images)
    assert_close(ops, bare["S2"], ops.to_host(pooled))


def test_summary(ops):
    lines = LeNet5(ops=ops).summary().splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "parameters"]
    assert lines[-1].split() == ["total", "63,661"]
    rows = {line.split()[0]: line for line in lines}
    counts = {"C1": "156", "C3": "2,416", "C5": "48,120", "F6": "10,164", "output": "2,805"}
    assert {name: rows[name].split()[-1] for name in counts} == counts
    assert "6 x 28 x 28" in rows["C1"] and "16 x 5 x 5" in rows["S4"]
    assert "1 x 32 x 32" in rows["input"] and "AvgPool2D" in rows["S2"]


def test_replica_shares_values_but_not_gradients(ops):
    model = LeNet5(10, activation="relu", squash_pools=False, ops=ops)
    replica = model.replica()
    assert describe(replica) == describe(model) and replica.ops is not ops
    assert replica.values is model.values and replica.gradients is not model.gradients
    images, _ = batch(ops)
    logits = ops.to_host(model.forward(images))
    assert np.array_equal(ops.to_host(replica.forward(images)), logits)
    model.values[...] = model.values * 2.0  # an update of the one is seen by the other
    changed = ops.to_host(model.forward(images))
    assert not np.array_equal(changed, logits)
    assert np.array_equal(ops.to_host(replica.forward(images)), changed)
    replica.backward(replica.forward(images))
    assert ops.to_host(replica.gradients).any() and not ops.to_host(model.gradients).any()


def test_another_network(ops):
    """The list of layers is open: a small one with a max pool, against the same by hand."""
    model = Sequential(
        [MaxPool2D(2, name="S1"), Flatten(), Linear(4, 3, name="F2"), Tanh()], (1, 4, 4), ops
    )
    rng = np.random.default_rng(0)
    weights, x = rng.normal(size=15), rng.normal(size=(5, 1, 4, 4))
    model.values[...] = ops.asarray(weights)
    y = model.forward(ops.asarray(np.moveaxis(x, 0, -1)))
    pooled = oracle.max_pool(x, 2).reshape(5, 4)
    dense = oracle.linear(pooled, weights[:12].reshape(3, 4), weights[12:])
    assert_close(ops, y, np.tanh(dense).T)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_classes": 1}, "num_classes must be at least 2, not 1"),
        ({"activation": "gelu"}, "activation must be one of .*relu.*, not 'gelu'"),
    ],
)
def test_wrong_arguments(ops, arguments, message):
    with pytest.raises(ValueError, match=message):
        LeNet5(**arguments, ops=ops)


@pytest.mark.parametrize("shape", ((1, 28, 28, 2), (3, 32, 32, 2), (1, 32, 32), (2, 1, 32, 32)))
def test_images_of_another_shape(ops, shape):
    with pytest.raises(ValueError, match=r"\(1, 32, 32, N\).*not \(" + str(shape[0])):
        LeNet5(ops=ops).forward(ops.zeros(shape))


@pytest.mark.parametrize("backend", ("numpy", "stand-in"))
@pytest.mark.parametrize("again", (lambda model: pickle.loads(pickle.dumps(model)), copy.deepcopy))
def test_a_network_is_pickled_and_copied(again, backend, request):
    if backend == "stand-in":
        request.getfixturevalue("stand_in")
    ops = get_ops("numpy") if backend == "numpy" else CupyOps()
    model = LeNet5(activation="relu", seed=3, ops=ops)
    images, labels = batch(ops)
    _, _, dlogits = SoftmaxCrossEntropy(ops)(model.forward(images), labels)
    model.backward(dlogits)  # leaves arrays behind in every layer
    assert len(pickle.dumps(model)) < 4 * 63_661 + 5_000
    twin = again(model)
    assert (describe(twin), type(twin.ops), twin.ops.dtype_name) == (
        describe(model),
        type(ops),
        "float32",
    )
    first = ops.to_host(model.forward(images))
    assert np.array_equal(ops.to_host(twin.forward(images)), first)
    twin.backward(dlogits)
    assert np.array_equal(ops.to_host(twin.gradients), ops.to_host(model.gradients))
    twin.values[...] = twin.values * 0.5  # its own
    assert np.array_equal(ops.to_host(model.forward(images)), first)
    assert not np.array_equal(ops.to_host(twin.forward(images)), first)


def test_a_pickle_whose_memory_is_locked_can_be_trained():
    buffers = []
    model = LeNet5(ops=get_ops("numpy"))
    data = pickle.dumps(model, protocol=5, buffer_callback=buffers.append)
    twin = pickle.loads(data, buffers=[bytes(each) for each in buffers])
    twin.values[...] = 0.0


def test_a_network_without_layers_is_refused(ops):
    with pytest.raises(ValueError, match="at least one layer"):
        Sequential([], (1, 4, 4), ops)
    for odd in ("conv2d", Flatten):
        with pytest.raises(ValueError, match=r"is no layer; give layers such as Flatten\(\)"):
            Sequential([odd], (1, 4, 4), ops)


def test_a_layer_stands_in_several_places_and_networks(ops64):
    """Copies are taken: a network keeps its weights whatever becomes of its layers."""
    square, act = Conv2D(1, 1, 3, padding=1), Tanh()
    last = [Flatten(), Linear(16, 3)]
    one = Sequential([square, act, *last], (1, 4, 4), ops64, seed=1)
    x = ops64.asarray(np.random.default_rng(0).normal(size=(1, 4, 4, 2)))
    before = ops64.to_host(one.forward(x))
    two = Sequential([MaxPool2D(1), square, act, square, act, *last], (1, 4, 4), ops64, seed=2)
    assert [layer.name for layer in two.layers][1:4:2] == ["conv2d_1", "conv2d_2"]
    assert not check_gradients(two).wrong and not check_gradients(one).wrong
    two.values[...] = 0.0
    assert np.array_equal(ops64.to_host(one.forward(x)), before)
    three = Sequential([*one.layers[:-1], Linear(16, 5)], (1, 4, 4), ops64)
    assert three.num_classes == 5
    four = Sequential([*one.layers, Tanh(), Linear(3, 2)], (1, 4, 4), ops64)
    assert four.layers[-1].name == "linear_2"
