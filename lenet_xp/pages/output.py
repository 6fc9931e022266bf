"""What was read of a page: as text, as numbers for a program, as a picture with boxes."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letter
from lenet_xp.pages.page import MIN_CERTAINTY, PageLetter
from lenet_xp.system.files import atomic_write

# From the palette of Okabe and Ito; a question mark and a thicker box tell uncertain letters, too.
CERTAIN_COLOUR, UNCERTAIN_COLOUR = (0, 114, 178), (213, 94, 0)
LIKELY = 0.05  # alternatives from this probability on stand in the text
PICTURE_SIDE = 2000  # pixels of the longer side of an annotated picture, at most


def alternatives(
    row: np.ndarray, class_names: Sequence[str], top: int, least: float = 0.0
) -> list[dict[str, Any]]:
    """The best readings of one letter's probabilities (K,): name, glyph, Latin and probability."""
    best = np.argsort(-row, kind="stable")[:top]
    return [
        {
            "name": class_names[place],
            "glyph": letter(class_names[place]).glyph,
            "latin": letter(class_names[place]).latin,
            "probability": float(row[place]),
        }
        for number, place in enumerate(best)
        if number == 0 or row[place] >= least
    ]


def as_text(found: Sequence[PageLetter], class_names: Sequence[str], script: str) -> str:
    """The lines of a page; an uncertain letter stands as its likeliest readings: [ⴰ|ⵔ].

    script: "glyph" for Tifinagh, written from left to right, or "latin".
    """
    lines: dict[int, str] = {}
    for each in found:
        options = alternatives(each.probabilities, class_names, 3, LIKELY)
        words = [option[script] for option in options]
        sign = words[0] if each.certain else f"[{'|'.join(words)}]"
        lines[each.line] = lines.get(each.line, "") + " " * each.space_before + sign
    return "\n".join(lines.values())


def as_dict(found: Sequence[PageLetter], class_names: Sequence[str], top: int) -> dict[str, Any]:
    """All that is known of a page, in plain JSON values."""
    return {
        "text": as_text(found, class_names, "glyph"),
        "latin": as_text(found, class_names, "latin"),
        "certain_from": MIN_CERTAINTY,
        "letters": [
            {
                "line": each.line,
                "position": each.position,
                "space_before": each.space_before,
                "box": dict(zip(("left", "top", "width", "height"), each.box, strict=True)),
                "uncertain": not each.certain,
                "readings": alternatives(each.probabilities, class_names, top),
            }
            for each in found
        ],
    }


def draw(
    picture: np.ndarray, found: Sequence[PageLetter], class_names: Sequence[str], path: Path
) -> None:
    """Write a page, (H, W) uint8, with a box around each letter and its reading above, as PNG.

    Raises InputError where the file cannot be written.
    """
    page = Image.fromarray(picture).convert("RGB")
    page.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    scale = page.width / picture.shape[1]
    heights = [each.box[3] * scale for each in found] or [20.0]
    size = int(np.clip(0.4 * np.median(heights), 11, 60))
    font, pen = _font(size), ImageDraw.Draw(page)
    for each in found:
        left, top, width, height = (value * scale for value in each.box)
        reading = letter(class_names[int(each.probabilities.argmax())])
        colour = CERTAIN_COLOUR if each.certain else UNCERTAIN_COLOUR
        box = (left - 3, top - 3, left + width + 3, top + height + 3)
        pen.rectangle(box, outline=colour, width=2 if each.certain else 4)
        words = f"{reading.glyph} {reading.latin}" + "?" * (not each.certain)
        place = (left - 3, top - 7)
        back = pen.textbbox(place, words, font=font, anchor="lb")
        pen.rectangle(back, fill="white")
        pen.text(place, words, font=font, anchor="lb", fill=colour)
    with atomic_write(path) as handle:
        page.save(handle, format="PNG")


def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib, which holds all letters; matplotlib is not imported."""
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        raise InputError(
            "matplotlib, whose font holds Tifinagh, is missing: pip install matplotlib"
        )
    folder = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / "DejaVuSans.ttf"), size)  # Pillow 10.1: no Path
