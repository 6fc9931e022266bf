"""Layers, loss, optimisers and the whole network against PyTorch, on shapes drawn at random.

Run where torch is installed. PyTorch computes in float64 on the very numbers that ops got, so the
error is ours alone. references/ holds what the ordinary run checks without torch.
"""

import numpy as np
import pytest
from oracle import to_chwn
from tolerances import NETWORK, OPERATION, TRAINING, assert_close, error

from lenet_xp.layers import (
    ACTIVATIONS,
    Activation,
    AvgPool2D,
    Conv2D,
    Flatten,
    Layer,
    Linear,
    MaxPool2D,
)
from lenet_xp.losses import SoftmaxCrossEntropy, check_labels, check_targets
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.ops import Ops
from lenet_xp.ops.numpy_ops import NumpyOps
from lenet_xp.optim import SGD, Adam

torch = pytest.importorskip("torch", reason="needs PyTorch, which the ordinary run does without")
F = torch.nn.functional

KINDS = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "scaled_tanh": lambda x: 1.7159 * torch.tanh(2.0 / 3.0 * x),
}
STEPS = 20


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Problems this small only wait for torch's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Draw:
    """Random numbers that an ops object holds exactly, whatever its dtype."""

    def __init__(self, ops: Ops, seed: int):
        self.rng, self.dtype = np.random.default_rng(seed), ops.dtype_name

    def normal(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        return (scale * self.rng.normal(size=shape)).astype(self.dtype).astype(float)

    def whole(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def one_of(self, choices):
        return choices[self.whole(0, len(choices) - 1)]

    def sides(self, shortest: int) -> tuple[int, int]:
        return self.whole(shortest, shortest + 8), self.whole(shortest, shortest + 8)


def tensor(x: np.ndarray) -> torch.Tensor:
    return torch.tensor(x, requires_grad=True)


def as_host(t: torch.Tensor) -> np.ndarray:
    return t.detach().numpy()


def compare(ops: Ops, layer: Layer, shape: tuple[int, ...], function, draw: Draw, x=None) -> None:
    """y, dx and the parameters' gradients of a layer, and of torch's function(x, *parameters)."""
    shapes = layer.param_shapes().values()
    parameters = [draw.normal(*s, scale=0.5) for s in shapes]
    flat = np.concatenate([np.zeros(0), *(p.ravel() for p in parameters)])
    layer.attach(ops, ops.asarray(flat), ops.zeros(flat.shape))
    x = draw.normal(draw.whole(1, 5), *shape) if x is None else x
    tensors = [tensor(x), *map(tensor, parameters)]
    expected = function(*tensors)
    dy = draw.normal(*expected.shape)
    expected.backward(torch.tensor(dy))
    assert expected.shape[1:] == layer.output_shape(shape)

    assert_close(ops, layer.forward(ops.asarray(to_chwn(x))), to_chwn(as_host(expected)))
    assert_close(ops, layer.backward(ops.asarray(to_chwn(dy))), to_chwn(tensors[0].grad.numpy()))
    for name, t in zip(layer.param_shapes(), tensors[1:], strict=True):
        assert_close(ops, getattr(layer, name).gradient, t.grad.numpy())


def draw_convolution(draw: Draw, pool: int = 1) -> tuple[Conv2D, tuple[int, int, int]]:
    """A convolution, and an image that it and a pool after it can take."""
    kernel = draw.whole(1, 5), draw.whole(1, 5)
    stride, padding = draw.whole(1, 3), draw.whole(0, 3)
    conv = Conv2D(draw.whole(1, 4), draw.whole(1, 5), kernel, stride, padding)
    least = [max(1, k + (pool - 1) * stride - 2 * padding) for k in kernel]
    return conv, (conv.in_channels, *(draw.sides(size)[0] for size in least))


@pytest.mark.parametrize("seed", range(40))
def test_convolution(ops, seed):
    draw = Draw(ops, seed)
    layer, shape = draw_convolution(draw)
    settings = {"stride": layer.stride, "padding": layer.padding}
    compare(ops, layer, shape, lambda *t: F.conv2d(*t, **settings), draw)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", (AvgPool2D, MaxPool2D))
def test_pools(ops, seed, kind):
    draw = Draw(ops, seed)
    size = draw.whole(1, 4)
    shape = draw.whole(1, 4), *draw.sides(size)
    x = draw.normal(draw.whole(1, 5), *shape)
    if seed % 2:
        x = np.round(x)  # blocks whose maximum stands more than once
    function = F.avg_pool2d if kind is AvgPool2D else F.max_pool2d
    compare(ops, kind(size), shape, lambda t: function(t, size), draw, x)


@pytest.mark.parametrize("seed", range(10))
def test_dense_and_flatten(ops, seed):
    draw = Draw(ops, seed)
    features = draw.whole(1, 40)
    compare(ops, Linear(features, draw.whole(1, 20)), (features,), F.linear, draw)
    compare(ops, Flatten(), (draw.whole(1, 4), *draw.sides(1)), lambda t: t.flatten(1), draw)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_activations(ops, seed, kind):
    draw = Draw(ops, seed)
    shape = (draw.whole(1, 50),) if seed % 2 else (draw.whole(1, 4), *draw.sides(1))
    x = draw.normal(draw.whole(1, 5), *shape, scale=10.0 ** (seed - 2))
    layer: Activation = ACTIVATIONS[kind]()
    compare(ops, layer, shape, KINDS[kind], draw, x)


@pytest.mark.parametrize("seed", range(16))
def test_loss(ops, seed):
    draw = Draw(ops, seed)
    count, classes = draw.whole(1, 40), draw.whole(2, 40)
    logits, labels = draw.normal(count, classes, scale=4.0), draw.rng.integers(0, classes, count)
    t = tensor(logits)
    expected = F.cross_entropy(t, torch.tensor(labels), reduction="none")
    expected.mean().backward()
    labels = ops.asarray(check_labels(labels, classes))
    losses, hits, gradient = SoftmaxCrossEntropy(ops)(ops.asarray(logits.T), labels)
    assert_close(ops, losses, as_host(expected))
    assert_close(ops, hits, (t.argmax(1).numpy() == ops.to_host(labels)).astype(float))
    assert_close(ops, gradient, t.grad.numpy().T)
    p = torch.softmax(t, dim=1)
    assert_close(ops, ops.softmax(ops.asarray(logits.T)), as_host(p).T)


@pytest.mark.parametrize("seed", range(8))
def test_loss_of_soft_targets(ops, seed):
    draw = Draw(ops, seed)
    count, classes = draw.whole(1, 40), draw.whole(2, 40)
    logits, labels = draw.normal(count, classes, scale=4.0), draw.rng.integers(0, classes, count)
    targets = draw.rng.dirichlet(np.ones(classes), count)
    t = tensor(logits)
    expected = F.cross_entropy(t, torch.tensor(targets), reduction="none")
    expected.mean().backward()
    soft = ops.asarray(check_targets(targets.T, classes, count))
    loss = SoftmaxCrossEntropy(ops)
    losses, _, gradient = loss(ops.asarray(logits.T), ops.asarray(labels), targets=soft)
    assert_close(ops, losses, as_host(expected))
    assert_close(ops, gradient, t.grad.numpy().T)


# Optimisers


def draw_optimiser(draw: Draw, kind: str, epsilon: float = 1e-8):
    """Ours as a function of ops, values and gradients; torch's as a function of its tensors."""
    decay = draw.one_of([0.0, 1e-4, 0.03])
    if kind in ("sgd", "momentum", "nesterov"):
        momentum = 0.0 if kind == "sgd" else draw.one_of([0.5, 0.9, 0.99])
        given = {"momentum": momentum, "nesterov": kind == "nesterov", "weight_decay": decay}
        return (lambda *v: SGD(*v, **given)), lambda t: torch.optim.SGD(t, lr=1.0, **given)
    betas = draw.one_of([0.0, 0.8, 0.9]), draw.one_of([0.9, 0.99, 0.999])
    cls = torch.optim.AdamW if kind == "adamw" else torch.optim.Adam
    return (
        lambda *v: Adam(*v, betas, epsilon, decay, decoupled=kind == "adamw"),
        lambda t: cls(t, lr=1.0, betas=betas, eps=epsilon, weight_decay=decay),
    )


def take_step(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ("sgd", "momentum", "nesterov", "adam", "adamw"))
def test_optimisers(ops, seed, kind):
    draw = Draw(ops, seed)
    ours, peers = draw_optimiser(draw, kind)
    start = draw.normal(draw.whole(1, 60))
    values, gradients, t = ops.asarray(start), ops.zeros(start.shape), tensor(start)
    optimiser, peer = ours(ops, values, gradients), peers([t])
    for _ in range(STEPS):
        gradient, rate = draw.normal(*start.shape), float(draw.rng.uniform(1e-3, 0.1))
        gradients[...], t.grad = ops.asarray(gradient), torch.tensor(gradient)
        optimiser.step(rate)
        take_step(peer, rate)
        assert_close(ops, values, as_host(t))


# Networks


class ScaledTanh(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return KINDS["scaled_tanh"](x)


MODULES = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "scaled_tanh": ScaledTanh}


def lenet5(classes: int, activation: str, squash_pools: bool) -> torch.nn.Sequential:
    act, nn = MODULES[activation], torch.nn
    squash = [act()] if squash_pools else []
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), act(), nn.AvgPool2d(2), *squash),
        *(nn.Conv2d(6, 16, 5), act(), nn.AvgPool2d(2), *squash),
        *(nn.Flatten(), nn.Linear(400, 120), act(), nn.Linear(120, 84), act()),
        nn.Linear(84, classes),
    )


def copy_of(model: Sequential, peer: torch.nn.Sequential) -> torch.nn.Sequential:
    """The peer in float64, with the model's parameters."""
    peer = peer.double()
    for ours, theirs in zip(model.parameters().values(), peer.parameters(), strict=True):
        assert tuple(theirs.shape) == ours.shape
        theirs.data.copy_(torch.tensor(model.ops.to_host(ours.value)))
    return peer


def both_gradients(model, peer, x: np.ndarray, labels: np.ndarray) -> tuple:
    """Logits of both networks, whose gradients are left where each keeps them."""
    ops = model.ops
    logits = model.forward(ops.asarray(to_chwn(x)))
    _, _, dlogits = SoftmaxCrossEntropy(ops)(logits, ops.asarray(labels))
    model.backward(dlogits)
    peer.zero_grad()
    expected, targets = peer(torch.tensor(x)), torch.tensor(labels)
    F.cross_entropy(expected, targets).backward()
    return logits, expected


@pytest.mark.parametrize("seed", range(12))
def test_random_networks(ops, seed):
    """Convolution, activation, pool, dense: as drawn, gradients of every parameter."""
    draw, nn = Draw(ops, seed), torch.nn
    size, kind, pool = draw.whole(1, 3), draw.one_of(sorted(KINDS)), draw.one_of([0, 1])
    conv, shape = draw_convolution(draw, size)
    conv.name, classes, hidden = "A", draw.whole(2, 9), draw.whole(2, 20)
    pools = (AvgPool2D, MaxPool2D)[pool], (nn.AvgPool2d, nn.MaxPool2d)[pool]
    middle = pools[0](size)
    features = int(np.prod(middle.output_shape(conv.output_shape(shape))))
    layers = [conv, ACTIVATIONS[kind](), middle, Flatten()]
    layers += [Linear(features, hidden, "B"), ACTIVATIONS[kind](), Linear(hidden, classes, "C")]
    model = Sequential(layers, shape, ops)
    model.values[...] = ops.asarray(draw.normal(*model.values.shape, scale=0.3))
    channels = conv.in_channels, conv.out_channels
    peer = nn.Sequential(
        nn.Conv2d(*channels, conv.kernel, stride=conv.stride, padding=conv.padding),
        *(MODULES[kind](), pools[1](size), nn.Flatten()),
        *(nn.Linear(features, hidden), MODULES[kind](), nn.Linear(hidden, classes)),
    )
    peer, count = copy_of(model, peer), draw.whole(1, 6)
    labels = draw.rng.integers(0, classes, count)
    logits, expected = both_gradients(model, peer, draw.normal(count, *shape), labels)
    assert_close(ops, logits, as_host(expected).T, NETWORK)
    for ours, theirs in zip(model.parameters().values(), peer.parameters(), strict=True):
        assert_close(ops, ours.gradient, theirs.grad.numpy(), NETWORK)


def draw_lenet5(ops: Ops, activation: str, squash_pools: bool, draw: Draw) -> tuple:
    classes = draw.whole(2, 40)
    settings = {"activation": activation, "squash_pools": squash_pools}
    model = LeNet5(classes, **settings, seed=draw.whole(0, 99), ops=ops)
    return model, copy_of(model, lenet5(classes, **settings)), classes


@pytest.mark.parametrize("squash_pools", (False, True))
@pytest.mark.parametrize("activation", KINDS)
def test_lenet5_gradients(ops, activation, squash_pools):
    draw = Draw(ops, squash_pools)
    model, peer, classes = draw_lenet5(ops, activation, squash_pools, draw)
    for count in (1, draw.whole(2, 40)):
        x, labels = draw.normal(count, 1, 32, 32), draw.rng.integers(0, classes, count)
        logits, expected = both_gradients(model, peer, x, labels)
        assert_close(ops, logits, as_host(expected).T, NETWORK)
        for ours, theirs in zip(model.parameters().values(), peer.parameters(), strict=True):
            assert_close(ops, ours.gradient, theirs.grad.numpy(), NETWORK)


@pytest.mark.parametrize("kind", ("sgd", "momentum", "nesterov", "adam", "adamw"))
@pytest.mark.parametrize("activation", KINDS)
@pytest.mark.parametrize("dtype", ("float64", "float32"))
def test_lenet5_training(dtype, activation, kind):
    """A new batch each step; what is compared is by how much every parameter moved.

    On NumPy: test_parity.py trains the other backends beside it. Adam's epsilon is 1e-5, for with
    less the rounding of tiny float32 gradients grows to the size of a step, in torch too.
    """
    ops = NumpyOps(dtype)
    draw = Draw(ops, len(kind))
    model, peer, classes = draw_lenet5(ops, activation, True, draw)
    start = [ops.to_host(p.value).astype(float) for p in model.parameters().values()]
    ours, peers = draw_optimiser(draw, kind, epsilon=1e-5)
    optimiser, other = ours(ops, model.values, model.gradients), peers(peer.parameters())
    for step in range(STEPS):
        rate = (1e-3 if "adam" in kind else 0.02) * (1 - step / STEPS)
        x, labels = draw.normal(8, 1, 32, 32), draw.rng.integers(0, classes, 8)
        both_gradients(model, peer, x, labels)
        optimiser.step(rate)
        take_step(other, rate)
    for p, theirs, before in zip(
        model.parameters().values(), peer.parameters(), start, strict=True
    ):
        assert error(ops.to_host(p.value) - before, as_host(theirs) - before) <= TRAINING[dtype]


def test_an_error_beyond_the_tolerance_is_seen(ops):
    draw = Draw(ops, 0)
    layer, shape = draw_convolution(draw)
    off = 1 + 10 * OPERATION[ops.dtype_name]
    settings = {"stride": layer.stride, "padding": layer.padding}
    with pytest.raises(AssertionError, match="relative error"):
        compare(ops, layer, shape, lambda *t: off * F.conv2d(*t, **settings), draw)
