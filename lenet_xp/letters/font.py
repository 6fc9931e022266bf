"""The font that comes with Matplotlib, which holds all letters; Matplotlib is not imported."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

from lenet_xp.errors import InputError


@cache
def dejavu(size: int, face: str = "Sans") -> ImageFont.FreeTypeFont:
    """A face of DejaVu, such as "Serif-Italic", in pixels; InputError without Matplotlib."""
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        raise InputError(
            "matplotlib, whose font holds Tifinagh, is missing: pip install matplotlib"
        )
    folder = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"DejaVu{face}.ttf"), size)  # Pillow 10.1: no Path
