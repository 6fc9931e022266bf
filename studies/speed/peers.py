"""The peers, PyTorch, JAX and ONNX Runtime, in their fastest settings; each may be absent."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from lenet_xp.model import LeNet5
from lenet_xp.ops import get_ops
from lenet_xp.training.recipes import CLASSIC
from studies.speed.measure import Contender
from studies.speed.ours import PREPROCESSING, random_batch


def missing() -> dict[str, str]:
    """Return why a peer cannot take part, by the names of the absent ones."""
    reasons = {}
    modules = {"PyTorch": "torch", "JAX": "jax", "ONNX Runtime": "onnxruntime", "onnx": "onnx"}
    for name, module in modules.items():
        try:
            __import__(module)
        except ImportError as error:
            reasons[name] = str(error)
    return reasons


def torch_network() -> Any:
    """Return the classic network with our initial weights, in PyTorch's fastest memory format."""
    import torch
    from torch import nn

    ours = LeNet5(ops=get_ops("numpy")).parameters()
    network: Any = nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Tanh()),
        *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Tanh(), nn.Flatten()),
        *(nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 33)),
    )
    with torch.no_grad():
        for theirs, parameter in zip(network.parameters(), ours.values(), strict=True):
            theirs.copy_(torch.from_numpy(parameter.value))
    return network.to(memory_format=torch.channels_last)


def torch_batch(batch: int) -> tuple[Any, Any]:
    """Return standardised images (batch, 1, 32, 32) float32 and labels (batch,) as tensors."""
    import torch

    images, labels = random_batch(batch)
    scale, shift = PREPROCESSING.scale_and_shift()
    x = torch.from_numpy((images * scale + shift).astype(np.float32)[:, None])
    return x.contiguous(memory_format=torch.channels_last), torch.from_numpy(labels)


def torch_step(batch: int, compiled: bool) -> Contender:
    """Return one training step of PyTorch, eager or compiled as a whole."""
    import torch

    network, (x, y) = torch_network(), torch_batch(batch)
    optimiser = torch.optim.SGD(network.parameters(), lr=CLASSIC.learning_rate)
    loss = torch.nn.CrossEntropyLoss()

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss(network(x), y).backward()
        optimiser.step()

    return Contender(torch.compile(step) if compiled else step, batch)


def torch_inference(batch: int) -> Contender:
    """Return the reading of a batch by eager PyTorch."""
    import torch

    network, (x, _) = torch_network().eval(), torch_batch(batch)

    def read() -> Any:
        with torch.inference_mode():
            return torch.softmax(network(x), dim=1)

    return Contender(read, batch)


def _jax_network() -> tuple[list[Any], Callable[..., Any]]:
    """Our initial parameters for JAX, and the function of them and x (N, H, W, C) to logits."""
    import jax.numpy as jnp
    from jax import lax

    ours = LeNet5(ops=get_ops("numpy")).parameters().values()
    parameters = [
        jnp.asarray(p.value.transpose(2, 3, 1, 0) if p.value.ndim == 4 else p.value.T) for p in ours
    ]

    def forward(parameters: list[Any], x: Any) -> Any:
        pairs = list(zip(parameters[::2], parameters[1::2], strict=True))
        for weight, bias in pairs[:2]:
            layout = ("NHWC", "HWIO", "NHWC")
            x = lax.conv_general_dilated(x, weight, (1, 1), "VALID", dimension_numbers=layout)
            n, rows, cols, maps = x.shape
            windows = jnp.tanh(x + bias).reshape(n, rows // 2, 2, cols // 2, 2, maps)
            x = jnp.tanh(windows.mean(axis=(2, 4)))
        x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)  # in the order of our weights
        for weight, bias in pairs[2:-1]:
            x = jnp.tanh(x @ weight + bias)
        return x @ pairs[-1][0] + pairs[-1][1]

    return parameters, forward


def jax_step(batch: int) -> Contender:
    """Return one training step of JAX, compiled as a whole; parameters are updated in place."""
    import jax
    import jax.numpy as jnp

    held, forward = _jax_network()
    x, y = (jnp.asarray(each) for each in _standardised(batch))

    def loss(parameters: list[Any]) -> Any:
        p = jax.nn.log_softmax(forward(parameters, x))
        return -jnp.take_along_axis(p, y[:, None], axis=1).mean()

    @partial(jax.jit, donate_argnums=0)
    def update(parameters: list[Any]) -> Any:
        slopes = jax.grad(loss)(parameters)
        pairs = zip(parameters, slopes, strict=True)
        return [p - CLASSIC.learning_rate * slope for p, slope in pairs]

    def step() -> Any:
        held[:] = update(held)
        return jax.block_until_ready(held)

    return Contender(step, batch)


def jax_inference(batch: int) -> Contender:
    """Return the reading of a batch by JAX, compiled as a whole."""
    import jax
    import jax.numpy as jnp

    parameters, forward = _jax_network()
    x = jnp.asarray(_standardised(batch)[0])
    read = jax.jit(lambda parameters, x: jax.nn.softmax(forward(parameters, x)))
    return Contender(lambda: read(parameters, x).block_until_ready(), batch)


def _standardised(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (batch, 32, 32, 1) float32 and labels (batch,) int64."""
    images, labels = random_batch(batch)
    scale, shift = PREPROCESSING.scale_and_shift()
    return (images * scale + shift).astype(np.float32)[..., None], labels


def onnx_inference(batch: int, threads: int) -> Contender:
    """Return the reading of a batch by ONNX Runtime, with all graph optimisations."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1 if batch == 1 else threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(
        _onnx_network(), options, providers=["CPUExecutionProvider"]
    )
    images, _ = random_batch(batch)
    scale, shift = PREPROCESSING.scale_and_shift()
    x = (images * scale + shift).astype(np.float32)[:, None]
    return Contender(partial(session.run, None, {"x": x}), batch)


def _onnx_network() -> bytes:
    """The classic network as an ONNX graph."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = {
        name: numpy_helper.from_array(np.array(parameter.value), name)
        for name, parameter in LeNet5(ops=get_ops("numpy")).parameters().items()
    }
    nodes: list[Any] = []
    last = "x"

    def add(kind: str, *inputs: str, **attributes: Any) -> None:
        nonlocal last
        nodes.append(helper.make_node(kind, [last, *inputs], [f"y{len(nodes)}"], **attributes))
        last = nodes[-1].output[0]

    for name in ("C1", "C3"):
        add("Conv", f"{name}.weight", f"{name}.bias")
        add("Tanh")
        add("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
        add("Tanh")
    add("Flatten")
    for name in ("C5", "F6"):
        add("Gemm", f"{name}.weight", f"{name}.bias", transB=1)
        add("Tanh")
    add("Gemm", "output.weight", "output.bias", transB=1)
    add("Softmax", axis=1)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 32, 32])
    y = helper.make_tensor_value_info(last, TensorProto.FLOAT, ["N", 33])
    graph = helper.make_graph(nodes, "LeNet-5", [x], [y], list(weights.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def best_torch_threads(cores: int) -> int:
    """Set and return the number of threads with which eager PyTorch trains fastest at batch 64."""
    import torch

    from studies.speed.measure import take_turns

    contender = torch_step(64, compiled=False)

    def with_threads(threads: int) -> Callable[[], AbstractContextManager[object]]:
        def setting() -> AbstractContextManager[object]:
            torch.set_num_threads(threads)
            return nullcontext()

        return setting

    candidates = {
        str(n): Contender(contender.call, 64, with_threads(n)) for n in range(1, cores + 1)
    }
    timings = take_turns(candidates, turns=5, seconds=0.3)
    best = min(timings, key=lambda name: timings[name].median)
    torch.set_num_threads(int(best))
    return int(best)


def versions() -> dict[str, str]:
    """Return the versions of the installed peers."""
    found = {}
    for package in ("torch", "jax", "onnxruntime", "onnx"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
