"""Sheets of handwriting: images that were read wrong, and samples of every class."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from lenet_xp.plots import canvas
from lenet_xp.plots.canvas import GREY, ORANGE, caption, percent
from lenet_xp.scores.summary import Scores

MAX_SHOWN = 40  # errors: drawn on one sheet by default
INK_ON_PAPER = {"cmap": "gray_r", "vmin": 0, "vmax": 255}


def misclassified(images: np.ndarray, scores: Scores, most: int = MAX_SHOWN) -> Figure:
    """Draw at `most` so many images that were read wrong, the least probable label first.

    images: (N, S, S) uint8, ink 255 on paper 0, or in colour (N, S, S, 3), in the scores' order.
    """
    labels, class_names = scores.labels, scores.class_names
    confidence = scores.probabilities.max(axis=1)
    errors, shown = scores.doubtful, scores.doubtful[:most]
    if len(shown) == 0:
        return canvas.note(f"No errors among {len(labels)} images")
    columns, head, cell, tile = 8, 0.7, 1.6, 1.15  # inches
    wide = max(cell, 1 + 0.075 * max(len(caption(name)) for name in class_names))
    rows = -(-len(shown) // columns)
    figure, page = canvas.new_page(columns * wide, head + rows * cell + 0.1)
    heading = f"{len(errors)} of {len(labels)} images read wrong"
    if len(errors) > len(shown):
        heading += f"; the {len(shown)} whose label is least probable"
    canvas.write(page, 0.2, 0.32, heading, 13, weight="bold")
    for place, index in enumerate(shown):
        row, column = divmod(place, columns)
        middle, top = (column + 0.5) * wide, head + row * cell
        canvas.place_image(page, images[index], middle - tile / 2, top, tile, **INK_ON_PAPER)
        truth, read = (caption(class_names[p[index]]) for p in (labels, scores.predictions))
        below = top + tile + 0.11
        canvas.write(page, middle, below, f"label: {truth}", 9, ha="center")
        answer = f"read: {read}  {percent(confidence[index], digits=0)}"
        canvas.write(page, middle, below + 0.17, answer, 9, ha="center", color=ORANGE)
    return canvas.finished(figure)


def letter_sheet(images: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Draw k samples of every class, a row per class after its name and glyph.

    images: (C, k, S, S) uint8, ink 255 on paper 0, or in colour (C, k, S, S, 3).
    """
    count, samples = images.shape[:2]
    blocks = 3 if count > 20 else 1  # side by side, because 33 rows are taller than a screen
    block_rows = -(-count // blocks)
    longest = max(len(caption(name)) for name in class_names)
    label, tile, margin = 0.4 + 0.1 * longest, 0.54, 0.2  # inches
    block = label + samples * tile + margin
    figure, page = canvas.new_page(blocks * block + margin, block_rows * tile + 2 * margin)
    frame = ((0, 0), (2, 2), (2, 2), (0, 0))[: images.ndim - 1]
    paper = 0 if images.ndim == 4 else 255
    for index, name in enumerate(class_names):
        column, row = divmod(index, block_rows)
        left, top = margin + column * block, margin + row * tile
        strip = np.concatenate(np.pad(images[index], frame, constant_values=paper), axis=1)
        style = {"interpolation": "bilinear", **INK_ON_PAPER}
        canvas.place_image(page, strip, left + label, top, samples * tile, **style)
        canvas.write(page, left + label - 0.12, top + tile / 2, caption(name), 13, ha="right")
        if row:
            page.plot([left, left + block - margin], [top - 0.01] * 2, color=GREY, linewidth=0.2)
    return canvas.finished(figure)
