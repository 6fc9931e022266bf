"""LeNet-5 from scratch, on NumPy or CuPy, reading handwritten Tifinagh.

    import lenet_xp

    reader = lenet_xp.load_model()
    print(reader.read("docs/letter.png").glyph)

Every name below is imported when it is first used, so `import lenet_xp` itself is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lenet_xp.classifier import LeNetClassifier
    from lenet_xp.errors import InputError
    from lenet_xp.layers import (
        AvgPool2D,
        Conv2D,
        Flatten,
        Layer,
        Linear,
        MaxPool2D,
        ReLU,
        ScaledTanh,
        Tanh,
    )
    from lenet_xp.letters.alternatives import Alternative, Reading
    from lenet_xp.model import LeNet5, Sequential
    from lenet_xp.pages.output import LetterOnPage, PageReading
    from lenet_xp.reader import Reader, load_model
    from lenet_xp.training.loop import fit

__version__ = "0.2.0"

__all__ = [
    "Alternative",
    "AvgPool2D",
    "Conv2D",
    "Flatten",
    "InputError",
    "Layer",
    "LeNet5",
    "LeNetClassifier",
    "LetterOnPage",
    "Linear",
    "MaxPool2D",
    "PageReading",
    "ReLU",
    "Reader",
    "Reading",
    "ScaledTanh",
    "Sequential",
    "Tanh",
    "__version__",
    "fit",
    "load_model",
]

_MODULES = {
    "classifier": ("LeNetClassifier",),
    "errors": ("InputError",),
    "letters.alternatives": ("Alternative", "Reading"),
    "model": ("LeNet5", "Sequential"),
    "pages.output": ("LetterOnPage", "PageReading"),
    "reader": ("Reader", "load_model"),
    "training.loop": ("fit",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:  # PEP 562; the layers are the names without another home
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_HOMES.get(name, 'layers')}")
    globals()[name] = value = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
