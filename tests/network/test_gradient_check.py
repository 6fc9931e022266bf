"""check_gradients: right networks pass whatever they are made of; a wrong backward is named."""

import numpy as np
import pytest

from lenet_xp import (
    AvgPool2D,
    Conv2D,
    Flatten,
    Layer,
    LeNet5,
    Linear,
    MaxPool2D,
    ReLU,
    ScaledTanh,
    Sequential,
    Tanh,
    check_gradients,
)
from lenet_xp.ops import get_ops


class Scale(Layer):
    """y = weight x, one weight for each map: as a student would write it."""

    kind = "scale"

    def __init__(self, maps, name=""):
        self.maps = maps
        super().__init__(name)

    def param_shapes(self):
        return {"weight": (self.maps,)}

    def forward(self, x):
        self.x = x
        return x * self.weight.value[:, None, None, None]

    def backward(self, dy):
        self.weight.gradient[...] = (dy * self.x).sum(axis=(1, 2, 3))
        return dy * self.weight.value[:, None, None, None]


def small(ops=None, **options):
    """A network of every kind of layer, with one of another's making among them."""
    layers = [
        *(Conv2D(2, 3, 3, padding=1, name="A"), ReLU(), MaxPool2D(2, name="P"), Scale(3, "S")),
        *(Conv2D(3, 4, (3, 2), stride=2, name="B"), ScaledTanh(), AvgPool2D(2, name="Q")),
        *(Flatten(name="V"), Linear(4, 5, name="C"), Tanh(), Linear(5, 3, name="D")),
    ]
    return Sequential(layers, (2, 10, 12), ops, **options)


def sevens(*layers, shape=(1, 9, 9), **options):
    return Sequential(list(layers), shape, get_ops("numpy"), **options)


NETWORKS = {
    **{
        f"LeNet5-{activation}-{squash}": lambda seed, a=activation, s=squash: LeNet5(
            activation=a, squash_pools=s, seed=seed
        )
        for activation in ("tanh", "scaled_tanh", "relu")
        for squash in (False, True)
    },
    "every kind": lambda seed: small(seed=seed),
    "3x3": lambda seed: sevens(
        *(Conv2D(1, 6, 3, padding=1), ReLU(), MaxPool2D(2), Conv2D(6, 8, 3, padding=1), ReLU()),
        *(MaxPool2D(2), Flatten(), Linear(72, 16), ReLU(), Linear(16, 10)),
        shape=(1, 12, 12),
        seed=seed,
    ),
    "stride 2, three channels": lambda seed: sevens(
        *(Conv2D(3, 6, 3, stride=2), ReLU(), Conv2D(6, 6, 3, 2, 1), ReLU(), Flatten()),
        Linear(54, 4),
        shape=(3, 11, 13),
        seed=seed,
    ),
    "no activation": lambda seed: sevens(Conv2D(1, 3, 4), AvgPool2D(3), Flatten(), Linear(12, 5)),
    "dense, two classes": lambda seed: sevens(Flatten(), Linear(81, 20), ReLU(), Linear(20, 2)),
    "one layer": lambda seed: sevens(Conv2D(2, 3, 3), shape=(2, 5, 6), seed=seed),
    "no parameters": lambda seed: sevens(ReLU(), MaxPool2D(2), ReLU(), MaxPool2D(2)),
    "a vector": lambda seed: sevens(Linear(7, 5), Tanh(), Linear(5, 3), shape=(7,), seed=seed),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_right_gradients_pass_for_every_seed(name):
    for seed in range(2 if "LeNet5" in name else 12):
        network = NETWORKS[name](seed)
        found = check_gradients(network, seed=seed)
        assert found.wrong == [], found
        assert max(found.values()) < 1e-6
        own = [f"{layer.name}.dx" for layer in network.layers]
        assert list(found) == [*network.parameters(), "input", *own]


@pytest.mark.parametrize("activation", (None, 0.0, 3.0))
def test_parameters_of_any_size_pass(activation):
    """Fresh, all zero (so that nothing reaches the first layers), or far in saturation."""
    network = small()
    if activation is not None:
        network.values[...] = network.values * activation
    assert check_gradients(network).wrong == []


def test_the_network_itself_is_not_touched(ops):
    network = small(ops, fused=False) if ops.name == "numpy" else LeNet5(ops=ops, fused=False)
    x = ops.zeros((*network.input_shape, 2)) + 0.25
    y = network.forward(x)
    network.backward(y)
    before = [ops.to_host(each) for each in (network.values, network.gradients)]
    attached = [layer.ops for layer in network.layers]
    assert check_gradients(network).wrong == []
    after = [ops.to_host(each) for each in (network.values, network.gradients)]
    assert all(map(np.array_equal, after, before))
    assert all(layer.ops is each for layer, each in zip(network.layers, attached, strict=True))
    assert [layer.input_gradient for layer in network.layers][:2] == [False, True]
    assert network.backward(y) is None
    assert np.array_equal(ops.to_host(network.gradients), before[1])


def doubled(method):
    return lambda layer, dy: 2.0 * method(layer, dy)


def transposed(layer, dy):
    """A convolution whose dx goes through the flipped kernel."""
    ops, weight = layer.ops, layer.weight.value[:, :, ::-1, ::-1]
    dy = ops.reshape(dy, (layer.out_channels, -1))
    columns = ops.matmul(ops.reshape(weight, (layer.out_channels, -1)).T, dy)
    Conv2D_right(layer, ops.reshape(dy, (layer.out_channels, *SHAPE_B, -1)))
    return ops.col2im(columns, layer.x_shape, layer.kernel, layer.stride, layer.padding)


Conv2D_right, SHAPE_B = Conv2D.backward, (2, 6)


def gradient_changed(name, change):
    """A backward that leaves the gradient of one parameter as `change` makes it."""

    def broken(right):
        def backward(layer, dy):
            dx = right(layer, dy)
            gradient = getattr(layer, name).gradient
            gradient[...] = change(gradient, layer, dy)
            return dx

        return backward

    return broken


def one_entry(gradient, layer, dy):
    gradient[(-1,) * gradient.ndim] *= 1.5
    return gradient


WRONG = {
    "a factor 2": ("D", gradient_changed("weight", lambda g, *_: 2 * g), {"D.weight"}),
    "a wrong sign": ("A", gradient_changed("bias", lambda g, *_: -g), {"A.bias"}),
    "a missing sum": (
        *("C", gradient_changed("bias", lambda g, layer, dy: dy[:, 0])),
        {"C.bias"},
    ),
    "one entry of many": ("B", gradient_changed("weight", one_entry), {"B.weight"}),
    "a flipped kernel": (
        *("A", gradient_changed("weight", lambda g, *_: g[:, :, ::-1, ::-1].copy())),
        {"A.weight"},
    ),
    "swapped channels": (
        *("B", gradient_changed("weight", lambda g, *_: g[:, ::-1].copy())),
        {"B.weight"},
    ),
    "a mean for a sum": ("S", gradient_changed("weight", lambda g, *_: g / 2), {"S.weight"}),
    "not written": ("S", gradient_changed("weight", lambda g, *_: g * np.nan), {"S.weight"}),
    "dx of a dense layer": ("D", doubled, {"D.dx", "C.weight", "B.bias", "input"}),
    "dx of a convolution": ("B", lambda _: transposed, {"B.dx", "A.weight", "A.bias", "input"}),
    "dx of an activation": ("tanh_1", doubled, {"tanh_1.dx", "C.weight", "A.bias", "input"}),
    "dx of a pool": ("P", doubled, {"P.dx", "A.weight", "A.bias", "input"}),
    "dx of the first layer": ("A", doubled, {"A.dx", "input"}),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_backward_is_named(name, monkeypatch):
    where, broken, expected = WRONG[name]
    network = small()
    layer = next(each for each in network.layers if each.name == where)
    cls = type(layer)
    alone = type(cls.__name__, (cls,), {"backward": broken(cls.backward)})
    layer.__class__ = alone
    for seed in range(3):
        found = check_gradients(network, seed=seed)
        assert expected <= set(found.wrong), found
        own = {each for each in found.wrong if each.endswith(".dx")}
        assert own == {each for each in expected if each.endswith(".dx")}
        if not own:
            assert set(found.wrong) == expected
        rows = {line.split()[0]: line for line in repr(found).splitlines()}
        assert all(("WRONG" in rows[each]) == (each in found.wrong) for each in found)


def test_a_gradient_that_is_added_or_bound_anew_is_wrong():
    """A step writes over the gradients of the step before, in the model's own vector."""

    class Adding(Scale):
        def backward(self, dy):
            self.weight.gradient += (dy * self.x).sum(axis=(1, 2, 3))
            return dy * self.weight.value[:, None, None, None]

    class Rebinding(Scale):
        def backward(self, dy):
            self.weight.gradient = (dy * self.x).sum(axis=(1, 2, 3))
            return dy * self.weight.value[:, None, None, None]

    assert check_gradients(sevens(Scale(1))).wrong == []
    assert check_gradients(sevens(Adding(1))).wrong == ["scale_1.weight"]
    assert check_gradients(sevens(Rebinding(1))).wrong == ["scale_1.weight"]


def test_a_layer_that_works_in_place_is_found():
    class Half(Layer):
        kind = "half"

        def forward(self, x):
            x *= 0.5
            return x

        def backward(self, dy):
            return dy * 0.5

    found = check_gradients(sevens(Conv2D(1, 2, 3), Tanh(), Half()))  # what Tanh kept is another
    assert found.wrong == ["conv2d_1.weight", "conv2d_1.bias", "input"], found
    found = check_gradients(sevens(Conv2D(1, 2, 3), Half()))  # nobody kept what it changes
    assert found.wrong == []


def test_a_layer_whose_output_is_in_another_order():
    class Turned(Layer):
        kind = "turned"

        def forward(self, x):
            return x.transpose(0, 2, 1, 3)

        backward = forward

    found = check_gradients(sevens(Turned(), Tanh(), Turned(), Flatten(), Linear(81, 2)))
    assert found.wrong == []


@pytest.mark.parametrize("dx", (lambda dy: None, lambda dy: dy[:, :1]))
def test_a_layer_that_returns_no_dx_is_named(dx):
    class Half(Layer):
        kind = "half"

        def forward(self, x):
            return x * 0.5

        def backward(self, dy):
            return dx(dy)

    found = check_gradients(sevens(Conv2D(1, 2, 3), Half(), Flatten()))
    assert found.wrong == ["half_1.dx"] and np.isnan(found["half_1.dx"])
    assert "nan" in repr(found)


def test_a_layer_of_another_dtype_is_an_error_in_words():
    class Single(Tanh):
        def forward(self, x):
            self.y = np.tanh(x).astype(np.float32)
            return self.y

    with pytest.raises(ValueError, match=r"tanh_1 gives float32, .* float64"):
        check_gradients(sevens(Conv2D(1, 2, 3), Single()))


def test_the_table():
    lines = repr(check_gradients(sevens(Linear(3, 2, name="L"), shape=(3,)))).splitlines()
    assert [line.split()[0] for line in lines] == ["L.weight", "L.bias", "input", "L.dx"]
    assert all(float(line.split()[1]) < 1e-7 and line.endswith("  right") for line in lines)
