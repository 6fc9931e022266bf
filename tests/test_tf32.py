"""--tf32: tensor cores, a GPU's or as tests/cuda_on_cpu.h plays them, against products of rounded
numbers."""

import sys

import cupy_stand_in
import numpy as np
import pytest
from tolerances import OPERATION, TENSOR_SUMS, TF32, error

from lenet_xp.benchmark.ours import PREPROCESSING, random_batch
from lenet_xp.commands.terminal import run
from lenet_xp.commands.train import train
from lenet_xp.errors import InputError
from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5
from lenet_xp.ops import BackendUnavailable, Ops, get_ops
from lenet_xp.ops.cupy_ops import CupyOps
from lenet_xp.ops.numpy_ops import NumpyOps

state = cupy_stand_in.state
KEPT_BITS = 11  # of a mantissa, the leading one among them

# x (C, H, W, N), weights (O, C, KH, KW), stride, padding, pool; the first is C3
STAGES = (
    ((6, 14, 14, 3), (16, 6, 5, 5), 1, 0, 2),
    ((6, 14, 14, 260), (16, 6, 5, 5), 1, 0, 2),
    ((13, 8, 11, 20), (28, 13, 3, 2), 2, 1, 3),
    ((15, 7, 6, 9), (18, 15, 3, 3), 1, 1, 1),
)
DENSE = ((120, 400, 3), (34, 70, 33), (84, 120, 300))  # outputs, inputs, images


def rounded(values: np.ndarray) -> np.ndarray:
    """To TF32, halves away from zero."""
    mantissa, exponent = np.frexp(np.asarray(values, np.float32).astype(np.float64))
    whole = np.floor(np.abs(mantissa) * 2**KEPT_BITS + 0.5)
    return np.ldexp(np.copysign(whole / 2**KEPT_BITS, mantissa), exponent)


def draw(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.normal(size=shape) for shape in shapes]


def dense(ops: Ops, weight, x, bias, dy) -> list[np.ndarray]:
    """y, dx, dW and db of a dense layer with no activation."""
    weight, x, bias, dy = map(ops.asarray, (weight, x, bias, dy))
    y = ops.dense(weight, x, bias, None)
    into = {"dweight": ops.zeros(weight.shape), "dbias": ops.zeros(bias.shape)}
    dx = ops.dense_backward(dy, y, x, weight, **into, activation=None, input_gradient=True)
    return [ops.to_host(a).astype(float) for a in (y, dx, *into.values())]


def staged(ops: Ops, weight, x, bias, dy, stride: int, padding: int, pool: int) -> list:
    """y, dx, dW and db of a stage."""
    weight, x, bias, dy = map(ops.asarray, (weight, x, bias, dy))
    settings = {"stride": stride, "padding": padding, "activation": "relu", "pool": pool}
    y, saved = ops.stage(x, weight, bias, **settings)
    into = {"dweight": ops.zeros(weight.shape), "dbias": ops.zeros(bias.shape)}
    dx = ops.stage_backward(dy, saved, weight, **into, input_gradient=True, **settings)
    return [ops.to_host(a).astype(float) for a in (y, dx, *into.values())]


def assert_rounds(compute, weight, x, bias, dy) -> None:
    """What is multiplied is rounded to nearest, nothing else; and it is not what float32 gives."""
    given, plain = (compute(CupyOps(tf32=t), weight, x, bias, dy) for t in (True, False))
    exact = compute(Ops(np, "float64"), rounded(weight), rounded(x), bias, dy)
    for actual, desired in zip(given, exact, strict=True):
        assert error(actual, desired) <= TENSOR_SUMS
    assert error(given[0], plain[0]) <= TF32
    for actual, single in zip(given[:3], plain[:3], strict=True):  # biases see dy alone
        assert error(actual, single) > 10 * OPERATION["float32"]


@pytest.mark.parametrize("outputs, inputs, count", DENSE)
def test_dense_layers_multiply_rounded_numbers(tensor_cores, outputs, inputs, count):
    shapes = (outputs, inputs), (inputs, count), (outputs,), (outputs, count)
    weight, x, bias, dy = draw(*shapes)
    assert_rounds(dense, weight, x, bias, rounded(dy))


@pytest.mark.parametrize("shape, kernels, stride, padding, pool", STAGES)
def test_stages_multiply_rounded_numbers(tensor_cores, shape, kernels, stride, padding, pool):
    rows, cols = (
        ((s + 2 * padding - k) // stride + 1) // pool
        for s, k in zip(shape[1:3], kernels[2:], strict=True)
    )
    weight, x, bias, dy = draw(kernels, shape, kernels[:1], (kernels[0], rows, cols, shape[3]))
    # A pool's share of dy keeps its bits where the pool has a power of two of pixels.
    dy = rounded(dy) if pool < 3 else rounded(dy) * 0 + pool**2

    def compute(ops, *arrays):
        return staged(ops, *arrays, stride=stride, padding=padding, pool=pool)

    assert_rounds(compute, weight, x, bias, dy)


def gradients(ops: Ops, count: int) -> np.ndarray:
    images, labels = random_batch(count)
    model = LeNet5(ops=ops)
    x = ops.image_batch(images, *PREPROCESSING.scale_and_shift())
    loss = SoftmaxCrossEntropy(ops)
    model.backward(loss(model.forward(x), ops.asarray(labels))[2])
    return ops.to_host(model.gradients)


def test_the_networks_gradients_stay_near(tensor_cores):
    exact = gradients(NumpyOps("float64"), 20)
    single, short = (gradients(CupyOps(tf32=tf32), 20) for tf32 in (False, True))
    assert error(single, exact) < 2e-5 < error(short, exact) < TF32


def test_neither_the_order_of_threads_nor_graphs_change_a_bit(stand_in):
    first = gradients(CupyOps(tf32=True), 35)
    state.reversed = True
    assert np.array_equal(first, gradients(CupyOps(tf32=True), 35))


def test_only_what_fills_the_tiles_is_done_on_tensor_cores(tensor_cores, monkeypatch):
    """C1, with one input channel, stays in float32; so does a stage whose kernels do not fit."""
    launched = []
    ops = CupyOps(tf32=True)
    launch = ops._kernels.launch

    def listed(file: str, *arguments, **settings) -> None:
        launched.append(file)
        launch(file, *arguments, **settings)

    monkeypatch.setattr(ops._kernels, "launch", listed)
    gradients(ops, 2)
    stages = [file for file in launched if file.startswith("stage")]
    assert stages[:2] == ["stage_forward", "stage_forward_tf32"]
    assert stages[2:] == ["stage_backward_tf32", "stage_backward"]
    assert launched.count("dense_tf32") == 6 and "dense" not in launched
    launched.clear()
    weight, x, bias = draw((16, 8, 7, 7), (8, 9, 9, 2), (16,))
    staged(ops, weight, x, bias, np.ones((16, 1, 1, 2)), stride=1, padding=0, pool=2)
    assert not any(file.endswith("tf32") for file in launched)


def test_a_sibling_rounds_as_well(tensor_cores):
    assert np.array_equal(
        gradients(CupyOps(tf32=True).sibling(), 3), gradients(CupyOps(tf32=True), 3)
    )


def test_what_has_no_tf32_says_so(stand_in, monkeypatch):
    for backend, dtype in (("numpy", "float32"), ("cupy", "float64"), ("auto", "float64")):
        with pytest.raises(InputError, match="TF32 is for float32 on a CUDA GPU"):
            get_ops(backend, dtype, tf32=True)
    state.capability = 7, 5
    for backend in ("cupy", "auto"):
        with pytest.raises(InputError, match=r"8\.0 or later, and that of this stand-in is 7\.5"):
            get_ops(backend, tf32=True)
        assert get_ops(backend).name == "cupy"
    state.capability = 8, 0
    assert get_ops("auto", tf32=True).name == "cupy"
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendUnavailable, match="TF32 needs a CUDA GPU, and CuPy cannot"):
        get_ops("auto", tf32=True)


@pytest.mark.parametrize("backend", ("numpy", "auto", "cupy"))
def test_a_user_without_a_gpu_is_told_in_one_line(backend, monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "cupy", None)
    command = ["--tf32", "--backend", backend, "--samples", "15", "--out", str(tmp_path / "run")]
    assert run(train, command) == 2
    captured = capsys.readouterr().err.strip()
    assert captured.startswith("error: TF32") and "\n" not in captured
    assert not (tmp_path / "run").exists()
