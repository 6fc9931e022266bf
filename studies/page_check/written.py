"""Letters laid on a page in lines, and where each of them stands."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.drawn_pages import INK_SHARE, aspect, lay
from lenet_xp.pictures.frame import Box

GAPS = (0.25, 0.5)  # heights: between the ink of two letters


@dataclass(frozen=True)
class Written:
    """A letter on a page: its class, the number of its line from the top, the box of its ink."""

    label: int
    line: int
    box: Box


def lay_line(
    cover: np.ndarray,
    images: Sequence[np.ndarray],
    labels: Sequence[int],
    start: tuple[int, int],
    height: int,
    number: int,
    rng: np.random.Generator,
    gaps: tuple[float, float] = GAPS,
) -> list[Written]:
    """Lay letters side by side, from left to right, as line `number` of a page.

    images: (S, S) uint8 dark on light, framed as in AMHCD. start: left and top in pixels. height:
    of a letter in pixels; frames vary by a tenth around it and their baseline by a twentieth. Their
    width is that of `aspect`. gaps: least and largest between the ink of two letters, in heights.
    ValueError for letters beyond the right edge of the page.
    """
    left, top = start
    written: list[Written] = []
    for image, label in zip(images, labels, strict=True):
        high = round(height * rng.uniform(0.9, 1.1))
        wide = round(high * aspect(letters()[label].name, rng))
        base = round(top + height * (1 + rng.uniform(-0.05, 0.05)))
        columns = np.flatnonzero((image < 255 - INK_SHARE * (255 - image.min())).any(0))
        blank = int(columns[0] * wide / image.shape[1])
        if left + wide > cover.shape[1] or base - high < 0:
            raise ValueError("the line does not fit on the page")
        box = lay(cover, image, (left - min(blank, left), base - high, wide, high))
        written.append(Written(int(label), number, box))
        left = box[0] + box[2] + round(height * rng.uniform(*gaps))
    return written
