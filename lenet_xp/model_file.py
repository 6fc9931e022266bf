"""The model file: parameters, layers, preprocessing and class names in one container."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.architecture import describe, layers_of
from lenet_xp.errors import InputError
from lenet_xp.inference import among, predict_probabilities
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.ops import Ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.scores.calibration import MAX_TEMPERATURE, MIN_TEMPERATURE, apply_temperature
from lenet_xp.system.files import FilePath
from lenet_xp.system.npz_file import MAX_CONTAINER, read_container, write_container
from lenet_xp.system.text import problem_with, reason_of

FORMAT = "lenet_xp model"
VERSION = 2
DAMAGED = "the file is damaged, train again or use another"
LENET5_OPTIONS = {"num_classes": int, "activation": str, "squash_pools": bool}
# The models that come with the package: of AMHCD and generated letters, and of the latter alone.
MODELS = {
    name: Path(__file__).with_name("models") / f"{name}.npz" for name in ("letters", "generated")
}
SHIPPED = MODELS["letters"]  # see docs/model_card.md


@dataclass(frozen=True)
class SavedModel:
    """A network with what its use needs: preprocessing, class names, notes on its training.

    temperature: of its logits, which are divided by it. threshold: below it, the probability of all
    classes says that a picture shows none of them. name: what errors call it, such as its path.
    """

    model: Sequential
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    notes: dict[str, Any]
    name: str = "the model"
    temperature: float = 1.0
    threshold: float = 0.0

    def probabilities(self, images: np.ndarray, threads: int | None = None) -> np.ndarray:
        """Class probabilities (N, K) float64 of prepared images, at the temperature.

        What a row lacks to 1 is how probable it is that the image shows none of the classes; only
        a network with a `Rubbish` layer says so. Raises InputError where parameters overflow.
        """
        return self.calibrated(self.plain(images, threads))

    def as_trained(self, images: np.ndarray, threads: int | None = None) -> np.ndarray:
        """The same without the temperature, among the classes alone; raises the same InputError."""
        return among(self.plain(images, threads), len(self.class_names))

    def calibrated(self, plain: np.ndarray) -> np.ndarray:
        """What `probabilities` gives for the network's own probabilities, (N, outputs) float64."""
        scaled = apply_temperature(self._numbers(plain), self.temperature)
        return scaled[:, : len(self.class_names)]

    def refused(self, rows: np.ndarray) -> np.ndarray:
        """Which images show none of the classes, (N,) bool, by their `probabilities` (N, K)."""
        return np.asarray(rows.sum(1) < self.threshold)

    def plain(self, images: np.ndarray, threads: int | None = None) -> np.ndarray:
        """The network's own probabilities (N, outputs) float64; raises the same InputError."""
        plain = predict_probabilities(self.model, images, self.preprocessing, threads)
        return self._numbers(plain)

    def _numbers(self, plain: np.ndarray) -> np.ndarray:
        if not np.isfinite(plain).all():
            raise InputError(
                f"{self.name}: its parameters overflow in {self.model.ops.dtype_name}; "
                "train again or use another model"
            )
        return plain


def named_model(path: FilePath) -> Path:
    """The path given, or that of the package's model of this name where no such file is there."""
    return Path(path) if os.path.exists(path) else MODELS.get(str(path), Path(path))


def save_model(path: FilePath, saved: SavedModel) -> None:
    """Write a model file, whole or not at all.

    Raises InputError or ValueError where it cannot be written or `load_model` would not take it.
    """
    model = saved.model
    arrays = {name: model.ops.to_host(p.value) for name, p in model.parameters().items()}
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "network": describe(model),
        "preprocessing": saved.preprocessing.to_dict(),
        "class_names": list(saved.class_names),
        "temperature": saved.temperature,
        "threshold": saved.threshold,
        "notes": saved.notes,
    }
    _checked(header)
    layers_of(header["network"]["layers"], model.input_shape, len(saved.class_names))
    write_container(path, header, arrays)


def load_model(path: FilePath, ops: Ops) -> SavedModel:
    """Read a model file onto `ops`. Raises InputError, in one line, for anything wrong with it."""
    path = named_model(path)
    try:
        if not path.is_file():
            there = "is no file" if path.exists() else "no such file"
            raise InputError(f"{there}; give the model.npz of a run")
        if path.stat().st_size > MAX_CONTAINER:
            raise InputError("too large for a model file; give the model.npz of a run")
        header, arrays = read_container(path.read_bytes())
        preprocessing, names = _checked(header), header["class_names"]
        make = _lenet5 if header["version"] == 1 else _described
        model = make(header["network"], names, ops)
        _fill(model, arrays, ops)
        numbers = header["temperature"], header["threshold"]
        return SavedModel(
            model, preprocessing, tuple(names), header["notes"], str(path), *map(float, numbers)
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged or hostile file has a dozen ways to go wrong
        problem = f"not a lenet_xp model file ({reason_of(error)})"
        raise InputError(f"{path}: {problem}; give the model.npz of a run") from error


def _checked(header: dict[str, Any]) -> Preprocessing:
    """The preprocessing of a header; InputError or ValueError for a header that is not ours."""
    if header.get("format") != FORMAT:
        raise ValueError("its header is of another format")
    version = header.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise InputError(
            f"model format {version!r:.20}, but this lenet_xp reads 1 to {VERSION}; "
            "install the version that wrote it"
        )
    kinds = {"network": dict, "preprocessing": dict, "class_names": list, "notes": dict}
    for key, kind in kinds.items():
        if not isinstance(header.get(key), kind):
            raise ValueError(f"its header has no {key}")
    names = header["class_names"]
    if not all(isinstance(name, str) for name in names) or not 1 < len(set(names)) == len(names):
        raise ValueError("its class_names are not two or more different strings")
    if unfit := problem_with(names):
        raise ValueError(unfit)
    if version == 1:  # which had the one among its notes and did not know the other
        header |= {"temperature": header["notes"].get("temperature", 1.0), "threshold": 0.0}
    ranges = {"temperature": (MIN_TEMPERATURE, MAX_TEMPERATURE), "threshold": (0.0, 1.0)}
    for key, (low, high) in ranges.items():
        value: Any = header.get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            raise ValueError(f"its {key} cannot be {value!r:.20}")
    preprocessing = Preprocessing.from_dict(header["preprocessing"])
    takes = [1, 32, 32] if version == 1 else header["network"].get("input")
    if takes != list(preprocessing.input_shape):
        raise InputError(
            f"preprocessing: images of {preprocessing.input_shape} do not fit the network's "
            f"input {takes!r:.40}; train again or use another file"
        )
    return preprocessing


def _described(network: dict[str, Any], class_names: list[str], ops: Ops) -> Sequential:
    """The network that a header of version 2 describes, for an input that has been checked."""
    shape = network["input"]
    try:
        return Sequential(layers_of(network.get("layers", ()), shape, len(class_names)), shape, ops)
    except ValueError as error:
        raise InputError(f"{error}; {DAMAGED}") from error


def _lenet5(config: dict[str, Any], class_names: list[str], ops: Ops) -> Sequential:
    """The LeNet-5 of a header of version 1."""
    for name, value in config.items():
        if type(value) is not LENET5_OPTIONS.get(name):
            raise ValueError(f"{name[:40]} of its network cannot be {value!r:.40}")
    outputs = config.get("num_classes")
    if len(class_names) != outputs:
        raise InputError(f"{len(class_names)} class names for {outputs} outputs; {DAMAGED}")
    return LeNet5(**config, ops=ops)


def _fill(model: Sequential, arrays: dict[str, np.ndarray], ops: Ops) -> None:
    """Copy arrays into the network's parameters; InputError where they are not its own."""
    parameters = model.parameters()
    if odd := sorted(arrays.keys() ^ parameters.keys()):
        raise InputError(f"parameter {odd[0][:40]!r} is missing or unknown; it is another network")
    for name, parameter in parameters.items():
        array = arrays[name]
        if array.shape != tuple(parameter.shape) or array.dtype.kind != "f":
            raise InputError(
                f"{name} is {array.dtype.name} {array.shape}, but this network needs "
                f"{tuple(parameter.shape)}; it is a model of another shape"
            )
        with np.errstate(over="ignore"):
            values = array.astype(ops.dtype_name)
        if not np.isfinite(values).all():
            raise InputError(f"{name} holds values that are not finite; train again")
        parameter.value[...] = ops.asarray(values)
