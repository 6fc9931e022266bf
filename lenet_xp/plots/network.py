"""Pictures of a network's inside: its kernels, and the feature maps of one image."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from lenet_xp.plots.canvas import GREY, INK, add_axes, new_page, place_image, save, write
from lenet_xp.system.files import FilePath

COLOURS = "RdBu_r"  # blue below zero, white at zero, red above: distinct in colour blindness
LABEL = 1.2  # inches: for the text left of a row
MARGIN = 0.3  # inches: around the page
BAR = 1.0  # inches: for the colour scale right of a row
ROW = 9.6  # inches: for the maps of a row
GAP = 0.06  # inches: between two maps


def feature_maps(image: np.ndarray, stages: Mapping[str, np.ndarray], path: FilePath) -> None:
    """Draw an image and the feature maps that a network computes from it as a PNG file.

    image: (S, S), ink high, paper low. stages: name -> (maps, H, W) float array, in order; the maps
    of a stage share one colour scale, symmetric about zero.
    """
    columns = 8 if max(map(len, stages.values())) <= 16 else 16
    step = ROW / columns
    heights = [step * -(-len(maps) // columns) + 0.2 for maps in stages.values()]
    figure, page = new_page(LABEL + ROW + BAR + MARGIN, 2 * MARGIN + step + 0.2 + sum(heights))
    _label_row(page, MARGIN, "Input", f"{image.shape[0]}×{image.shape[1]}")
    place_image(page, image, LABEL, MARGIN, step - GAP, cmap="gray_r")
    top = MARGIN + step + 0.2
    for (name, maps), height in zip(stages.items(), heights, strict=True):
        count, rows, across = maps.shape
        _label_row(page, top, name, f"{count} maps\n{rows}×{across}")
        _draw_tiles(figure, page, maps, top, columns, step)
        top += height
    save(figure, path)


def filters(weights: np.ndarray, path: FilePath) -> None:
    """Draw a convolution's kernels as a PNG file: a column per output map, a row per input map.

    weights: (O, C, k, k) float array; all kernels share one colour scale, symmetric about zero.
    """
    outputs, inputs, rows, across = weights.shape
    step = min(1.4, ROW / outputs)
    width = LABEL + max(outputs * step, 3.0) + BAR + MARGIN
    figure, page = new_page(width, 2 * MARGIN + 0.2 + max(inputs * step, 1.0))
    _label_row(page, MARGIN + 0.2, "Filters", f"{outputs} of\n{rows}×{across}")
    tiles = weights.swapaxes(0, 1).reshape(-1, rows, across)
    _draw_tiles(figure, page, tiles, MARGIN + 0.2, outputs, step)
    for index in range(outputs):
        x = LABEL + index * step + (step - GAP) / 2
        write(page, x, MARGIN + 0.06, str(index + 1), 10, ha="center", color=GREY)
    save(figure, path)


def _label_row(page: Axes, top: float, name: str, size: str) -> None:
    write(page, MARGIN, top + 0.12, name, 13, weight="bold")
    write(page, MARGIN, top + 0.3, size, 9, va="top", color=GREY)


def _draw_tiles(
    figure: Figure, page: Axes, tiles: np.ndarray, top: float, columns: int, step: float
) -> None:
    """Draw (N, H, W) tiles, `columns` in a row, `step` inches apart, with their colour scale."""
    finite = np.abs(tiles[np.isfinite(tiles)])
    limit = float(finite.max(initial=0)) or 1.0
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        left, below = LABEL + column * step, top + row * step
        place_image(page, tile, left, below, step - GAP, cmap=COLOURS, vmin=-limit, vmax=limit)
    right = LABEL + min(len(tiles), columns) * step + 0.1
    bar = figure.colorbar(
        ScalarMappable(Normalize(-limit, limit), COLOURS),
        cax=add_axes(figure, right, top, 0.12, max(step - GAP, 0.9)),
        ticks=(-limit, 0, limit),
    )
    bar.ax.set_yticklabels([f"−{limit:.2g}", "0", f"{limit:.2g}"], fontsize=9, color=INK)
    bar.ax.tick_params(length=0)
    bar.outline.set_visible(False)
