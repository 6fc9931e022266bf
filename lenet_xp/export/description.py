"""What a program without this package must know of a model, as texts beside its parameters."""

import json

from lenet_xp import __version__
from lenet_xp.data.alphabet import letter
from lenet_xp.model_file import SavedModel


def describe(saved: SavedModel) -> dict[str, str]:
    """A JSON text under each name: the network, its classes, preprocessing and temperature.

    class_names, glyphs and latin are in the order of the outputs; a class outside the alphabet
    stands for itself in all three.
    """
    known = [letter(name) for name in saved.class_names]
    values = {
        "format": "lenet_xp export",
        "lenet_xp": __version__,
        "network": saved.model.config,
        "class_names": list(saved.class_names),
        "glyphs": [each.glyph for each in known],
        "latin": [each.latin for each in known],
        "preprocessing": saved.preprocessing.to_dict(),
        "temperature": saved.temperature,
    }
    return {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
