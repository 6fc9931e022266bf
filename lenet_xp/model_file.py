"""The model file: parameters, preprocessing and class names in one .npz, no pickle inside.

npz is NumPy's own container, so a model opens anywhere NumPy does; a JSON text beside the arrays
holds everything that is not an array.
"""

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lenet_xp.data.preprocess import Preprocessing
from lenet_xp.errors import InputError
from lenet_xp.files import atomic_write
from lenet_xp.model import LeNet5
from lenet_xp.ops import Ops

FORMAT = "lenet_xp model"
VERSION = 1
LARGEST = 64 * 2**20  # bytes: far above any LeNet-5, so a hostile file costs little


@dataclass(frozen=True)
class SavedModel:
    """A network with what its use needs: preprocessing, class names, notes on its training."""

    model: LeNet5
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    notes: dict


def save_model(path: str | os.PathLike, saved: SavedModel) -> None:
    """Write a model file, whole or not at all. Raises InputError where it cannot be written."""
    model = saved.model
    arrays = {name: model.ops.to_host(p.value) for name, p in model.parameters().items()}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "network": model.config,
        "preprocessing": saved.preprocessing.to_dict(),
        "class_names": list(saved.class_names),
        "notes": saved.notes,
    }
    text = json.dumps(header, ensure_ascii=False).encode()
    with atomic_write(path) as handle:
        np.savez(handle, header=np.frombuffer(text, np.uint8), **arrays)


def load_model(path: str | os.PathLike, ops: Ops) -> SavedModel:
    """Read a model file onto `ops`. Raises InputError, in one line, for anything wrong with it."""
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path}: too large for a model file; give the model.npz of a run")
        arrays = _read_arrays(path)
        header = _header(arrays.pop("header"), path)
        model = LeNet5(**header["network"], ops=ops)
        _fill(model, arrays, path)
        names = tuple(map(str, header["class_names"]))
        if len(names) != model.config["num_classes"]:
            raise InputError(
                f"{path}: {len(names)} class names for {model.config['num_classes']} outputs; "
                "the file is damaged, train again or use another"
            )
        preprocessing = Preprocessing.from_dict(header["preprocessing"])
        if preprocessing.size != model.input_shape[1]:
            raise InputError(f"{path}: images of {preprocessing.size} pixels do not fit LeNet-5")
        return SavedModel(model, preprocessing, names, dict(header["notes"]))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the model.npz of a run") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: not a lenet_xp model file ({reason})") from error


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
            raise ValueError("its content is too large")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _header(raw: np.ndarray, path: Path) -> dict:
    header = json.loads(raw.tobytes())
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError("its header is of another format")
    if header.get("version") != VERSION:
        raise InputError(
            f"{path}: model format {header.get('version')}, but this lenet_xp reads {VERSION}; "
            "install the version that wrote it"
        )
    return header


def _fill(model: LeNet5, arrays: dict[str, np.ndarray], path: Path) -> None:
    parameters = model.parameters()
    if sorted(arrays) != sorted(parameters):
        odd = sorted(set(arrays) ^ set(parameters))[0]
        raise InputError(f"{path}: parameter {odd} is missing or unknown; it is another network")
    for name, parameter in parameters.items():
        array = arrays[name]
        if array.shape != tuple(parameter.shape) or array.dtype.kind != "f":
            raise InputError(
                f"{path}: {name} is {array.dtype.name} {array.shape}, but this network needs "
                f"{tuple(parameter.shape)}; it is a model of another shape"
            )
        if not np.isfinite(array).all():
            raise InputError(f"{path}: {name} holds values that are not finite; train again")
        parameter.value[...] = model.ops.asarray(array)
