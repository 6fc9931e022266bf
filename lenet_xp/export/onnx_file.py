"""A model as an ONNX graph from preprocessed pixels to probabilities.

The graph takes uint8 images as `Preprocessing.apply` leaves them and standardises them itself, so
that its user needs no number of ours. Operator set 17, which runtimes since 2022 know.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp import __version__
from lenet_xp.export.description import describe
from lenet_xp.export.verify import Opened
from lenet_xp.layers import Activation, AvgPool2D, Conv2D, Layer, Linear
from lenet_xp.model_file import SavedModel
from lenet_xp.ops.reference import AMPLITUDE, STEEPNESS

PACKAGES = ("onnx", "onnxruntime")
OPSET, IR_VERSION = 17, 8


def encode(saved: SavedModel) -> bytes:
    """The file's bytes: input images (N, S, S) uint8, outputs logits and probabilities (N, K)."""
    import onnx
    from onnx import TensorProto, helper

    size, classes = saved.preprocessing.size, len(saved.class_names)
    graph = _Graph()
    scale, shift = saved.preprocessing.scale_and_shift()
    x = graph.add("Cast", "images", to=TensorProto.FLOAT)
    x = graph.add("Mul", x, graph.constant("scale", scale))
    x = graph.add("Add", x, graph.constant("shift", shift))
    x = graph.add("Unsqueeze", x, graph.constant("channel_axis", 1, np.int64, (1,)))
    *layers, last = saved.model.layers
    for layer in layers:
        x = _layer(graph, layer, x)
    logits = _layer(graph, last, x, "logits")
    x = graph.add("Div", logits, graph.constant("temperature", saved.temperature))
    graph.add("Softmax", x, to_name="probabilities", axis=1)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "LeNet-5",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", size, size])],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", classes])
                for name in ("logits", "probabilities")
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lenet_xp",
        producer_version=__version__,
    )
    helper.set_model_props(model, describe(saved))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def open_again(path: Path, saved: SavedModel) -> Opened:
    """The file as ONNX Runtime reads it; its exceptions where it refuses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors; it warns of GPUs that are not there
    session = onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    return Opened(
        session.get_modelmeta().custom_metadata_map,
        lambda images: tuple(session.run(["logits", "probabilities"], {"images": images})),
    )


class _Graph:
    """Nodes and constants in the making; every tensor has the name of what made it."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(
        self,
        name: str,
        value: object,
        dtype: type = np.float32,
        shape: tuple[int, ...] | None = None,
    ) -> str:
        from onnx import numpy_helper

        array: np.ndarray = np.array(value).astype(dtype)
        self.constants.append(
            numpy_helper.from_array(array if shape is None else array.reshape(shape), name)
        )
        return name

    def add(self, kind: str, *inputs: str, to_name: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = to_name or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output


def _layer(graph: _Graph, layer: Layer, x: str, to_name: str = "") -> str:
    """Add what a plain layer does to tensor x; the name of its output."""
    to_name = to_name or layer.name
    if isinstance(layer, Conv2D | Linear):
        host = layer.ops.to_host
        weight = graph.constant(f"{layer.name}.weight", host(layer.weight.value))
        bias = graph.constant(f"{layer.name}.bias", host(layer.bias.value))
        if isinstance(layer, Linear):
            return graph.add("Gemm", x, weight, bias, to_name=to_name, transB=1)
        how = {"strides": [layer.stride] * 2, "pads": [layer.padding] * 4}
        return graph.add(
            "Conv", x, weight, bias, to_name=to_name, kernel_shape=list(layer.kernel), **how
        )
    if isinstance(layer, AvgPool2D):
        square = [layer.size] * 2
        return graph.add("AveragePool", x, to_name=to_name, kernel_shape=square, strides=square)
    if isinstance(layer, Activation):
        return ACTIVATIONS[layer.kind](graph, x)
    return graph.add("Flatten", x)  # channels, rows, columns: our order is ONNX's


def _scaled_tanh(graph: _Graph, x: str) -> str:
    place = len(graph.nodes)
    x = graph.add("Tanh", graph.add("Mul", x, graph.constant(f"slope_{place}", STEEPNESS)))
    return graph.add("Mul", x, graph.constant(f"amplitude_{place}", AMPLITUDE))


ACTIVATIONS: dict[str, Callable[[_Graph, str], str]] = {
    "tanh": lambda graph, x: graph.add("Tanh", x),
    "scaled_tanh": _scaled_tanh,
    "relu": lambda graph, x: graph.add("Relu", x),
}
