"""The picture of a confusion matrix, legible with 2 and with 33 classes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

from lenet_xp.letters.alphabet import letter
from lenet_xp.plots import canvas
from lenet_xp.plots.canvas import BLUE, FAINT, INK, ORANGE, percent, shortened

RIGHT = LinearSegmentedColormap.from_list("right", ["white", BLUE])
WRONG = LinearSegmentedColormap.from_list("wrong", ["white", ORANGE])
SHARES = PowerNorm(0.4, 0, 1)  # an exponent below 1 spreads the small shares of rare errors
MANY_CLASSES = 20  # classes: with more, cells are small and the diagonal has no counts


def confusion_matrix(confusion: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Draw a confusion matrix (C, C), rows true.

    A cell's colour is its share of the row, blue for images read right, orange for errors. Counts
    above zero are printed; with more than 20 classes, those of errors only.
    """
    count = len(class_names)
    cell = min(np.clip(5 / count, 0.34, 1.0), 22 / count)  # inches
    side = count * cell
    brief = all(len(name) <= 2 and not canvas.in_alphabet(name) for name in class_names)
    longest = max(len(shortened(name)) for name in class_names)
    left, top, below = (0.9 if brief else 1.95), 0.75, max(1.0, 0.11 * longest + 0.6)
    width, height = left + side + 1.7, top + max(side, 2.2) + below
    figure, page = canvas.new_page(width, height)
    # The origin is the matrix's own corner, so the margins matter only here.
    page.set(xlim=(-left, width - left), ylim=(height - top, -top))
    _draw_cells(page, confusion, cell)
    _label_classes(page, class_names, cell)
    canvas.write(page, 0.3 - left, side / 2, "true", 12, ha="center", rotation=90)
    canvas.write(page, side / 2, side + below - 0.25, "read as", 12, ha="center")
    _draw_scale(page, side + 0.35, 0.25)
    hits, total = int(np.trace(confusion)), int(confusion.sum())
    heading = f"{hits} of {total} read right ({percent(hits / max(total, 1), digits=2)})"
    canvas.write(page, 0, -0.3, heading, 14, weight="bold")
    return canvas.finished(figure)


def _draw_cells(page: Axes, confusion: np.ndarray, cell: float) -> None:
    count = len(confusion)
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(count, dtype=bool)
    colours = np.where(diagonal[..., None], RIGHT(SHARES(share)), WRONG(SHARES(share)))
    canvas.place_image(page, colours, 0, 0, count * cell)
    for draw in (page.hlines, page.vlines):
        draw(np.arange(count + 1) * cell, 0, count * cell, color=FAINT, linewidth=0.6)
    size = 9 if count > MANY_CLASSES else 12
    shown = (confusion > 0) & ~(diagonal & (count > MANY_CLASSES))
    for row, column in np.argwhere(shown):
        colour = INK if share[row, column] < 0.4 else "white"
        x, y = (column + 0.5) * cell, (row + 0.5) * cell
        canvas.write(page, x, y, str(confusion[row, column]), size, ha="center", color=colour)


def _label_classes(page: Axes, class_names: Sequence[str], cell: float) -> None:
    """Label the rows (class, Latin letter, glyph) and the columns (glyph above Latin letter)."""
    bottom = len(class_names) * cell + 0.15
    for index, name in enumerate(class_names):
        place = (index + 0.5) * cell
        row = column = shortened(name)
        turn = 0 if len(name) <= 2 else 90
        if canvas.in_alphabet(name):
            known = letter(name)
            canvas.write(page, -0.95, place, name, 12, ha="right")
            canvas.write(page, -0.66, place, known.latin, 12, ha="center")
            row, column, turn = known.glyph, f"{known.glyph}\n{known.latin}", 0
        canvas.write(page, -0.12, place, row, 12, ha="right")
        canvas.write(page, place, bottom, column, 12, ha="center", va="top", rotation=turn)


def _draw_scale(page: Axes, left: float, top: float) -> None:
    """Draw the scales of the two colours, with one column of percentages between them."""
    width, height = 0.16, 1.76
    steps = np.linspace(1, 0, 11 * 24)[:, None]
    for colours, name, shift in ((RIGHT, "right", 0.0), (WRONG, "wrong", 0.85)):
        canvas.place_image(page, colours(np.repeat(steps, 24, axis=1)), left + shift, top, width)
        canvas.write(page, left + shift + width / 2, top - 0.14, name, 10, ha="center")
    for tick in (0, 0.01, 0.05, 0.2, 0.5, 1):
        y = top + height * (1 - SHARES(tick))
        canvas.write(page, left + 0.5, y, percent(tick, digits=0), 9, ha="center")
