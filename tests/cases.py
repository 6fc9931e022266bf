"""Calls of every operation of the contract, to run on any backend and compare.

A case is a function of an ops object and of `Inputs`, which draws the same values for every
backend; it returns the device arrays that the operation gave.
"""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import textbook

from lenet_xp.ops import Array, Ops
from lenet_xp.ops.settings import AdamSettings, SGDSettings, StageSettings


class Inputs:
    """Draws input arrays for one ops object, and keeps copies of their values."""

    def __init__(self, ops: Ops, seed: int = 0):
        self.ops = ops
        self.rng = np.random.default_rng(seed)
        self.lent: list[tuple[Array, np.ndarray]] = []

    def __call__(self, *shape: int) -> Array:
        """Normal values, which the operation must not change."""
        return self._lend(self.rng.normal(size=shape))

    def coarse(self, *shape: int) -> Array:
        """Small whole numbers, so that ties and zeros are common."""
        return self._lend(self.rng.integers(-2, 3, shape).astype(np.float64))

    def labels(self, classes: int, count: int) -> Array:
        return self._lend(self.rng.integers(0, classes, count))

    def targets(self, classes: int, count: int) -> Array:
        """Columns that are distributions; some classes have no part in theirs."""
        parts = self.rng.uniform(size=(classes, count)) ** 2 + np.eye(classes, count)
        parts *= (self.rng.random((classes, count)) < 0.7) | (np.eye(classes, count) > 0)
        return self._lend(parts / parts.sum(axis=0))

    def mutable(self, *shape: int) -> Array:
        """Positive values, which the operation changes."""
        return self.ops.asarray(self.rng.uniform(0.5, 1.5, shape))

    def _lend(self, host: np.ndarray) -> Array:
        array = self.ops.asarray(host.copy())
        self.lent.append((array, self.ops.to_host(array)))
        return array

    def assert_untouched(self) -> None:
        for i, (array, before) in enumerate(self.lent):
            same = np.array_equal(self.ops.to_host(array), before)
            assert same, f"input {i} of shape {before.shape} was changed"

    def overwrite(self) -> None:
        for array, _ in self.lent:
            array[...] = array * 0 + 1


Case = Callable[[Ops, Inputs], tuple]
CASES: dict[str, list[Case]] = {}


def case(name: str, **axes: tuple) -> Callable[[Case], Case]:
    """Register a case of an operation, once for every combination of the axes."""

    def register(function: Case) -> Case:
        for values in product(*axes.values()):
            settings = dict(zip(axes, values, strict=True))
            bound = lambda ops, draw, s=settings: function(ops, draw, **s)  # noqa: E731
            CASES.setdefault(name, []).append(bound)
        return function

    return register


def cases() -> Iterator[tuple[str, Case]]:
    return ((name, function) for name, functions in CASES.items() for function in functions)


# (C, H, W, N), kernel
IMAGES = (((3, 9, 8, 4), (3, 2)), ((1, 9, 9, 1), (3, 3)), ((2, 7, 11, 33), (1, 4)))
DEEP = (((11, 6, 5, 3), (3, 2)),)  # more channels than a block of a GPU has warps
KINDS = ("tanh", "scaled_tanh", "relu")
STAGES = (  # activation, pool, squash
    *(("tanh", 2, "tanh"), ("scaled_tanh", 1, None), ("relu", 3, "scaled_tanh")),
    ("relu", 2, None),
)


@case("im2col", image=IMAGES, stride=(1, 2, 3), padding=(0, 1, 2))
def _(ops, draw, image, stride, padding):
    return (ops.im2col(draw(*image[0]), image[1], stride, padding),)


@case("col2im", image=IMAGES, stride=(1, 2, 3), padding=(0, 1, 2))
def _(ops, draw, image, stride, padding):
    (c, h, w, n), (kh, kw) = image
    rows, cols = (h + 2 * padding - kh) // stride + 1, (w + 2 * padding - kw) // stride + 1
    columns = draw(c * kh * kw, rows * cols * n)
    return (ops.col2im(columns, (c, h, w, n), (kh, kw), stride, padding),)


@case("_pad", padding=(1, 2))
def _(ops, draw, padding):
    return (ops._pad(draw(2, 3, 4, 5), padding),)


@case("matmul", transposed=(False, True), depth=(7, 40))
def _(ops, draw, transposed, depth):
    a, b = draw(5, depth), draw(3, depth).T if transposed else draw(depth, 3)
    out = ops.zeros((5, 3))
    assert ops.matmul(a, b, out=out) is out
    return ops.matmul(a, b), out


@case("affine")
def _(ops, draw):
    return (ops.affine(draw(5, 7), draw(7, 3), draw(5)),)


@case("dense", kind=(None, *KINDS), count=(3, 33))
def _(ops, draw, kind, count):
    return (textbook.dense(ops, draw(5, 7), draw(7, count), draw(5), kind)[0],)


@case("dense_backward", kind=(None, *KINDS), size=((5, 7, 3), (34, 70, 33)))
def _(ops, draw, kind, size):
    outputs, inputs, count = size
    weight, x, bias = draw(outputs, inputs), draw(inputs, count), draw(outputs)
    y, saved = textbook.dense(ops, weight, x, bias, kind)
    dweight, dbias, dy = ops.zeros(weight.shape), ops.zeros(bias.shape), draw(outputs, count)
    arguments = ops, dy, y, x, weight, saved, kind
    into = {"dweight": dweight, "dbias": dbias}
    assert textbook.dense_backward(*arguments, **into, input_gradient=False) is None
    return textbook.dense_backward(*arguments, **into, input_gradient=True), dweight, dbias


@case("fuses_stage")
def _(ops, draw):
    assert isinstance(ops.fuses_stage(stage_settings(STAGES[0], (4, 1, 3, 3))), bool)
    return ()


@case("multiply")
def _(ops, draw):
    a, b, out = draw(5, 7), draw(5, 1), ops.zeros((5, 7))
    assert ops.multiply(a, b, out=out) is out
    return ops.multiply(a, a), ops.multiply(a, b), out


@case("add")
def _(ops, draw):
    a = draw(5, 7)
    return ops.add(a, draw(5, 7)), ops.add(a, draw(5, 1))


@case("sum_columns")
def _(ops, draw):
    x, out = draw(5, 70), ops.zeros((5,))
    assert ops.sum_columns(x, out=out) is out
    return ops.sum_columns(x), out


@case("reshape")
def _(ops, draw):
    x = draw(2, 3, 4, 5)
    return ops.reshape(x, (6, 20)) * 1.0, ops.reshape(x[:, 1:, :3, :], (4, -1)) * 1.0


@case("average_pool", size=(1, 2, 3))
def _(ops, draw, size):
    return (ops.average_pool(draw(2, 9, 7, 5), size),)


@case("average_pool_backward", size=(1, 2, 3))
def _(ops, draw, size):
    return (ops.average_pool_backward(draw(2, 9 // size, 7 // size, 5), (2, 9, 7, 5), size),)


@case("max_pool", size=(1, 2, 3))
def _(ops, draw, size):
    return (ops.max_pool(draw.coarse(2, 9, 7, 5), size),)


@case("max_pool_backward", size=(1, 2, 3))
def _(ops, draw, size):
    x = draw.coarse(2, 9, 7, 5)
    y = ops.max_pool(x, size)
    return (ops.max_pool_backward(draw(*y.shape), x, y, size),)


@case("activation", kind=KINDS)
def _(ops, draw, kind):
    return ops.activation(kind, draw(2, 9, 7, 5)), ops.activation(kind, draw.coarse(6, 4))


@case("activation_backward", kind=KINDS)
def _(ops, draw, kind):
    y = ops.activation(kind, draw.coarse(2, 9, 7, 5))
    return (ops.activation_backward(kind, draw(*y.shape), y),)


def stage_settings(stage: tuple, kernels: tuple) -> StageSettings:
    return StageSettings(kernels, 1, 2, *stage)


@case("stage", image=DEEP, stage=STAGES[:1])
@case("stage", image=IMAGES, stage=STAGES)
def _(ops, draw, image, stage):
    x, weight, bias = draw(*image[0]), draw(4, image[0][0], *image[1]), draw(4)
    settings = stage_settings(stage, weight.shape)
    return (textbook.stage(ops, x, weight, bias, settings)[0],)


@case("stage_backward", image=DEEP, stage=STAGES[:1])
@case("stage_backward", image=IMAGES, stage=STAGES)
def _(ops, draw, image, stage):
    x, weight, bias = draw(*image[0]), draw(4, image[0][0], *image[1]), draw(4)
    settings = stage_settings(stage, weight.shape)
    y, saved = textbook.stage(ops, x, weight, bias, settings)
    dweight, dbias = ops.zeros(weight.shape), ops.zeros(bias.shape)
    into = {"dweight": dweight, "dbias": dbias, "input_gradient": True}
    dy = draw(*y.shape)
    return textbook.stage_backward(ops, dy, saved, weight, settings, **into), dweight, dbias


@case("with_row", value=(0.0, -1.5))
def _(ops, draw, value):
    return (ops.with_row(draw(33, 7), value),)


@case("mean")
def _(ops, draw):
    return (ops.mean([draw(33, 7), draw(33, 7), draw(33, 7)]),)


@case("softmax")
def _(ops, draw):
    return (ops.softmax(draw(33, 7) * 20.0),)


@case("softmax_cross_entropy")
def _(ops, draw):
    return (
        *ops.softmax_cross_entropy(draw(33, 70), draw.labels(33, 70), 1 / 70),
        *ops.softmax_cross_entropy(draw.coarse(5, 64), draw.labels(5, 64), 0.5),
    )


LOSSES = ({}, {"compete": False}, {"rivals": 4})


@case("softmax_cross_entropy", soft=(False, True), how=LOSSES, count=(3, 40))
@case("capture", soft=(False, True), how=LOSSES, count=(3,))
def _(ops, draw, soft, how, count):
    """Losses and hits go into longer vectors; a repetition writes to another place."""
    logits, labels, place = draw(5, count), draw.labels(5, count), np.array([2])
    losses, hits = ops.zeros((2 * count + 9,)), ops.zeros((2 * count + 9,))
    into, targets = (losses, hits, place), draw.targets(5, count) if soft else None
    repeat = ops.capture(
        lambda: ops.softmax_cross_entropy(logits, labels, 0.5, into, targets, **how)
    )
    place[0] = count + 5
    gradient = repeat()[2]
    return losses * 1.0, hits * 1.0, gradient * 1.0


@case("softmax_cross_entropy", size=((33, 70), (2, 1), (7, 32)))
def _(ops, draw, size):
    """With targets; those of another distribution come last, from memory in another order."""
    logits, labels = draw(*size), draw.labels(*size)
    soft = ops.softmax_cross_entropy(logits, labels, 0.5, targets=draw.targets(*size))
    other = ops.reshape(draw.targets(*size).T, size[::-1]).T
    return *soft, *ops.softmax_cross_entropy(logits, labels, 0.5, targets=other)


@case("capture")
def _(ops, draw):
    """A captured loss reads the targets of now."""
    logits, labels, targets = draw(5, 40), draw.labels(5, 40), ops.zeros((5, 40))
    repeat = ops.capture(lambda: ops.softmax_cross_entropy(logits, labels, 0.5, targets=targets))
    results = []
    for _ in range(2):
        targets[...] = draw.targets(5, 40)
        results += [each * 1.0 for each in repeat()]
    return tuple(results)


@case("capture", method=("sgd", "nesterov", "adam"))
def _(ops, draw, method):
    """A captured update reads the current rates and step number."""
    value, first, second = draw.mutable(70), draw.mutable(70), draw.mutable(70)
    gradient, rates = draw(70), np.array([0.1, 1.0])

    def update() -> None:
        if method == "adam":
            settings = AdamSettings(weight_decay=0.1, decoupled=True)
            ops.adam_update(value, gradient, first, second, rates, settings)
        else:
            momentum = 0.9 if method == "nesterov" else 0.0
            velocity = first if momentum else None
            settings = SGDSettings(momentum, nesterov=bool(momentum))
            ops.sgd_update(value, gradient, velocity, rates, settings)

    repeat = ops.capture(update)
    for rates[0], rates[1] in ((0.02, 2.0), (0.3, 3.0)):
        repeat()
    return value * 1.0, first * 1.0, second * 1.0


@case("sgd_update", method=((0.0, False), (0.9, False), (0.9, True)), weight_decay=(0.0, 0.1))
def _(ops, draw, method, weight_decay):
    momentum, nesterov = method
    settings = SGDSettings(momentum, nesterov, weight_decay)
    value, velocity = draw.mutable(101), draw.mutable(101) if momentum else None
    for learning_rate in (0.1, 0.02):
        ops.sgd_update(value, draw(101), velocity, (learning_rate, 0), settings)
    return (value,) if velocity is None else (value, velocity)


@case("adam_update", weight_decay=(0.0, 0.1), decoupled=(False, True), moments=(0.0, 1.0))
def _(ops, draw, weight_decay, decoupled, moments):
    value, mean, square = draw.mutable(101), draw.mutable(101), draw.mutable(101)
    mean[...] = mean * moments  # they start at zero, where rounding shows most
    square[...] = square * moments
    for step, learning_rate in enumerate((0.1, 0.02), start=1):
        settings = AdamSettings(weight_decay=weight_decay, decoupled=decoupled)
        ops.adam_update(value, draw(101), mean, square, (learning_rate, step), settings)
    return value, mean, square


@case("asarray")
def _(ops, draw):
    host = np.arange(6).reshape(2, 3)
    assert ops.asarray(host).dtype == ops.asarray(host.astype(np.int32)).dtype == ops.xp.int64
    return ops.asarray(host / 7), ops.as_float(ops.asarray(host) == 2)


@case("image_batch", count=(1, 5))
def _(ops, draw, count):
    images = draw.rng.integers(0, 256, (count, 4, 6), dtype=np.uint8)
    before = images.copy()
    batch = ops.image_batch(images, 1 / 127.5, -1.0)
    assert np.array_equal(images, before)
    images[...] = 0  # the batch is no view of them
    return (batch,)


@case("image_batch", count=(1, 5, 40), colours=((), (3,)))
@case("resident", count=(5,), colours=((), (3,)))
def _(ops, draw, count, colours):
    """Some of the images and all; others in a repetition."""
    images = draw.rng.integers(0, 256, (7, 4, 6, *colours), dtype=np.uint8)
    held = ops.resident(images)
    chosen = draw.rng.integers(0, 7, count)
    source = images if held is None else held
    repeat = ops.capture(lambda: ops.image_batch(source, 1 / 127.5, -1.0, chosen=chosen))
    first = repeat() * 1.0
    chosen[...] = draw.rng.integers(0, 7, count)
    return first, repeat() * 1.0, ops.image_batch(images, 0.5, 1.0)


@case("warped_batch", count=(1, 5, 40))
def _(ops, draw, count):
    """Maps of exact binary fractions, which every backend rounds alike; others in a repetition."""
    size, grid = 6, np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    images = draw.rng.integers(0, 256, (7, size, size), dtype=np.uint8)
    y, x = (each.reshape(-1) for each in np.meshgrid(grid, grid, indexing="ij"))
    basis = ops.asarray(np.stack([np.ones(size**2), x, y, np.floor(x * y)]))
    chosen, maps = np.zeros(count, np.int64), np.zeros((2, count, 4), np.float32)

    def draw_others() -> None:
        chosen[...] = draw.rng.integers(0, 7, count)
        maps[...] = draw.rng.integers(-8, 9, maps.shape) / 8.0

    draw_others()
    held = ops.resident(images)
    source = images if held is None else held
    repeat = ops.capture(lambda: ops.warped_batch(source, 0.25, -1.0, chosen, maps, basis))
    first = repeat() * 1.0
    draw_others()
    return first, repeat() * 1.0


@case("capture")
def _(ops, draw):
    """A captured pass over every forward operation reads the current input."""
    images = draw.rng.integers(0, 256, (2, 9, 8), dtype=np.uint8)
    kernel, bias, dense = draw(3, 1, 2, 2), draw(3), draw(4, 12)

    def forward():
        x = ops.image_batch(images, 1 / 127.5, -1.0)
        settings = StageSettings((3, 1, 2, 2), 1, 1, "tanh", 2)
        y, _ = textbook.stage(ops, x, kernel, bias, settings)  # (3, 5, 4, 2)
        y = ops.max_pool(ops.average_pool(ops.activation("scaled_tanh", y), 1), 2)  # (3, 2, 2, 2)
        columns = ops.im2col(y, (2, 2), padding=0)  # (12, 2)
        y = ops.activation("relu", ops.affine(dense, columns, bias[:1] + 0.0 * dense[:, 0]))
        return ops.softmax(ops.matmul(dense.T, y))

    replay = ops.capture(forward)
    images[...] = draw.rng.integers(0, 256, images.shape, dtype=np.uint8)
    replayed = ops.to_host(replay())
    assert np.allclose(replayed, ops.to_host(forward()), rtol=0, atol=1e-6)
    return (ops.asarray(replayed),)


@case("as_float")
def _(ops, draw):
    return (ops.as_float(draw(5, 7) > 0),)


@case("to_host")
def _(ops, draw):
    x = draw(5, 7)
    host = ops.to_host(x)
    assert isinstance(host, np.ndarray) and host.dtype == np.dtype(ops.dtype_name)
    host[...] = 0.0  # a copy: x keeps its values
    return (x * 1.0,)


@case("zeros")
def _(ops, draw):
    return (ops.zeros((2, 3)),)


@case("arange")
def _(ops, draw):
    assert ops.arange(9).dtype == ops.xp.int64
    return (ops.as_float(ops.arange(9) == ops.asarray(np.arange(9))),)


@case("sibling")
def _(ops, draw):
    other = ops.sibling()
    assert type(other) is type(ops) and other is not ops and other.dtype == ops.dtype
    return (other.affine(draw(5, 7), draw(7, 3), draw(5)),)


# Operations of x (2, 6, 6, 3), a weight (4, 2, 3, 3) and a bias
STAGE = StageSettings((4, 2, 3, 3), 1, 1, "relu", 2, "tanh")
CAPTURED = {
    "im2col": lambda ops, x, w, b: ops.im2col(x, (3, 3), padding=1),
    "col2im": lambda ops, x, w, b: ops.col2im(
        ops.im2col(x, (3, 3), 1, 1), (2, 6, 6, 3), (3, 3), 1, 1
    ),
    "affine": lambda ops, x, w, b: ops.affine(w[:, 0, 0, :], x[0, 0, :3, :], b),
    "dense": lambda ops, x, w, b: textbook.dense(ops, w[:, 0, 0, :], x[0, 0, :3, :], b, "tanh")[0],
    "multiply": lambda ops, x, w, b: ops.multiply(x, w[:2, 0, :1, :1][..., None]),
    "add": lambda ops, x, w, b: ops.add(x, b[:2][:, None, None, None]),
    "sum_columns": lambda ops, x, w, b: ops.sum_columns(x[0, 0, :, :]),
    "reshape": lambda ops, x, w, b: ops.reshape(x[:, 1:5, 1:5, :], (2, -1)),
    "average_pool": lambda ops, x, w, b: ops.average_pool(x, 2),
    "average_pool_backward": lambda ops, x, w, b: ops.average_pool_backward(x, (2, 13, 12, 3), 2),
    "max_pool": lambda ops, x, w, b: ops.max_pool(x, 2),
    "max_pool_backward": lambda ops, x, w, b: ops.max_pool_backward(
        ops.average_pool(x, 5), x, ops.max_pool(x, 5), 5
    ),
    "activation": lambda ops, x, w, b: ops.activation("scaled_tanh", x),
    "activation_backward": lambda ops, x, w, b: ops.activation_backward("scaled_tanh", x, x),
    "stage": lambda ops, x, w, b: textbook.stage(ops, x, w, b, STAGE)[0],
    "stage_backward": lambda ops, x, w, b: stage_backward(ops, x, w, b),
    "softmax": lambda ops, x, w, b: ops.softmax(x[0, 0, :, :]),
    "softmax_cross_entropy": lambda ops, x, w, b: ops.softmax_cross_entropy(
        x[0, 0, :, :], ops.asarray(np.array([0, 5, 2])), 0.5
    )[2],
    "chain": lambda ops, x, w, b: ops.matmul(
        w[:, 0, 0, :], ops.activation("tanh", ops.average_pool(x, 2))[0, 0, :, :]
    ),
}


def stage_backward(ops, x, w, b):
    y, saved = textbook.stage(ops, x, w, b, STAGE)
    into = {"dweight": ops.zeros(w.shape), "dbias": ops.zeros(b.shape), "input_gradient": True}
    return textbook.stage_backward(ops, y, saved, w, STAGE, **into)


@case("capture", operation=tuple(CAPTURED))
def _(ops, draw, operation):
    """A repetition reads the current values of inputs and parameters."""
    x, weight, bias = ops.zeros((2, 6, 6, 3)), ops.zeros((4, 2, 3, 3)), ops.zeros((4,))
    repeat = ops.capture(lambda: CAPTURED[operation](ops, x, weight, bias))
    results = []
    for _ in range(2):
        x[...], weight[...], bias[...] = draw(2, 6, 6, 3), draw(4, 2, 3, 3), draw(4)
        results.append(repeat() * 1.0)
    return tuple(results)


@case("capture", operation=tuple(CAPTURED))
def _(ops, draw, operation):
    """With constant parameters, frozen or not makes no difference."""
    x, weight, bias = ops.zeros((2, 6, 6, 3)), draw(4, 2, 3, 3), draw(4)
    repeat = ops.capture(lambda: CAPTURED[operation](ops, x, weight, bias), frozen=True)
    x[...] = draw(2, 6, 6, 3)
    return (repeat() * 1.0,)


@case("synchronize")
def _(ops, draw):
    y = ops.affine(draw(5, 7), draw(7, 3), draw(5))
    ops.synchronize()
    return (y,)


@case("reuse")
def _(ops, draw):
    """What was written elsewhere before its place is taken again stays, in repetitions, too."""
    given, sums = [draw(6, 40) for _ in range(3)], [ops.zeros((6,)) for _ in range(3)]

    def compute() -> None:
        for x, out in zip(given, sums, strict=True):
            ops.reuse()
            ops.sum_columns(ops.activation("relu", ops.activation("tanh", x)), out=out)

    repeat = ops.capture(compute)
    for out in sums:
        out[...] = out * 0.0
    repeat()
    return tuple(out * 1.0 for out in sums)


@case("use_device")
def _(ops, draw):
    for number in (0, 7):  # as many as there are, again from the first
        ops.use_device(number)
    return (ops.affine(draw(5, 7), draw(7, 3), draw(5)),)


@case("device_name")
def _(ops, draw):
    assert isinstance(ops.device_name, str)
    return ()
