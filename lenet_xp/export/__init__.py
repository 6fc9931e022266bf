"""Export of a saved model as an ONNX or safetensors file, verified before it gets its name.

A safetensors file has the names and layouts of a PyTorch state_dict. A JSON file beside either
describes the model, for runtimes that show no metadata.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np

from lenet_xp import __version__, architecture
from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letter
from lenet_xp.letters.synthetic import generate
from lenet_xp.model_file import SavedModel
from lenet_xp.ops import get_ops
from lenet_xp.scores.calibration import apply_temperature
from lenet_xp.system.files import FilePath, atomic_write, write_json
from lenet_xp.system.text import reason_of

FORMAT = "lenet_xp export"
OURS = f'{{\n  "format": "{FORMAT}"'.encode()  # how the .json of an export begins
TOLERANCE = 1e-5  # largest error: of probabilities; of logits, relative to the largest above 1
IMAGES, OUTPUTS = "images", ("logits", "probabilities")
FIRST, BATCH = (1, 8), 64  # images: where the first verified batches end, and in later ones
PACKAGES = {".onnx": ("onnx", "onnxruntime"), ".safetensors": ("safetensors",)}


# Logits (N, K), and probabilities (N, K) at the temperature, of images as the model takes them.
Read = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def check_format(path: FilePath) -> str:
    """Return the format's suffix; InputError for another one and if its packages are missing."""
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


def export_model(saved: SavedModel, path: FilePath) -> float:
    """Write the model in the format of the suffix, with float32 parameters, and a .json beside it.

    Returns the largest error of a probability. Both files are whole and verified, or neither is
    written. Raises InputError as `check_format` does, where a file cannot be written or would
    replace another's .json, and if it does not give what the model gives; ValueError for a layer
    that is none of the package's.
    """
    suffix, beside = check_format(path), Path(path).with_suffix(".json")
    encode, open_file = _FORMATS[suffix]
    description = describe(saved)
    with atomic_write(path) as handle:
        if beside.is_file() and not beside.read_bytes().startswith(OURS):
            raise InputError(f"{beside}: goes with {path}, but is another file; rename one of them")
        try:
            with np.errstate(over="ignore"):  # float64 as float32
                content = encode(saved, description)
            handle.write(content)
            handle.flush()
            told, read = open_file(Path(handle.name), saved)
            if told != description:
                raise InputError("its description is not the model's")
            difference = _compared(saved, read, trial_images(saved))
        except OSError:  # of the disk: atomic_write finds the words
            raise
        except Exception as error:  # the packages' exceptions have no other common base
            update = f"train the model again, or update {' and '.join(PACKAGES[suffix])}"
            reason = reason_of(error, 200)
            raise InputError(f"{path}: not written, for {reason}; {update}") from error
        os.fsync(handle.fileno())  # so that only its new name can fail after the other file's
        write_json(beside, {name: json.loads(text) for name, text in description.items()})
    return difference


def describe(saved: SavedModel) -> dict[str, str]:
    """Return what a program without this package must know, as a JSON text per name.

    class_names, glyphs and latin, or the name again, are in the order of the outputs.
    """
    known = [letter(name) for name in saved.class_names]
    values = {
        "format": FORMAT,
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


def _compared(saved: SavedModel, read: Read, images: np.ndarray) -> float:
    """Return the largest error of a probability; InputError if it is not the model."""
    with np.errstate(over="ignore", invalid="ignore"):  # from diverged weights
        parts = np.split(images, [*FIRST, *range(FIRST[-1] + BATCH, len(images), BATCH)])
        actual, desired = (
            [np.concatenate(outputs) for outputs in zip(*map(each, parts), strict=True)]
            for each in (read, lambda part: _exact(saved, part))
        )
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


def trial_images(saved: SavedModel) -> np.ndarray:
    """Return noise, its first two images empty and full, and letters, as the model takes them."""
    letters = saved.preprocessing.apply_all(generate(1)[0])
    images = np.random.default_rng(0).integers(0, 256, (80, *letters.shape[1:]), dtype=np.uint8)
    images[:1], images[1:2] = 0, 255
    return np.concatenate([images, letters])


def _exact(saved: SavedModel, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (N, K) and probabilities (N, K) of the model, computed in float64 on NumPy."""
    ops, model = get_ops("numpy", "float64"), saved.model
    twin = model.replica(ops.asarray(model.ops.to_host(model.values)), ops=ops)
    logits = twin.forward(ops.image_batch(images, *saved.preprocessing.scale_and_shift()))
    plain = ops.to_host(ops.softmax(logits)).T
    return ops.to_host(logits).T, apply_temperature(plain, saved.temperature)


def _encode_onnx(saved: SavedModel, description: dict[str, str]) -> bytes:
    from lenet_xp.export.onnx_graph import encode_onnx  # needs onnx

    return encode_onnx(saved, description)


def _open_onnx(path: Path, saved: SavedModel) -> tuple[dict[str, str], Read]:
    """Return description and `Read` of the file in ONNX Runtime. Raises its exceptions."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors only, because it warns of missing GPUs
    on_cpu = {"sess_options": options, "providers": ["CPUExecutionProvider"]}
    session = onnxruntime.InferenceSession(path.read_bytes(), **on_cpu)
    description = session.get_modelmeta().custom_metadata_map
    return description, lambda images: tuple(session.run(list(OUTPUTS), {IMAGES: images}))


def _encode_safetensors(saved: SavedModel, description: dict[str, str]) -> bytes:
    """Return the bytes: float32 arrays with PyTorch's layouts, and its order of C5's inputs."""
    from safetensors.numpy import save

    host, parameters = saved.model.ops.to_host, saved.model.parameters()
    arrays = {n: np.array(host(each.value), np.float32) for n, each in parameters.items()}
    return bytes(save(arrays, description))


def _open_safetensors(path: Path, saved: SavedModel) -> tuple[dict[str, str], Read]:
    """Return description and `Read` of the file. Raises ValueError for another network's arrays."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        description = file.metadata()
    parameters, ops = saved.model.parameters(), get_ops("numpy", "float64")
    shapes = {name: array.shape for name, array in arrays.items()}
    if shapes != {name: tuple(parameter.shape) for name, parameter in parameters.items()}:
        raise ValueError("its arrays do not have the names and shapes of the model's")
    values = ops.asarray(np.concatenate([np.zeros(0), *(arrays[n].ravel() for n in parameters)]))
    again = replace(saved, model=saved.model.replica(values, ops=ops))
    return description, lambda images: _exact(again, images)


_FORMATS = {
    ".onnx": (_encode_onnx, _open_onnx),
    ".safetensors": (_encode_safetensors, _open_safetensors),
}
