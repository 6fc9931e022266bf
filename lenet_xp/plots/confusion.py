"""The picture of a confusion matrix, legible at 33 classes as at 2."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm

from lenet_xp.letters.alphabet import letter
from lenet_xp.plots.canvas import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    in_alphabet,
    new_page,
    percent,
    place_image,
    save,
    shortened,
)

RIGHT = LinearSegmentedColormap.from_list("right", ["white", BLUE])
WRONG = LinearSegmentedColormap.from_list("wrong", ["white", ORANGE])
# Below 1 the exponent lifts the pale end, where the errors of a good network lie.
SHARES = PowerNorm(0.4, 0, 1)
MANY_CLASSES = 20


def confusion_matrix(
    confusion: np.ndarray, class_names: Sequence[str], path: str | os.PathLike[str]
) -> None:
    """Draw (C, C) counts, rows true: blue is the share of its row read right, orange wrong.

    The counts stand in all cells that are not zero; past 20 classes only in the wrong ones.
    Raises InputError when `path` cannot be written.
    """
    count = len(class_names)
    cell = min(np.clip(5 / count, 0.34, 1.0), 22 / count)  # inches
    side = count * cell
    brief = all(len(name) <= 2 and not in_alphabet(name) for name in class_names)
    longest = max(len(shortened(name)) for name in class_names)
    left, top, below = (0.9 if brief else 1.95), 0.75, max(1.0, 0.11 * longest + 0.6)
    width, height = left + side + 1.7, top + max(side, 2.2) + below
    figure, page = new_page(width, height)
    # The origin in the matrix's own corner, so that nothing below needs to know the margins.
    page.set(xlim=(-left, width - left), ylim=(height - top, -top))
    _draw_cells(page, confusion, cell)
    _label_classes(page, class_names, cell)
    centred: dict[str, Any] = {"fontsize": 12, "ha": "center", "va": "center", "color": INK}
    page.text(0.3 - left, side / 2, "true", rotation=90, **centred)
    page.text(side / 2, side + below - 0.25, "read as", **centred)
    _draw_scale(page, side + 0.35, 0.25)
    hits, total = int(np.trace(confusion)), int(confusion.sum())
    heading = f"{hits} of {total} read right ({percent(hits / max(total, 1), digits=2)})"
    page.text(0, -0.3, heading, fontsize=14, weight="bold", va="center", color=INK)
    save(figure, path)


def _draw_cells(page: Axes, confusion: np.ndarray, cell: float) -> None:
    count = len(confusion)
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(count, dtype=bool)
    colours = np.where(diagonal[..., None], RIGHT(SHARES(share)), WRONG(SHARES(share)))
    place_image(page, colours, 0, 0, count * cell)
    lines = np.arange(count + 1) * cell
    style: dict[str, Any] = {"color": FAINT, "linewidth": 0.6}
    page.hlines(lines, 0, count * cell, **style)
    page.vlines(lines, 0, count * cell, **style)
    shown = (confusion > 0) & ~(diagonal & (count > MANY_CLASSES))
    for row, column in np.argwhere(shown):
        page.text(
            (column + 0.5) * cell,
            (row + 0.5) * cell,
            str(confusion[row, column]),
            fontsize=9 if count > MANY_CLASSES else 12,
            ha="center",
            va="center",
            color=INK if share[row, column] < 0.4 else "white",
        )


def _label_classes(page: Axes, class_names: Sequence[str], cell: float) -> None:
    """Name the rows (class, Latin letter, glyph) and the columns (glyph over Latin letter)."""
    bottom = len(class_names) * cell + 0.15
    style: dict[str, Any] = {"fontsize": 12, "color": INK}
    for index, name in enumerate(class_names):
        place = (index + 0.5) * cell
        known = letter(name)
        if in_alphabet(name):
            page.text(-0.95, place, name, ha="right", va="center", **style)
            page.text(-0.66, place, known.latin, ha="center", va="center", **style)
            row, column = known.glyph, f"{known.glyph}\n{known.latin}"
        else:
            row = column = shortened(name)
        page.text(-0.12, place, row, ha="right", va="center", **style)
        turn = 0 if in_alphabet(name) or len(name) <= 2 else 90
        page.text(place, bottom, column, ha="center", va="top", rotation=turn, **style)


def _draw_scale(page: Axes, left: float, top: float) -> None:
    """Draw what the two colours mean, with one column of percentages between them."""
    width, height = 0.16, 1.76
    steps = np.linspace(1, 0, 11 * 24)[:, None]
    for colours, name, shift in ((RIGHT, "right", 0.0), (WRONG, "wrong", 0.85)):
        place_image(page, colours(np.repeat(steps, 24, axis=1)), left + shift, top, width)
        page.text(left + shift + width / 2, top - 0.14, name, fontsize=10, ha="center",
                  va="center", color=INK)  # fmt: skip
    for tick in (0, 0.01, 0.05, 0.2, 0.5, 1):
        page.text(left + 0.5, top + height * (1 - SHARES(tick)), percent(tick, digits=0),
                  fontsize=9, ha="center", va="center", color=INK)  # fmt: skip
