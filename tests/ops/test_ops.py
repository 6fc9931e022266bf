"""Every operation, on every backend, against the naive oracle."""

from functools import cache

import numpy as np
import oracle
import pytest
import textbook
from oracle import to_chwn
from tolerances import assert_close

from lenet_xp.ops import Ops
from lenet_xp.ops.settings import StageSettings

KINDS = ("tanh", "scaled_tanh", "relu")
# N, C, H, W, KH, KW
IMAGES = ((1, 1, 7, 7, 3, 3), (3, 2, 9, 6, 2, 3), (2, 3, 8, 11, 5, 1), (2, 2, 9, 7, 4, 2))
GEOMETRIES = [
    pytest.param(*image, stride, padding, id=f"{'x'.join(map(str, image))}-s{stride}-p{padding}")
    for image in IMAGES
    for stride in (1, 2, 3)
    for padding in (0, 1, 2)
]
# N, C, H, W, size: dividing and not, a single block, a pool of one
POOLS = ((1, 1, 4, 4, 2), (3, 2, 7, 5, 2), (2, 3, 9, 8, 3), (2, 1, 3, 3, 3), (2, 2, 3, 4, 1))


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def columns_of(n, h, w, kh, kw, stride, padding):
    rows = len(oracle.positions(h, kh, stride, padding))
    return rows * len(oracle.positions(w, kw, stride, padding)) * n


@pytest.mark.parametrize("n, c, h, w, kh, kw, stride, padding", GEOMETRIES)
def test_im2col_and_col2im(ops, rng, n, c, h, w, kh, kw, stride, padding):
    x = rng.normal(size=(n, c, h, w))
    columns = ops.im2col(ops.asarray(to_chwn(x)), (kh, kw), stride, padding)
    assert_close(ops, columns, oracle.im2col(x, (kh, kw), stride, padding))

    weights = rng.normal(size=(c * kh * kw, columns_of(n, h, w, kh, kw, stride, padding)))
    folded = ops.col2im(ops.asarray(weights), (c, h, w, n), (kh, kw), stride, padding)
    assert folded.shape == (c, h, w, n) and folded.dtype == ops.dtype
    gap = oracle.adjoint_gap(weights, ops.to_host(columns), to_chwn(x), ops.to_host(folded))
    assert gap <= {"float64": 1e-13, "float32": 1e-6}[ops.dtype_name]


@pytest.mark.parametrize("n", (1, 3))
def test_image_batch(ops, rng, n):
    images = rng.integers(0, 256, (n, 5, 4), dtype=np.uint8)
    expected = [[[[images[k, i, j] * 0.02 - 0.5 for k in range(n)] for j in range(4)]
                 for i in range(5)]]  # fmt: skip
    assert_close(ops, ops.image_batch(images, 0.02, -0.5), np.array(expected))


def test_matrix_products(ops, rng):
    x, weight, bias = rng.normal(size=(4, 7)), rng.normal(size=(5, 7)), rng.normal(size=5)
    device = [ops.asarray(a) for a in (weight, x.T, bias)]
    assert_close(ops, ops.matmul(*device[:2]), oracle.linear(x, weight, np.zeros(5)).T)
    assert_close(ops, ops.affine(*device), oracle.linear(x, weight, bias).T)
    sums = [sum(column) for column in x.T.tolist()]
    assert_close(ops, ops.sum_columns(device[1]), np.array(sums))


@pytest.mark.parametrize("n, c, h, w, size", POOLS)
def test_average_pool(ops, rng, n, c, h, w, size):
    x = rng.normal(size=(n, c, h, w))
    y = oracle.average_pool(x, size)
    assert_close(ops, ops.average_pool(ops.asarray(to_chwn(x)), size), to_chwn(y))
    dy = rng.normal(size=y.shape)
    dx = ops.average_pool_backward(ops.asarray(to_chwn(dy)), (c, h, w, n), size)
    assert_close(ops, dx, to_chwn(oracle.average_pool_backward(dy, x.shape, size)))


@pytest.mark.parametrize("n, c, h, w, size", POOLS)
@pytest.mark.parametrize("ties", (False, True))
def test_max_pool(ops, rng, n, c, h, w, size, ties):
    shape = (n, c, h, w)
    x = rng.integers(0, 3, shape).astype(float) if ties else rng.normal(size=shape)
    x_device, y = ops.asarray(to_chwn(x)), oracle.max_pool(x, size)
    y_device = ops.max_pool(x_device, size)
    assert_close(ops, y_device, to_chwn(y))
    dy = rng.normal(size=y.shape)
    dx = ops.max_pool_backward(ops.asarray(to_chwn(dy)), x_device, y_device, size)
    assert_close(ops, dx, to_chwn(oracle.max_pool_backward(dy, x, size)))


@pytest.mark.parametrize("kind", KINDS)
def test_activation(ops, rng, kind):
    x = np.concatenate([rng.normal(size=(5, 9)), [[0.0, -0.0, 1, -1, 3, -3, 9, -9, 0.5]]])
    dy = rng.normal(size=x.shape)
    y = ops.activation(kind, ops.asarray(x))
    assert_close(ops, y, oracle.activation(kind, x))
    dx = ops.activation_backward(kind, ops.asarray(dy), y)
    assert_close(ops, dx, oracle.activation_backward(kind, dy, x))


def test_unknown_activation(ops):
    x, w, b = ops.zeros((2, 5, 5, 3)), ops.zeros((4, 2, 2, 2)), ops.zeros((4,))
    settings = StageSettings(w.shape, 1, 0, "gelu", 2)
    with pytest.raises(ValueError, match=r"unknown activation 'gelu'.*tanh"):
        ops.activation("gelu", x)
    with pytest.raises(ValueError, match=r"unknown activation 'gelu'.*tanh"):
        ops.activation_backward("gelu", x, x)
    if type(ops).fuses_stage is not Ops.fuses_stage:
        with pytest.raises(ValueError, match=r"unknown activation 'gelu'.*tanh"):
            ops.stage(x, w, b, settings)


@cache
def naive_stage(n, stride, padding, pool, kind):
    """(x, weight, bias, dy), y and (dx, dweight, dbias): the parts one after the other."""
    kernel = {"tanh": (3, 2), "scaled_tanh": (stride, stride), "relu": (1, 4)}[kind]
    rng = np.random.default_rng([n, stride, padding, pool])
    x, weight, bias = (rng.normal(size=s) for s in ((n, 2, 11, 10), (3, 2, *kernel), (3,)))
    z = oracle.convolution(x, weight, bias, stride, padding)
    y = oracle.average_pool(oracle.activation(kind, z), pool)
    dy = rng.normal(size=y.shape)
    dz = oracle.activation_backward(kind, oracle.average_pool_backward(dy, z.shape, pool), z)
    return (x, weight, bias, dy), y, oracle.convolution_backward(dz, x, weight, stride, padding)


@pytest.mark.parametrize("pool", (1, 2, 3))
@pytest.mark.parametrize("padding", (0, 1, 2))
@pytest.mark.parametrize("stride", (1, 2, 3))
def test_stage(ops, stride, padding, pool):
    n = 1 if (stride + padding + pool) % 2 else 3
    for kind in KINDS:
        (x, weight, bias, dy), y, (dx, dweight, dbias) = naive_stage(n, stride, padding, pool, kind)
        device = ops.asarray(to_chwn(x)), ops.asarray(weight), ops.asarray(bias)
        settings = StageSettings(weight.shape, stride, padding, kind, pool)
        for input_gradient in (True, False):
            y_device, saved = textbook.stage(ops, *device, settings)
            assert_close(ops, y_device, to_chwn(y))
            dy_device = ops.asarray(to_chwn(dy))
            into = {"dweight": ops.zeros(dweight.shape), "dbias": ops.zeros(dbias.shape)}
            into["input_gradient"] = input_gradient
            got = textbook.stage_backward(ops, dy_device, saved, device[1], settings, **into)
            assert_close(ops, into["dweight"], dweight)
            assert_close(ops, into["dbias"], dbias)
            if input_gradient:
                assert_close(ops, got, to_chwn(dx))
            else:
                assert got is None


def test_softmax(ops, rng):
    logits = rng.normal(size=(6, 5)) * 30
    _, _, gradient = oracle.cross_entropy(logits, np.zeros(6, int))
    gradient[:, 0] += 1.0  # the gradient is p - t
    p = ops.softmax(ops.asarray(logits.T))
    assert_close(ops, p, gradient.T)
    np.testing.assert_allclose(ops.to_host(p).sum(axis=0), 1.0, rtol=1e-6)


@pytest.mark.parametrize("count, classes", ((1, 2), (9, 33), (40, 4)))
def test_softmax_cross_entropy(ops, rng, count, classes):
    logits = rng.integers(-9, 9, (count, classes)) * 0.5  # halves: ties happen, and are exact
    labels = rng.integers(0, classes, count)
    losses, hits, gradient = oracle.cross_entropy(logits, labels)
    got = ops.softmax_cross_entropy(ops.asarray(logits.T), ops.asarray(labels), 0.25)
    for actual, desired in zip(got, (losses, hits, 0.25 * gradient.T), strict=True):
        assert_close(ops, actual, desired)


@pytest.mark.parametrize("count, classes", ((1, 2), (9, 33), (40, 4)))
def test_soft_targets(ops, rng, count, classes):
    logits, labels = rng.normal(size=(count, classes)) * 4, rng.integers(0, classes, count)
    targets = rng.dirichlet(np.full(classes, 0.5), count)
    losses, hits, gradient = oracle.cross_entropy(logits, labels, targets)
    device = ops.asarray(logits.T), ops.asarray(labels), 0.25, None, ops.asarray(targets.T)
    got = ops.softmax_cross_entropy(*device)
    for actual, desired in zip(got, (losses, hits, 0.25 * gradient.T), strict=True):
        assert_close(ops, actual, desired)


def test_targets_that_are_the_labels_give_what_labels_give(ops, rng):
    logits, labels = ops.asarray(rng.normal(size=(7, 40)) * 9), rng.integers(0, 7, 40)
    one_hot = ops.asarray((np.arange(7)[:, None] == labels).astype(float))
    labels = ops.asarray(labels)
    expected = ops.softmax_cross_entropy(logits, labels, 0.25)
    for a, e in zip(
        ops.softmax_cross_entropy(logits, labels, 0.25, targets=one_hot), expected, strict=True
    ):
        assert_close(ops, a, ops.to_host(e))


def test_huge_logits_stay_finite(ops):
    logits = ops.asarray(np.array([[1e4, -1e4, 0.0], [0.0, 1e4, -1e4]]))
    labels = ops.asarray(np.array([0, 0, 1]))
    losses, hits, gradient = ops.softmax_cross_entropy(logits, labels, 1.0)
    assert_close(ops, losses, np.array([0.0, 2e4, 1e4]))
    assert_close(ops, hits, np.array([1.0, 0.0, 0.0]))
    assert_close(ops, gradient, np.array([[0.0, -1.0, 1.0], [0.0, 1.0, -1.0]]))
    assert_close(ops, ops.softmax(logits), np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))


def test_windows_lie_side_by_side_and_within_the_image_unless_told_otherwise(ops, rng):
    x = rng.normal(size=(2, 3, 6, 7))
    columns = ops.im2col(ops.asarray(to_chwn(x)), (3, 2))
    assert_close(ops, columns, oracle.im2col(x, (3, 2), 1, 0))
    folded = ops.col2im(columns, (3, 6, 7, 2), (3, 2))
    assert_close(ops, folded, ops.to_host(ops.col2im(columns, (3, 6, 7, 2), (3, 2), 1, 0)))
