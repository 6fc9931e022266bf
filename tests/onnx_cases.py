"""The node cases of the ONNX backend tests for this package's operators, and how each runs.

`onnx_cases` reads them from the onnx package. `plan` says through which part of the package a case
runs, or raises `OutOfScope` with the reason. Everything goes in and comes out in ONNX's own layout,
image index first; the plans turn it at the border.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from oracle import to_chwn
from tolerances import ONNX, error

from lenet_xp.layers import AvgPool2D, Conv2D, Flatten, Layer, Linear, MaxPool2D, ReLU, Tanh
from lenet_xp.losses import SoftmaxCrossEntropy, check_labels
from lenet_xp.ops import Array, Ops
from lenet_xp.optim import SGD, Adam

LATE = 10**6  # the step of Adam's that corrects no bias any more: 0.95^LATE is 0


class Case(NamedTuple):
    """One node with its attributes, its inputs and its expected outputs."""

    name: str
    operator: str
    attributes: dict[str, Any]
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]


class OutOfScope(Exception):
    """A case needs what the package does not have."""


class Plan(NamedTuple):
    """The part of the package that implements the operator, and how it runs the case."""

    through: str
    run: Callable[[Ops], list[np.ndarray]]


def onnx_cases() -> tuple[list[Case], int]:
    """The cases of one node of our operators, and how many more are such a case written out.

    The latter, named *_expanded, hold the same arrays with a graph of other operators.
    """
    from onnx.backend.test.case.node import collect_testcases
    from onnx.helper import get_attribute_value

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other operators' cases divide by zero on purpose
        models = collect_testcases(None)  # of every operator
    cases = []
    for each in models:
        node = each.model.graph.node[0]
        if len(each.model.graph.node) > 1 or node.op_type not in PLANS:
            continue
        attributes = {a.name: get_attribute_value(a) for a in node.attribute}
        attributes = {k: v.decode() if type(v) is bytes else v for k, v in attributes.items()}
        for inputs, outputs in each.data_sets:
            cases.append(Case(each.name, node.op_type, attributes, list(inputs), list(outputs)))
    single = {case.name for case in cases}
    return cases, sum(m.name.partition("_expanded")[0] in single - {m.name} for m in models)


def plan(case: Case) -> Plan:
    """Return how a case runs; OutOfScope if it cannot."""
    if case.inputs[0].dtype.kind != "f":
        raise OutOfScope(f"dtype {case.inputs[0].dtype}")
    return PLANS[case.operator](case)


def check(case: Case, ops: Ops) -> None:
    """Run a case; AssertionError unless every output is as expected."""
    results = plan(case).run(ops)
    assert len(results) == len(case.outputs), f"{case.name}: {len(results)} outputs"
    for actual, desired in zip(results, case.outputs, strict=True):
        assert actual.shape == desired.shape, f"{case.name}: shape {actual.shape}"
        if desired.dtype.kind == "i":
            assert np.array_equal(actual, desired), f"{case.name}: other indices"
            continue
        gap, limit = error(actual.astype(float), desired.astype(float)), ONNX[ops.dtype_name]
        assert gap <= limit, f"{case.name}: relative error {gap:.2e} exceeds {limit:.0e}"


# To the device and back


def attached(layer: Layer, ops: Ops, *parameters: np.ndarray) -> Layer:
    """The layer with these parameters."""
    flat = np.concatenate([np.zeros(0), *(p.ravel() for p in parameters)])
    layer.attach(ops, ops.asarray(flat), ops.zeros(flat.shape))
    return layer


def home(ops: Ops, array: Array) -> np.ndarray:
    """A result on the host, image index first; its dtype must be that of ops."""
    assert array.dtype == ops.dtype, f"dtype {array.dtype}, not {ops.dtype_name}"
    return np.moveaxis(ops.to_host(array), -1, 0)


def through_layer(case: Case, layer: Layer, *parameters: np.ndarray, note: str = "") -> Plan:
    def run(ops: Ops) -> list[np.ndarray]:
        x = ops.asarray(to_chwn(case.inputs[0]))
        return [home(ops, attached(layer, ops, *parameters).forward(x))]

    return Plan(type(layer).__name__ + note, run)


# Convolution and pools


class Window(NamedTuple):
    kernel: tuple[int, int]
    stride: int
    padding: int


def window(case: Case) -> Window:
    """Kernel, stride and padding of a convolution or pool."""
    given, x = case.attributes, case.inputs[0]
    rank = x.ndim - 2
    if rank != 2:
        raise OutOfScope(f"{rank}-D")
    if max(given.get("dilations", [1])) > 1:
        raise OutOfScope("dilation")
    if given.get("group", 1) > 1:
        raise OutOfScope("groups")
    if given.get("ceil_mode", 0):
        raise OutOfScope("ceil_mode")
    kernel = given["kernel_shape"]
    strides = given.get("strides", [1, 1])
    pads = given.get("pads", [0] * 4)
    if given.get("auto_pad", "NOTSET").startswith("SAME"):
        steps = [-(-size // stride) for size, stride in zip(x.shape[2:], strides, strict=True)]
        total = [
            max((n - 1) * stride + k - size, 0)
            for n, stride, k, size in zip(steps, strides, kernel, x.shape[2:], strict=True)
        ]
        pads = [t // 2 for t in total] + [t - t // 2 for t in total]
    if len(set(pads)) > 1:
        raise OutOfScope("asymmetric padding")
    if len(set(strides)) > 1:
        raise OutOfScope("a stride for each axis")
    return Window(tuple(kernel), strides[0], pads[0])


def convolution(case: Case) -> Plan:
    at = window(case)
    weight = case.inputs[1]
    bias = case.inputs[2] if len(case.inputs) > 2 else np.zeros(len(weight))
    layer = Conv2D(weight.shape[1], len(weight), *at)
    return through_layer(case, layer, weight, bias)


def is_block(at: Window) -> bool:
    """Whether the windows are adjacent squares, the only ones that the pools support."""
    return at.kernel == (at.stride, at.stride) and at.padding == 0


def average_pool(case: Case) -> Plan:
    """Side by side a pool; else a convolution with one constant kernel to each channel."""
    at = window(case)
    if is_block(at):
        return through_layer(case, AvgPool2D(at.stride))
    if at.padding and not case.attributes.get("count_include_pad", 0):
        raise OutOfScope("a mean that leaves padding out")
    channels = case.inputs[0].shape[1]
    weight = np.eye(channels)[:, :, None, None] * np.full(at.kernel, 1 / np.prod(at.kernel))
    layer = Conv2D(channels, channels, *at)
    return through_layer(case, layer, weight, np.zeros(channels), note=" of a constant kernel")


def max_pool(case: Case) -> Plan:
    """The largest pixels and, on request, their indices: where backward sends a gradient."""
    at = window(case)
    if not is_block(at):
        raise OutOfScope("a pool with padding" if at.padding else "a pool's stride unlike its size")
    x = case.inputs[0]
    if len(case.outputs) == 1:
        return through_layer(case, MaxPool2D(at.stride))

    def run(ops: Ops) -> list[np.ndarray]:
        layer = attached(MaxPool2D(at.stride), ops)
        y = home(ops, layer.forward(ops.asarray(to_chwn(x))))
        order = np.arange(1.0, y.size + 1).reshape(y.shape)  # each maximum by a number of its own
        dx = home(ops, layer.backward(ops.asarray(to_chwn(order))))
        if case.attributes.get("storage_order", 0):
            dx = dx.swapaxes(2, 3)
        places = np.flatnonzero(dx)
        return [y, places[np.argsort(dx.ravel()[places])].reshape(y.shape)]

    return Plan("MaxPool2D, indices by its backward pass", run)


# Dense layers, activations


def gemm(case: Case) -> Plan:
    """alpha A' B' + beta C as W x + b: x = A'^T, W = alpha B'^T, b = beta C."""
    given = case.attributes
    a, b, c = case.inputs if len(case.inputs) == 3 else (*case.inputs, np.zeros(1))
    a = a.T if given.get("transA", 0) else a
    weight = given.get("alpha", 1.0) * (b if given.get("transB", 0) else b.T)
    if c.ndim == 2 and len(c) > 1:
        raise OutOfScope("a bias for each row")
    bias = given.get("beta", 1.0) * np.broadcast_to(c.ravel(), len(weight))
    scaled = {"alpha", "beta"} & set(given)
    note = ", alpha and beta in its parameters" if scaled else ""
    layer = Linear(weight.shape[1], len(weight))
    return through_layer(case._replace(inputs=[a]), layer, weight, bias, note=note)


def flatten(case: Case) -> Plan:
    axis = case.attributes.get("axis", 1)
    if axis % case.inputs[0].ndim != 1:
        raise OutOfScope("another axis than the first for the images")
    return through_layer(case, Flatten())


# Softmax and the loss: any axis of classes, every other index an image


def columns(x: np.ndarray, axis: int = 1) -> np.ndarray:
    """x as logits (K, N)."""
    return np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)


def from_columns(y: np.ndarray, like: np.ndarray, axis: int = 1) -> np.ndarray:
    """(N, K) in the shape that `columns` flattened."""
    rest = [n for i, n in enumerate(like.shape) if i != axis % like.ndim]
    return np.moveaxis(y.T.reshape(like.shape[axis], *rest), 0, axis)


def softmax(case: Case) -> Plan:
    x, axis = case.inputs[0], case.attributes.get("axis", -1)

    def run(ops: Ops) -> list[np.ndarray]:
        return [from_columns(home(ops, ops.softmax(ops.asarray(columns(x, axis)))), x, axis)]

    return Plan("Ops.softmax", run)


def log_probabilities(ops: Ops, x: np.ndarray, axis: int = 1) -> np.ndarray:
    """log p of every class: minus the loss with that class for a label."""
    loss, logits = SoftmaxCrossEntropy(ops), ops.asarray(columns(x, axis))
    classes, count = logits.shape
    labels = [ops.asarray(check_labels(np.full(count, k), classes)) for k in range(classes)]
    losses = [home(ops, loss(logits, each)[0]) for each in labels]
    return from_columns(-np.stack(losses, axis=1), x, axis)


def log_softmax(case: Case) -> Plan:
    axis = case.attributes.get("axis", -1)
    return Plan(
        "SoftmaxCrossEntropy, each class for a label",
        lambda ops: [log_probabilities(ops, case.inputs[0], axis)],
    )


def cross_entropy(case: Case) -> Plan:
    logits, labels, *weights = case.inputs
    if weights:
        raise OutOfScope("class weights")
    if "ignore_index" in case.attributes:
        raise OutOfScope("ignore_index")
    reduce = {"none": np.asarray, "sum": np.sum, "mean": np.mean}[case.attributes["reduction"]]

    def run(ops: Ops) -> list[np.ndarray]:
        x, classes = columns(logits), logits.shape[1]
        y = check_labels(labels.ravel(), classes)
        losses = home(ops, SoftmaxCrossEntropy(ops)(ops.asarray(x), ops.asarray(y))[0])
        results = [reduce(losses.reshape(labels.shape))]
        return results + [log_probabilities(ops, logits)] * (len(case.outputs) - 1)

    return Plan("SoftmaxCrossEntropy", run)


# Optimisers: the tensors of a case are parts of one flat vector


def tensors(case: Case, kinds: int) -> list[list[np.ndarray]]:
    """Values, gradients and states: each kind of them a list of tensors."""
    each = (len(case.inputs) - 2) // kinds
    return [case.inputs[2 + k * each : 2 + (k + 1) * each] for k in range(kinds)]


def split(ops: Ops, vectors: list[Array], like: list[np.ndarray]) -> list[np.ndarray]:
    ends = np.cumsum([t.size for t in like])[:-1]
    return [part for v in vectors for part in np.split(home(ops, v), ends)]


def first_step(case: Case) -> float:
    """The learning rate of a case at step 0, where ONNX neither dampens nor corrects a bias."""
    if case.inputs[1] != 0:
        raise OutOfScope("a step after the first")
    return float(case.inputs[0])


def momentum(case: Case) -> Plan:
    rate, given = first_step(case), case.attributes
    kinds = tensors(case, 3)

    def run(ops: Ops) -> list[np.ndarray]:
        values, gradients, velocity = (ops.asarray(np.concatenate(k)) for k in kinds)
        optimiser = SGD(
            ops,
            values,
            gradients,
            momentum=given["alpha"],
            nesterov=given["mode"] == "nesterov",
            weight_decay=given["norm_coefficient"],
        )
        optimiser.velocity[...] = velocity
        optimiser.step(rate)
        return split(ops, [values, optimiser.velocity], kinds[0])

    return Plan("SGD", run)


def adam(case: Case) -> Plan:
    rate, given = first_step(case), case.attributes
    if given.get("norm_coefficient_post", 0.0):
        raise OutOfScope("decay after the update")
    kinds = tensors(case, 4)

    def run(ops: Ops) -> list[np.ndarray]:
        values, gradients, mean, square = (ops.asarray(np.concatenate(k)) for k in kinds)
        betas = given["alpha"], given["beta"]
        epsilon, decay = given.get("epsilon", 1e-6), given["norm_coefficient"]
        optimiser = Adam(ops, values, gradients, betas, epsilon, decay)
        optimiser.mean[...], optimiser.square[...] = mean, square
        optimiser.steps = LATE
        optimiser.step(rate)
        return split(ops, [values, optimiser.mean, optimiser.square], kinds[0])

    return Plan("Adam at a late step", run)


PLANS: dict[str, Callable[[Case], Plan]] = {
    "Conv": convolution,
    "AveragePool": average_pool,
    "MaxPool": max_pool,
    "Gemm": gemm,
    "Flatten": flatten,
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
    "Tanh": lambda case: through_layer(case, Tanh()),
    "Relu": lambda case: through_layer(case, ReLU()),
    "SoftmaxCrossEntropyLoss": cross_entropy,
    "Momentum": momentum,
    "Adam": adam,
}
