"""A saved model into a file of another format: verified, then given its name."""

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from lenet_xp.errors import InputError
from lenet_xp.export import onnx_file, safetensors_file
from lenet_xp.export.verify import verify
from lenet_xp.files import atomic_write
from lenet_xp.model_file import SavedModel

FORMATS = {".onnx": onnx_file, ".safetensors": safetensors_file}


@dataclass(frozen=True)
class Exported:
    """A file that was written: its size, and how far its probabilities are from the model's."""

    path: Path
    size: int
    difference: float


def format_of(path: str | os.PathLike[str]) -> ModuleType:
    """The module that writes files of this name's ending.

    Raises InputError for another ending, and where the packages of the format are not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{path}: give a name that ends in {' or '.join(FORMATS)}")
    for package in FORMATS[suffix].PACKAGES:
        try:
            import_module(package)
        except ImportError as error:
            raise InputError(
                f"{path}: a {suffix} file needs the package {package} "
                f"({' '.join(str(error).split())[:120]}): pip install 'lenet-xp[export]'"
            ) from error
    return FORMATS[suffix]


def export_model(saved: SavedModel, path: str | os.PathLike[str]) -> Exported:
    """Write the model as the name's ending says, whole and verified or not at all.

    The parameters become float32. Raises InputError for a name or packages that do not serve, where
    the file cannot be written, and where what was written does not give the model's probabilities.
    """
    form = format_of(path)
    content = form.encode(saved)
    with atomic_write(path) as handle:
        handle.write(content)
        handle.flush()
        try:
            difference = verify(saved, form.open_again(Path(handle.name), saved))
        except Exception as error:  # the packages' exceptions share no base but this one
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(
                f"{path}: not written, for {reason}; train the model again, or update the "
                "packages of 'lenet-xp[export]'"
            ) from error
    return Exported(Path(path), len(content), difference)
