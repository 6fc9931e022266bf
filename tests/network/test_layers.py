"""Each layer against the oracle, against finite differences, and in what it promises."""

import copy
import pickle

import numpy as np
import oracle
import pytest
from oracle import to_chwn
from tolerances import FINITE_DIFFERENCE, assert_close, error

from lenet_xp.layers import (
    AvgPool2D,
    Conv2D,
    Flatten,
    Layer,
    Linear,
    MaxPool2D,
    Param,
    ReLU,
    ScaledTanh,
    Tanh,
)
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.model_file import SavedModel, load_model, save_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing

IMAGE = (2, 7, 6)
LAYERS = {
    "conv": (lambda: Conv2D(2, 3, (3, 2)), IMAGE),
    "conv-stride2-padding1": (lambda: Conv2D(2, 3, 3, stride=2, padding=1), IMAGE),
    "linear": (lambda: Linear(5, 4), (5,)),
    "average": (lambda: AvgPool2D(2), IMAGE),
    "max": (lambda: MaxPool2D(3), IMAGE),
    "tanh": (Tanh, IMAGE),
    "scaled_tanh": (ScaledTanh, (5,)),
    "relu": (ReLU, IMAGE),
    "flatten": (Flatten, IMAGE),
}
N = 3


def make(name: str, ops) -> tuple[Layer, dict[str, Param], np.ndarray, np.ndarray]:
    """A layer with drawn parameters, these by name, and draws for x and dy."""
    build, shape = LAYERS[name]
    layer, rng = build(), np.random.default_rng(3)
    size = sum(int(np.prod(s)) for s in layer.param_shapes().values())
    values = ops.asarray(rng.normal(size=size))
    layer.attach(ops, values, ops.zeros((size,)))
    params = {n: getattr(layer, n) for n in layer.param_shapes()}
    x = rng.normal(size=(*shape, N))
    return layer, params, x, rng.normal(size=(*layer.output_shape(shape), N))


def naive(layer: Layer, params: list[np.ndarray], x: np.ndarray, dy: np.ndarray) -> tuple:
    """y, dx and the parameters' gradients by the oracle; images come in its own order."""
    match layer:
        case Conv2D():
            settings = layer.stride, layer.padding
            dx, *gradients = oracle.convolution_backward(dy, x, params[0], *settings)
            return oracle.convolution(x, *params, *settings), dx, *gradients
        case Linear():
            y = oracle.linear(x, *params)
            return y, oracle.linear(dy, params[0].T, np.zeros(5)), dy.T @ x, dy.T @ np.ones(N)
        case AvgPool2D():
            dx = oracle.average_pool_backward(dy, x.shape, layer.size)
            return oracle.average_pool(x, layer.size), dx
        case MaxPool2D():
            dx = oracle.max_pool_backward(dy, x, layer.size)
            return oracle.max_pool(x, layer.size), dx
        case Flatten():
            return np.array([image.ravel() for image in x]), dy.reshape(x.shape)
    return oracle.activation(layer.kind, x), oracle.activation_backward(layer.kind, dy, x)


@pytest.mark.parametrize("name", LAYERS)
def test_oracle(ops, name):
    layer, params, x, dy = make(name, ops)
    host = [ops.to_host(p.value).astype(float) for p in params.values()]
    y, dx, *gradients = naive(layer, host, np.moveaxis(x, -1, 0), np.moveaxis(dy, -1, 0))
    assert_close(ops, layer.forward(ops.asarray(x)), to_chwn(y))
    assert_close(ops, layer.backward(ops.asarray(dy)), to_chwn(dx))
    for param, gradient in zip(params.values(), gradients, strict=True):
        assert_close(ops, param.gradient, gradient)


@pytest.mark.parametrize("name", LAYERS)
def test_finite_differences(ops64, name):
    ops = ops64
    layer, params, x, dy = make(name, ops)
    if name == "relu":
        x += np.sign(x) * 0.1  # away from the kink

    def score(host: np.ndarray, target: Param | None = None) -> float:
        """<dy, y>, with a parameter or else the input replaced by host values."""
        if target is None:
            return np.vdot(dy, ops.to_host(layer.forward(ops.asarray(host))))
        kept = ops.to_host(target.value)
        target.value[...] = ops.asarray(host)
        result = score(x)
        target.value[...] = ops.asarray(kept)
        return result

    layer.forward(ops.asarray(x))
    dx = ops.to_host(layer.backward(ops.asarray(dy)))
    gradients = {n: ops.to_host(p.gradient) for n, p in params.items()}
    assert error(dx, oracle.gradient(score, x)) < FINITE_DIFFERENCE
    for n, param in params.items():
        expected = oracle.gradient(lambda v, p=param: score(v, p), ops.to_host(param.value))
        assert error(gradients[n], expected) < FINITE_DIFFERENCE, n


@pytest.mark.parametrize("name", LAYERS)
def test_backward_overwrites_gradients_and_leaves_the_rest(ops, name):
    layer, params, x, dy = make(name, ops)
    x, dy = ops.asarray(x), ops.asarray(dy)
    y = layer.forward(x)
    untouched = [x, dy, y, *(p.value for p in params.values())]
    before = [ops.to_host(a) for a in untouched]
    dx = ops.to_host(layer.backward(dy))
    gradients = {n: ops.to_host(p.gradient) for n, p in params.items()}
    for param in params.values():
        param.gradient[...] = 1e3
    layer.forward(x)
    assert np.array_equal(ops.to_host(layer.backward(dy)), dx)
    for n, param in params.items():
        assert np.array_equal(ops.to_host(param.gradient), gradients[n])
    for array, host in zip(untouched, before, strict=True):
        assert np.array_equal(ops.to_host(array), host)


@pytest.mark.parametrize("name", ("conv", "linear"))
def test_no_input_gradient(ops, name):
    layer, params, x, dy = make(name, ops)
    layer.forward(ops.asarray(x))
    layer.backward(ops.asarray(dy))
    expected = [ops.to_host(p.gradient) for p in params.values()]
    layer.input_gradient = False
    for param in params.values():
        param.gradient[...] = 0.0
    layer.forward(ops.asarray(x))
    assert layer.backward(ops.asarray(dy)) is None
    for param, gradient in zip(params.values(), expected, strict=True):
        assert_close(ops, param.gradient, gradient)


def test_max_pool_tie_goes_to_the_first_pixel(ops):
    layer = MaxPool2D(2)
    layer.attach(ops, ops.zeros((0,)), ops.zeros((0,)))
    blocks = np.array([[[5, 5], [5, 5]], [[1, 4], [4, 4]], [[0, 0], [2, 2]], [[0, 0], [0, 2]]])
    x = np.moveaxis(blocks[:, None], 0, -1) * 1.0
    layer.forward(ops.asarray(x))
    dx = ops.to_host(layer.backward(ops.asarray(np.full((1, 1, 1, 4), 7.0))))
    winners = [[tuple(map(int, at)) for at in np.argwhere(dx[0, ..., n])] for n in range(4)]
    assert winners == [[(0, 0)], [(0, 1)], [(1, 0)], [(1, 1)]] and dx.sum() == 28


@pytest.mark.parametrize(
    "build",
    [
        lambda: Conv2D(0, 3, 5),
        lambda: Conv2D(1, 0, 5),
        lambda: Conv2D(1, 3, (0, 5)),
        lambda: Conv2D(1, 3, 5, stride=0),
        lambda: Conv2D(1, 3, 5, padding=-1),
        lambda: Linear(0, 3),
        lambda: Linear(3, 0),
        lambda: AvgPool2D(0),
        lambda: MaxPool2D(-2),
        lambda: Conv2D(1, 3, 5, padding="same"),
        lambda: Conv2D(1, 3, 5, stride=(2, 2)),
        lambda: Conv2D(1, 3, 3.0),
        lambda: Linear(True, 3),
        lambda: MaxPool2D((2, 2)),
    ],
)
def test_bad_arguments(build):
    with pytest.raises(ValueError, match=r"must be a whole number from [01] on, not "):
        build()


def test_whole_numbers_of_numpy_are_taken(tmp_path):
    """np.prod(shape) features, say: the model file holds plain numbers."""
    one = np.int64(1)
    layers = [Conv2D(one, one, [3, one]), MaxPool2D(one), Flatten(), Linear(np.prod((6, 8)), 2)]
    model = Sequential(layers, (one, 8, 8))
    save_model(tmp_path / "m.npz", SavedModel(model, Preprocessing(size=8), ("a", "b"), {}))
    assert model.layers[0].kernel == (3, 1)
    assert load_model(tmp_path / "m.npz", get_ops("numpy")).model.input_shape == (1, 8, 8)


@pytest.mark.parametrize(
    "layers, message",
    [
        ([Conv2D(2, 3, 5, name="C1")], r"C1 takes \(2, H, W\), not \(1, 8, 8\)"),
        ([Conv2D(1, 3, 9, name="C1")], r"C1: \(1, 8, 8\) is smaller than the kernel"),
        ([Conv2D(1, 3, 5), AvgPool2D(5, name="S2")], r"S2 of 5 takes .* not \(3, 4, 4\)"),
        ([Linear(64, 3, name="F6")], r"F6 takes \(64,\), not \(1, 8, 8\)"),
        ([Flatten(), Linear(63, 3, name="F6")], r"F6 takes \(63,\), not \(64,\)"),
        ([Flatten(), Conv2D(1, 3, 5, name="C3")], r"C3 takes \(1, H, W\), not \(64,\)"),
        ([Flatten(), MaxPool2D(2)], r"maxpool2d_1 of 2 takes \(C, H, W\), not \(64,\)"),
    ],
)
def test_shapes_that_do_not_fit(ops, layers, message):
    with pytest.raises(ValueError, match=message):
        Sequential(layers, (1, 8, 8), ops)


def test_a_layer_works_alone():
    x = np.random.default_rng(0).normal(size=(1, 6, 5, 2)).astype(np.float32)
    layer = Conv2D(1, 2, 3)
    y = layer.forward(x)
    weight, bias = layer.weight.value, layer.bias.value
    assert weight.any() and not bias.any() and y.dtype == np.float32
    expected = oracle.convolution(np.moveaxis(x, -1, 0), weight, bias, 1, 0)
    np.testing.assert_allclose(y, to_chwn(expected), rtol=1e-5, atol=1e-6)
    assert layer.backward(y).shape == x.shape and layer.weight.gradient.any()
    assert np.array_equal(Conv2D(1, 2, 3).weight.value, weight)
    assert Linear(4, 3).forward(np.ones((4, 2), np.float32)).shape == (3, 2)
    assert MaxPool2D(2).forward(x).shape == (1, 3, 2, 2)


def test_names(ops):
    layers = [Conv2D(1, 2, 3), Tanh(), Conv2D(2, 2, 3), Tanh(), Flatten(), Linear(32, 3, "top")]
    assert layers[0].name == "conv2d" and layers[1].name == "tanh"
    model = Sequential(layers, (1, 8, 8), ops)
    names = ["conv2d_1", "tanh_1", "conv2d_2", "tanh_2", "flatten_1", "top"]
    assert [layer.name for layer in model.layers] == names
    parameters = model.parameters()
    assert list(parameters) == [
        f"{name}.{kind}" for name in ("conv2d_1", "conv2d_2", "top") for kind in ("weight", "bias")
    ]
    assert sum(int(np.prod(p.shape)) for p in parameters.values()) == model.values.shape[0]
    with pytest.raises(ValueError, match="2 layers are named A"):
        Sequential([Linear(3, 3, "A"), Linear(3, 3, "A")], (3,), ops)


def test_a_network_draws_its_own_weights(ops):
    """With the gain of the activation behind each layer, 1 where none stands there."""
    model = Sequential([Linear(300, 200), ReLU(), Linear(200, 100)], (300,), ops, seed=4)
    first, second = (ops.to_host(model.parameters()[f"linear_{i}.weight"].value) for i in (1, 2))
    assert np.abs(first).max() == pytest.approx((2 * 3 / 300) ** 0.5, rel=1e-3)
    assert np.abs(second).max() == pytest.approx((3 / 200) ** 0.5, rel=1e-3)


@pytest.mark.parametrize("layer", (Conv2D(1, 2, 3), AvgPool2D(), MaxPool2D(), Linear(4, 3)))
def test_a_layer_alone_refuses_images_in_front(layer):
    """(N, C, H, W), the layout of other packages, is no (C, H, W, N)."""
    with pytest.raises(ValueError, match=r"takes .*, not \(5, 1, 8\)|takes .*, not \(5,\)"):
        layer.forward(
            np.ones((5, 1, 8, 1) if not isinstance(layer, Linear) else (5, 4), np.float32)
        )


@pytest.mark.parametrize(
    "layer",
    [
        Conv2D(1, 2, 3),
        Linear(4, 2),
        AvgPool2D(),
        MaxPool2D(),
        Tanh(),
        ScaledTanh(),
        ReLU(),
        Flatten(),
    ],
    ids=lambda layer: layer.kind,
)
def test_backward_before_forward_says_what_is_missing(layer):
    with pytest.raises(RuntimeError, match=f"{layer.kind}: .*call forward first"):
        layer.backward(np.ones((2, 4, 4, 3), np.float32))
    with pytest.raises(RuntimeError, match="call forward first"):
        copy.deepcopy(layer).backward(np.ones((2, 4, 4, 3), np.float32))


@pytest.mark.parametrize("fused", [True, False])
def test_backward_before_forward_of_a_network(fused):
    model = LeNet5(3, ops=get_ops("numpy"), fused=fused)
    for each in (model, model.replica(), pickle.loads(pickle.dumps(model))):
        with pytest.raises(RuntimeError, match="call forward first"):
            each.backward(np.ones((3, 2), np.float32))
    logits = model.forward(np.ones((1, 32, 32, 2), np.float32))
    model.backward(logits)
    assert np.abs(model.gradients).max() > 0


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [(Linear(60, 500), 60), (Conv2D(3, 90, (4, 5)), 60)],
    ids=["linear", "conv"],
)
def test_a_layer_alone_draws_weights_of_unit_gain(layer, fan_in):
    """Uniform weights of deviation 1 / sqrt(fan_in), as of LeCun's "Efficient BackProp"."""
    weights = layer.weight.value
    assert weights.std() == pytest.approx(fan_in**-0.5, rel=0.02)
    assert 0.99 < np.abs(weights).max() / (3 / fan_in) ** 0.5 <= 1
    assert not layer.bias.value.any()
