"""What was read of a page: as text, as numbers for a program, as a picture with boxes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.letters.font import dejavu
from lenet_xp.pages.page import MIN_CERTAINTY, LetterOnPage
from lenet_xp.system.files import atomic_write

# Colours of boxes, RGB of the palette of Okabe and Ito. An uncertain letter also has a question
# mark and a thicker box.
CERTAIN_COLOUR = (0, 114, 178)
UNCERTAIN_COLOUR = (213, 94, 0)
MIN_ALTERNATIVE = 0.05  # probability: alternatives below it are left out of the text
MAX_ALTERNATIVES = 3  # alternatives of an uncertain letter in the text
MAX_SIDE = 2000  # pixels: longer side of an annotated picture


@dataclass(frozen=True)
class PageReading:
    """All letters of a page, line by line and from left to right."""

    letters: tuple[LetterOnPage, ...]

    @property
    def blank(self) -> bool:
        """Whether no letter was found."""
        return not self.letters

    @property
    def lines(self) -> tuple[tuple[LetterOnPage, ...], ...]:
        """The letters of each line, from top to bottom."""
        numbers = dict.fromkeys(each.line for each in self.letters)
        return tuple(tuple(e for e in self.letters if e.line == number) for number in numbers)

    @property
    def text(self) -> str:
        """The page in Tifinagh; an uncertain letter stands as its likeliest readings: [ⴰ|ⵔ].

        A mark that is no letter stands as [?].
        """
        return self._text("glyph")

    @property
    def latin(self) -> str:
        """The same in Latin letters: [a|r]."""
        return self._text("latin")

    def _text(self, script: str) -> str:
        return "\n".join(
            "".join(" " * each.space_before + _sign(each, script) for each in line)
            for line in self.lines
        )

    def as_dict(self, top: int) -> dict[str, Any]:
        """All that is known of the page, in plain JSON values; `top` readings of each letter."""
        return {
            "blank": self.blank,
            "text": self.text,
            "latin": self.latin,
            "certain_from": MIN_CERTAINTY,
            "letters": [
                {
                    "line": each.line,
                    "position": each.position,
                    "space_before": each.space_before,
                    "box": dict(zip(("left", "top", "width", "height"), each.box, strict=True)),
                    "uncertain": not each.certain,
                    "none_of_these": each.refused,
                    "readings": each.best(top),
                }
                for each in self.letters
            ],
        }

    def draw(self, picture: np.ndarray, path: Path) -> None:
        """Write the page, (H, W) uint8, with a box around each letter and its reading, as PNG.

        Raises InputError where the file cannot be written.
        """
        from PIL import Image, ImageDraw

        page = Image.fromarray(picture).convert("RGB")
        page.thumbnail((MAX_SIDE, MAX_SIDE))
        scale = page.width / picture.shape[1]
        heights = [each.box[3] * scale for each in self.letters] or [20.0]
        font = dejavu(int(np.clip(0.4 * np.median(heights), 11, 60)))
        pen = ImageDraw.Draw(page)
        for each in self.letters:
            left, top, width, height = (value * scale for value in each.box)
            colour = CERTAIN_COLOUR if each.certain else UNCERTAIN_COLOUR
            box = (left - 3, top - 3, left + width + 3, top + height + 3)
            pen.rectangle(box, outline=colour, width=2 if each.certain else 4)
            words = f"{each.glyph} {each.latin}".strip() + "?" * (not each.certain)
            place = (left - 3, top - 7)
            pen.rectangle(pen.textbbox(place, words, font=font, anchor="lb"), fill="white")
            pen.text(place, words, font=font, anchor="lb", fill=colour)
        with atomic_write(path) as handle:
            page.save(handle, format="PNG")


def _sign(each: LetterOnPage, script: str) -> str:
    if each.refused:
        return "[?]"
    first, *others = each.alternatives[:MAX_ALTERNATIVES]
    likely = [first, *(other for other in others if other.probability >= MIN_ALTERNATIVE)]
    signs = [getattr(alternative, script) for alternative in likely]
    return signs[0] if each.certain else f"[{'|'.join(signs)}]"
