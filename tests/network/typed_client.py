"""A program that uses the public face as a stranger would; mypy --strict checks it in a test."""

import os
from pathlib import Path

import numpy as np

import lenet_xp
from lenet_xp import (
    Alternative,
    Conv2D,
    Flatten,
    InputError,
    LeNet5,
    Linear,
    PageReading,
    Reader,
    Reading,
    ReLU,
    Sequential,
)


def read(picture: str | os.PathLike[str]) -> tuple[str, float]:
    reader: Reader = lenet_xp.load_model()
    try:
        reading: Reading = reader.read(picture)
    except InputError as error:
        return str(error), 0.0
    if reading.blank:
        return "", 0.0
    first: Alternative = reading.alternatives[0]
    glyph: str = first.glyph
    return f"{glyph} {reading.name} {reading.latin}", reading.probability


def read_page(photo: np.ndarray) -> list[tuple[str, tuple[int, int, int, int]]]:
    page: PageReading = lenet_xp.load_model(backend="auto").read_page(photo)
    text: str = page.text + page.latin
    return [(each.glyph if each.certain else text, each.box) for each in page.letters]


def read_many(paths: list[Path], model: Path) -> list[str]:
    return [each.name for each in lenet_xp.load_model(model).read_many(paths)]


def network() -> Sequential:
    layers = [Conv2D(1, 4, 3, name="first"), ReLU(), Flatten(), Linear(4 * 30 * 30, 2)]
    return Sequential(layers, (1, 32, 32))


def parameters() -> int:
    count: int = sum(layer.num_parameters for layer in LeNet5(33).layers)
    return count
