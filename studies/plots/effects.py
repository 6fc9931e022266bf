"""A sheet of letters under each effect of the distortion, from weak to strong."""

import os
from collections.abc import Mapping

import numpy as np

from lenet_xp.plots.canvas import GREY, INK, finished, new_page, place_image, save
from lenet_xp.plots.letters import INK_ON_PAPER

FRAME = 36  # grey level: the line around each letter


def effect_sheet(
    letters: np.ndarray,
    effects: Mapping[str, Mapping[str, np.ndarray]],
    path: str | os.PathLike[str],
) -> None:
    """Draw a row for each effect: the letters as written, then changed at each strength.

    letters: (k, S, S) uint8, ink 255 on paper 0. effects: effect -> strength -> the letters changed
    by it, of the same shape. Raises InputError when `path` cannot be written.
    """
    tile, gap, head, margin = 0.56, 0.22, 0.24, 0.2  # inches
    label = 0.3 + 0.085 * max(map(len, effects))
    group, row = len(letters) * tile + gap, tile + head
    columns = 1 + max(map(len, effects.values()))
    figure, page = new_page(label + columns * group + margin, len(effects) * row + 2 * margin)
    for index, (name, strengths) in enumerate(effects.items()):
        top = margin + index * row
        page.text(label - 0.15, top + head + tile / 2, name, fontsize=11, ha="right", va="center",
                  color=INK)  # fmt: skip
        shown = {"as written" if index == 0 else "": letters, **strengths}
        for column, (strength, images) in enumerate(shown.items()):
            left = label + column * group
            framed = np.pad(images, ((0, 0), (1, 1), (1, 1)), constant_values=FRAME)
            strip = np.concatenate(np.pad(framed, ((0, 0), (0, 0), (1, 1))), axis=1)
            place_image(page, strip, left, top + head, group - gap, **INK_ON_PAPER)
            page.text(left + (group - gap) / 2, top + head - 0.1, strength, fontsize=9,
                      ha="center", va="center", color=GREY)  # fmt: skip
    save(finished(figure), path)
