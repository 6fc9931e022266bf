"""Export of a saved model as an ONNX or safetensors file, verified before it gets its name.

The ONNX graph takes uint8 images from `Preprocessing.apply` and standardises them itself. It uses
operator set 17, which runtimes have supported since 2022.
A safetensors file has the names and layouts of a PyTorch state_dict.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp import __version__, architecture
from lenet_xp.errors import InputError
from lenet_xp.inference import predict_probabilities
from lenet_xp.layers import Activation, AvgPool2D, Conv2D, Layer, Linear
from lenet_xp.letters.alphabet import letter
from lenet_xp.letters.synthetic import generate
from lenet_xp.model_file import SavedModel
from lenet_xp.ops import get_ops
from lenet_xp.ops.reference import AMPLITUDE, STEEPNESS
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.scores.calibration import apply_temperature
from lenet_xp.system.files import FilePath, atomic_write
from lenet_xp.system.text import reason_of

OPSET = 17  # version: of ONNX's operators
IR_VERSION = 8  # version: of ONNX's file format
TOLERANCE = 1e-5  # largest error: of probabilities; of logits, relative to the largest above 1
BATCHES = (1, 7, 64)  # images: in the first verified batches; the last batch has the rest
ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu"}  # ONNX's operator for each; scaled_tanh needs more
OUTPUTS = ("logits", "probabilities")
PACKAGES = {".onnx": ("onnx", "onnxruntime"), ".safetensors": ("safetensors",)}


@dataclass(frozen=True)
class Exported:
    """Size of a written file in bytes, and the largest error of its probabilities."""

    size: int
    difference: float


# Logits (N, K), and probabilities (N, K) at the temperature, of images (N, S, S) uint8.
Read = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def check_format(path: FilePath) -> str:
    """Return the suffix that gives the format, .onnx or .safetensors.

    Raises InputError for another suffix, and if the format's packages are not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in PACKAGES:
        raise InputError(f"{path}: give a name that ends in {' or '.join(PACKAGES)}")
    for package in PACKAGES[suffix]:
        try:
            import_module(package)
        except ImportError as error:
            raise InputError(
                f"{path}: a {suffix} file needs the package {package} "
                f"({reason_of(error)}): pip install {' '.join(PACKAGES[suffix])}"
            ) from error
    return suffix


def export_model(saved: SavedModel, path: FilePath) -> Exported:
    """Write the model in the format of the suffix, with float32 parameters.

    The file is whole and verified, or is not written. Raises InputError as `check_format` does,
    where the file cannot be written, and if it does not give the model's probabilities.
    """
    suffix = check_format(path)
    encode, open_file = _FORMATS[suffix]
    content = encode(saved)
    with atomic_write(path) as handle:
        handle.write(content)
        handle.flush()
        try:
            difference = _verified(saved, *open_file(Path(handle.name), saved))
        except Exception as error:  # the packages' exceptions have no other common base
            reason = reason_of(error, 200)
            raise InputError(
                f"{path}: not written, for {reason}; train the model again, or update "
                f"{' and '.join(PACKAGES[suffix])}"
            ) from error
    return Exported(len(content), difference)


def describe(saved: SavedModel) -> dict[str, str]:
    """Return what a program without this package must know, as a JSON text per name.

    class_names, glyphs and latin are in the order of the outputs; for a class outside the alphabet
    all three are its name.
    """
    known = [letter(name) for name in saved.class_names]
    values = {
        "format": "lenet_xp export",
        "lenet_xp": __version__,
        "network": architecture.describe(saved.model),
        "class_names": list(saved.class_names),
        "glyphs": [each.glyph for each in known],
        "latin": [each.latin for each in known],
        "preprocessing": saved.preprocessing.to_dict(),
        "temperature": saved.temperature,
        "threshold": saved.threshold,
    }
    return {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}


def _verified(saved: SavedModel, description: dict[str, str], read: Read) -> float:
    """Return the largest error of the file's probabilities; InputError if it is not the model."""
    if description != describe(saved):
        raise InputError("its description is not the model's")
    images = trial_images(saved.preprocessing)
    with np.errstate(over="ignore", invalid="ignore"):  # from diverged weights
        desired = _exact(saved, images)
        found = [read(part) for part in np.split(images, np.cumsum(BATCHES))]
        actual = [np.concatenate(parts) for parts in zip(*found, strict=True)]
        if [each.shape for each in actual] != [each.shape for each in desired]:
            raise InputError("its outputs are of another shape than the model's")
        if not np.isfinite(desired[0].astype(np.float32)).all():
            raise InputError("the model's parameters overflow in float32")
        gaps = [float(np.abs(a - d).max()) for a, d in zip(actual, desired, strict=True)]
        gaps[0] /= max(1.0, float(np.abs(desired[0]).max()))
    for what, gap in zip(OUTPUTS, gaps, strict=True):
        if not gap <= TOLERANCE:  # NaN too
            raise InputError(f"its {what} are off by {gap:.2g} from the model's")
    return gaps[1]


def trial_images(preprocessing: Preprocessing) -> np.ndarray:
    """Return noise, an empty, a full image and a sample of each letter: (N, S, S) uint8."""
    size = preprocessing.size
    noise = np.random.default_rng(0).integers(0, 256, (80, size, size), dtype=np.uint8)
    noise[0], noise[1] = 0, 255
    return np.concatenate([noise, preprocessing.apply_all(generate(1)[0])])


def _exact(saved: SavedModel, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (N, K) and probabilities (N, K) of the model, computed in float64 on NumPy."""
    ops, model = get_ops("numpy", "float64"), saved.model
    twin = model.replica(ops.asarray(model.ops.to_host(model.values)), ops=ops)
    x = ops.image_batch(images, *saved.preprocessing.scale_and_shift())
    logits = ops.to_host(twin.forward(x)).T
    plain = predict_probabilities(twin, images, saved.preprocessing, threads=1)
    return logits, apply_temperature(plain, saved.temperature)


def _encode_onnx(saved: SavedModel) -> bytes:
    """Return the bytes: input images (N, S, S) uint8, outputs logits and probabilities (N, K)."""
    import onnx
    from onnx import TensorProto, helper

    size, classes = saved.preprocessing.size, len(saved.class_names)
    graph = _Graph()
    scale, shift = saved.preprocessing.scale_and_shift()
    x = graph.add("Cast", "images", to=TensorProto.FLOAT)
    x = graph.add("Mul", x, graph.constant("scale", scale))
    x = graph.add("Add", x, graph.constant("shift", shift))
    x = graph.add("Unsqueeze", x, graph.constant("channel_axis", [1], np.int64))
    *layers, last = saved.model.layers
    for layer in layers:
        x = _layer(graph, layer, x, layer.name)
    x = _layer(graph, last, x, "logits")
    x = graph.add("Div", x, graph.constant("temperature", saved.temperature))
    graph.add("Softmax", x, to_name="probabilities", axis=1)
    tensor = helper.make_tensor_value_info
    images = [tensor("images", TensorProto.UINT8, ["N", size, size])]
    outputs = [tensor(name, TensorProto.FLOAT, ["N", classes]) for name in OUTPUTS]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "LeNet-5", images, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lenet_xp",
        producer_version=__version__,
    )
    helper.set_model_props(model, describe(saved))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _open_onnx(path: Path, saved: SavedModel) -> tuple[dict[str, str], Read]:
    """Return description and `Read` of the file in ONNX Runtime. Raises its exceptions."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors only, because it warns of missing GPUs
    on_cpu = {"sess_options": options, "providers": ["CPUExecutionProvider"]}
    session = onnxruntime.InferenceSession(path.read_bytes(), **on_cpu)
    description = session.get_modelmeta().custom_metadata_map
    return description, lambda images: tuple(session.run(list(OUTPUTS), {"images": images}))


class _Graph:
    """Nodes and constants of a graph; a tensor has the name of the node that computes it."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: object, dtype: type = np.float32) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.array(value).astype(dtype), name))
        return name

    def add(self, kind: str, *inputs: str, to_name: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = to_name or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output


def _layer(graph: _Graph, layer: Layer, x: str, to_name: str) -> str:
    """Add the nodes of a plain layer on tensor x; return the name of its output."""
    if isinstance(layer, Activation):
        return _activation(graph, layer.kind, x)
    if isinstance(layer, AvgPool2D):
        square = [layer.size] * 2
        return graph.add("AveragePool", x, to_name=to_name, kernel_shape=square, strides=square)
    if not isinstance(layer, Conv2D | Linear):
        return graph.add("Flatten", x)  # in the order channels, rows, columns, which is ONNX's
    host = layer.ops.to_host
    weight = graph.constant(f"{layer.name}.weight", host(layer.weight.value))
    bias = graph.constant(f"{layer.name}.bias", host(layer.bias.value))
    if isinstance(layer, Linear):
        return graph.add("Gemm", x, weight, bias, to_name=to_name, transB=1)
    how = {"strides": [layer.stride] * 2, "pads": [layer.padding] * 4}
    how["kernel_shape"] = list(layer.kernel)
    return graph.add("Conv", x, weight, bias, to_name=to_name, **how)


def _activation(graph: _Graph, kind: str, x: str) -> str:
    if kind != "scaled_tanh":
        return graph.add(ACTIVATIONS[kind], x)
    place = len(graph.nodes)
    x = graph.add("Tanh", graph.add("Mul", x, graph.constant(f"slope_{place}", STEEPNESS)))
    return graph.add("Mul", x, graph.constant(f"amplitude_{place}", AMPLITUDE))


def _encode_safetensors(saved: SavedModel) -> bytes:
    """Return the bytes: float32 arrays with PyTorch's layouts, and its order of C5's inputs."""
    from safetensors.numpy import save

    host, parameters = saved.model.ops.to_host, saved.model.parameters()
    with np.errstate(over="ignore"):
        arrays = {n: np.array(host(each.value), np.float32) for n, each in parameters.items()}
    return bytes(save(arrays, describe(saved)))


def _open_safetensors(path: Path, saved: SavedModel) -> tuple[dict[str, str], Read]:
    """Return description and `Read` of the file. Raises ValueError for another network's arrays."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        description = file.metadata()
    ops = get_ops("numpy", "float64")
    model = saved.model.replica(ops.zeros(saved.model.values.shape), ops=ops)
    parameters = model.parameters()
    shapes = {name: array.shape for name, array in arrays.items()}
    if shapes != {name: tuple(parameter.shape) for name, parameter in parameters.items()}:
        raise ValueError("its arrays do not have the names and shapes of the model's")
    for name, parameter in parameters.items():
        parameter.value[...] = ops.asarray(arrays[name])
    again = replace(saved, model=model)
    return description, lambda images: _exact(again, images)


_FORMATS = {
    ".onnx": (_encode_onnx, _open_onnx),
    ".safetensors": (_encode_safetensors, _open_safetensors),
}
