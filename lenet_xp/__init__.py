"""LeNet-5 from scratch, on NumPy or CuPy, reading handwritten Tifinagh.

    import lenet_xp

    reader = lenet_xp.load_model()
    print(reader.read("docs/letter.png").glyph)

Every name below is imported when it is first used, so `import lenet_xp` itself is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # an alias of the same name marks what is exported
    from lenet_xp.classifier import LeNetClassifier as LeNetClassifier
    from lenet_xp.data.sources import load_dataset as load_dataset
    from lenet_xp.errors import InputError as InputError
    from lenet_xp.gradient_check import check_gradients as check_gradients
    from lenet_xp.inference import input_gradient as input_gradient
    from lenet_xp.layers import AvgPool2D as AvgPool2D
    from lenet_xp.layers import Codes as Codes
    from lenet_xp.layers import Conv2D as Conv2D
    from lenet_xp.layers import Flatten as Flatten
    from lenet_xp.layers import Layer as Layer
    from lenet_xp.layers import Linear as Linear
    from lenet_xp.layers import MapAffine as MapAffine
    from lenet_xp.layers import MaxPool2D as MaxPool2D
    from lenet_xp.layers import ReLU as ReLU
    from lenet_xp.layers import Rubbish as Rubbish
    from lenet_xp.layers import ScaledTanh as ScaledTanh
    from lenet_xp.layers import Tanh as Tanh
    from lenet_xp.letters.alternatives import Alternative as Alternative
    from lenet_xp.letters.alternatives import Reading as Reading
    from lenet_xp.model import LeNet5 as LeNet5
    from lenet_xp.model import Sequential as Sequential
    from lenet_xp.pages.output import PageReading as PageReading
    from lenet_xp.pages.page import LetterOnPage as LetterOnPage
    from lenet_xp.pictures.preprocess import Preprocessing as Preprocessing
    from lenet_xp.reader import Reader as Reader
    from lenet_xp.reader import load_model as load_model
    from lenet_xp.training.loop import fit as fit
    from lenet_xp.training.recipes import Recipe as Recipe
    from lenet_xp.training.recipes import lenet5_1998 as lenet5_1998

__version__ = "0.2.0"

_MODULES = {
    "classifier": "LeNetClassifier",
    "data.sources": "load_dataset",
    "errors": "InputError",
    "gradient_check": "check_gradients",
    "inference": "input_gradient",
    "layers": "AvgPool2D Codes Conv2D Flatten Layer Linear MapAffine MaxPool2D ReLU Rubbish "
    "ScaledTanh Tanh",
    "letters.alternatives": "Alternative Reading",
    "model": "LeNet5 Sequential",
    "pages.output": "PageReading",
    "pages.page": "LetterOnPage",
    "pictures.preprocess": "Preprocessing",
    "reader": "Reader load_model",
    "training.loop": "fit",
    "training.recipes": "Recipe lenet5_1998",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:  # PEP 562
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_HOMES[name]}")
    globals()[name] = value = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
