"""The network as an ONNX graph, in float32.

Importing this module takes the package onnx. The graph standardises the uint8 images of
`Preprocessing.apply` itself. Runtimes have supported its operators, set 17, since 2022.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lenet_xp import __version__
from lenet_xp.export import IMAGES, OUTPUTS
from lenet_xp.layers import Codes, Conv2D, Layer, Linear, MapAffine, Rubbish, ScaledTanh
from lenet_xp.model_file import SavedModel
from lenet_xp.ops.activations import AMPLITUDE, STEEPNESS

OPSET = 17  # version: of ONNX's operators
IR_VERSION = 8  # version: of ONNX's file format
OPERATORS = {"avgpool2d": "AveragePool", "maxpool2d": "MaxPool", "tanh": "Tanh", "relu": "Relu"}
OPERATORS["flatten"] = "Flatten"  # in the order channels, rows, columns, which is ONNX's


def encode_onnx(saved: SavedModel, description: dict[str, str]) -> bytes:
    """Return the bytes: input images (N, S, T) or (N, S, T, 3) uint8, outputs OUTPUTS (N, K)."""
    (channels, *size), classes = saved.model.input_shape, saved.model.num_classes
    graph = _Graph()
    scale, shift = saved.preprocessing.scale_and_shift()
    x = graph.add("Cast", IMAGES, to=TensorProto.FLOAT)
    x = graph.add("Mul", x, graph.constant("scale", scale))
    x = graph.add("Add", x, graph.constant("shift", shift))
    if channels == 1:
        x = graph.add("Unsqueeze", x, graph.constant("channel_axis", [1], np.int64))
    else:
        x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    for layer in saved.model.layers:
        x = _layer(graph, layer, x)
    graph.nodes[-1].output[:] = [OUTPUTS[0]]
    x = graph.add("Div", OUTPUTS[0], graph.constant("temperature", saved.temperature))
    graph.add("Softmax", x, name="softmax", axis=1)
    graph.nodes[-1].output[:] = [OUTPUTS[1]]
    tensor = helper.make_tensor_value_info
    shape: list[str | int] = ["N", *size, *[channels] * (channels > 1)]
    inputs = [tensor(IMAGES, TensorProto.UINT8, shape)]
    outputs = [tensor(name, TensorProto.FLOAT, ["N", classes]) for name in OUTPUTS]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "lenet_xp", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lenet_xp",
        producer_version=__version__,
    )
    helper.set_model_props(model, description)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


class _Graph:
    """Nodes and constants of a graph."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: object, dtype: type = np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.array(value).astype(dtype), name))
        return name

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        name = name or f"{kind}_{len(self.nodes)}"
        output = f"{name}.y"  # no other tensor's name, whatever a layer is called
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output


def _layer(graph: _Graph, layer: Layer, x: str) -> str:
    """Add the nodes of a plain layer on tensor x; return the name of its output."""
    if isinstance(layer, ScaledTanh):
        x = graph.add("Mul", x, graph.constant(f"{layer.name}.slope", STEEPNESS))
        amplitude = graph.constant(f"{layer.name}.amplitude", AMPLITUDE)
        return graph.add("Mul", graph.add("Tanh", x), amplitude, name=layer.name)
    if isinstance(layer, Rubbish):
        end = graph.constant(f"{layer.name}.pads", [0, 0, 0, 1], np.int64)
        logit = graph.constant(f"{layer.name}.logit", -float(layer.j))
        return graph.add("Pad", x, end, logit, name=layer.name)
    host = layer.ops.to_host
    if isinstance(layer, MapAffine):
        for kind, parameter in (("Mul", layer.coefficient), ("Add", layer.bias)):
            column = graph.constant(f"{layer.name}.{kind}", host(parameter.value)[:, None, None])
            x = graph.add(kind, x, column, name=f"{layer.name}.{kind}")
        return x
    if isinstance(layer, Codes):
        squares = graph.add("ReduceSumSquare", x, axes=[1], keepdims=1)
        y = graph.add("MatMul", x, graph.constant(f"{layer.name}.doubled", host(layer.doubled).T))
        y = graph.add("Add", y, graph.constant(f"{layer.name}.length", host(layer.length)))
        return graph.add("Sub", y, squares, name=layer.name)
    if not isinstance(layer, Conv2D | Linear):
        square = [getattr(layer, "size", 0)] * 2
        window = {"kernel_shape": square, "strides": square} if square[0] else {}
        return graph.add(OPERATORS[layer.kind], x, name=layer.name, **window)
    value = layer.masked(layer.weight.value) if isinstance(layer, Conv2D) else layer.weight.value
    weight = graph.constant(f"{layer.name}.weight", host(value))
    bias = graph.constant(f"{layer.name}.bias", host(layer.bias.value))
    if isinstance(layer, Linear):
        return graph.add("Gemm", x, weight, bias, name=layer.name, transB=1)
    how = {"strides": [layer.stride] * 2, "pads": [layer.padding] * 4}
    how["kernel_shape"] = list(layer.kernel)
    return graph.add("Conv", x, weight, bias, name=layer.name, **how)
