"""Printed words: letters of one design side by side, as close as print sets them."""

from collections.abc import Sequence

import numpy as np

from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.drawn_pages import lay
from lenet_xp.letters.print import Design, draw_letter
from studies.page_check.written import Written

WIDTHS = {"yu": 0.4, "yah": 0.9, "yal": 0.5, "yay": 0.5, "yi": 0.55, "yat": 0.6}
WIDTH = 0.75  # heights: of the other letters
YA = 0.45  # heights: of a `ya`, both ways
GAP = (0.06, 0.2)  # heights: between the ink of two letters, one gap for a design


def lay_word(
    cover: np.ndarray,
    labels: Sequence[int],
    start: tuple[int, int],
    height: int,
    number: int,
    design: Design,
    rng: np.random.Generator,
) -> list[Written]:
    """Print a word on a cover (H, W) float32, in place, as line `number` of its page.

    start: left and top in pixels. height: of the letters in pixels. A `ya` stands on the baseline
    or hangs from the top. ValueError for letters beyond the edge of the page.
    """
    left, top = start
    gap, wide, low = rng.uniform(*GAP), rng.uniform(0.75, 1.15), rng.random() < 0.7
    written: list[Written] = []
    for label in labels:
        name = letters()[label].name
        ink = draw_letter(name, design, rng)
        size = wide * (YA if name == "ya" else WIDTHS.get(name, WIDTH))
        if name == "yan":
            size = ink.shape[1] / ink.shape[0]  # a bar is as wide as its stroke
        width, high = max(1, round(height * size)), round(height * YA) if name == "ya" else height
        place = (left, top + (height - high) * low, width, high)
        if left + width > cover.shape[1] or top + height > cover.shape[0]:
            raise ValueError("the word does not fit on the page")
        box = lay(cover, 255 - ink, place)
        written.append(Written(int(label), number, box))
        left = box[0] + box[2] + max(1, round(gap * height))
    return written
