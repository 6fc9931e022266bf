"""Pictures of a network's inside: its kernels, and what it makes of one image."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure

from lenet_xp.plots import canvas
from lenet_xp.plots.canvas import GREY, INK, add_axes, place_image, shortened, write

COLOURS = "RdBu_r"  # blue below zero, white at zero, red above: distinct in colour blindness
LABEL = 1.2  # inches: for the text left of a row, if that is short
MARGIN = 0.3  # inches: around the page
BAR = 1.0  # inches: for the colour scale right of a row
ROW = 9.6  # inches: for the maps of a row
GAP = 0.06  # inches: between two maps
COLUMNS, ROWS = 16, 24  # maps: a picture must fit a screen or two
Point = tuple[float, float]  # inches: from the page's left, from its top


def feature_maps(image: np.ndarray, stages: Mapping[str, np.ndarray]) -> Figure:
    """Draw an image and the feature maps that a network computes from it.

    image: (S, S), ink high, paper low, or in colour (S, S, 3). stages: name -> (maps, H, W) float
    array, in order; the maps of a stage share one colour scale, symmetric about zero. Of a stage
    that has more maps than fit, the first are drawn.
    """
    few = len(stages) <= 6 and max(map(len, stages.values()), default=0) <= COLUMNS
    columns = 8 if few else COLUMNS
    step, most = ROW / columns, columns * max(1, ROWS // max(1, len(stages)))
    heights = [max(step * -(-len(maps[:most]) // columns) + 0.2, 1.1) for maps in stages.values()]
    left = max(LABEL, MARGIN + 0.14 * max(len(shortened(name)) for name in ("Input", *stages)))
    top = MARGIN + step + 0.2
    figure, page = canvas.new_page(left + ROW + BAR + MARGIN, top + sum(heights) + MARGIN)
    _label_row(page, MARGIN, "Input", f"{image.shape[0]}×{image.shape[1]}")
    place_image(page, image, left, MARGIN, step - GAP, cmap="gray_r")
    for (name, maps), height in zip(stages.items(), heights, strict=True):
        count, rows, across = maps.shape
        first = f"first {most} of\n" if count > most else ""
        _label_row(page, top, shortened(name), f"{first}{count} maps\n{rows}×{across}")
        _draw_tiles(figure, maps[:most], (left, top), columns, step, maps)
        top += height
    return canvas.finished(figure)


def filters(weights: np.ndarray) -> Figure:
    """Draw a convolution's kernels: a column per output map, a row per input map.

    weights: (O, C, k, k) float array; all kernels share one colour scale, symmetric about zero.
    More than 16 columns are drawn in blocks; of more kernels than fit, the first are drawn.
    """
    outputs, inputs, rows, across = weights.shape
    columns, size = min(outputs, COLUMNS), f"{outputs} of\n{rows}×{across}"
    weights = weights[: columns * max(1, COLUMNS // inputs), :COLUMNS]
    if weights.shape[:2] != (outputs, inputs):
        size += f"\nfirst {len(weights)},\nfor {weights.shape[1]} inputs"
    step, blocks = min(1.4, ROW / columns), range(0, len(weights), columns)
    block = 0.2 + max(weights.shape[1] * step, 1.0)
    width = LABEL + max(columns * step, 3.0) + BAR + MARGIN
    figure, page = canvas.new_page(width, 2 * MARGIN + block * len(blocks))
    _label_row(page, MARGIN + 0.2, "Filters", size)
    for top, start in enumerate(blocks):
        spot = LABEL, MARGIN + 0.2 + top * block
        part = weights[start : start + columns].swapaxes(0, 1)
        _draw_tiles(figure, part.reshape(-1, rows, across), spot, part.shape[1], step, weights)
        for index in range(part.shape[1]):
            x, number = LABEL + index * step + (step - GAP) / 2, str(start + index + 1)
            write(page, x, spot[1] - 0.14, number, 10, ha="center", color=GREY)
    return canvas.finished(figure)


def saliency(image: np.ndarray, gradient: np.ndarray, ax: Axes | None = None) -> Figure:
    """Draw how much each pixel changes an answer over the pale image, into `ax` if given.

    image: (S, S) uint8, ink high, or in colour (S, S, 3). gradient: (C, S, S), of a logit or loss;
    its largest size over the channels is drawn (Simonyan et al. 2014, section 3). Raises ValueError
    where the two do not fit.
    """
    if gradient.ndim != 3 or gradient.shape[1:] != image.shape[:2]:
        raise ValueError(f"a gradient {gradient.shape} is not of an image {image.shape}")
    axes, known = canvas.axes_or_new(ax, 4.4, 4.8, 0.3, 0.6, 3.8, 3.8)
    change = np.abs(np.nan_to_num(gradient)).max(axis=0)[..., None]
    paper = 255 - image if image.ndim == 3 else image[..., None]
    pale = 1 - paper / (3 * 255)  # with a third of its contrast
    axes.imshow(pale + change / (change.max() or 1) * (to_rgb(canvas.ORANGE) - pale))
    axes.set_axis_off()
    canvas.title(axes, "What changes the answer")
    return canvas.finished(axes, known)


def _label_row(page: Axes, top: float, name: str, size: str) -> None:
    write(page, MARGIN, top + 0.12, name, 13, weight="bold")
    write(page, MARGIN, top + 0.3, size, 9, va="top", color=GREY)


def _draw_tiles(
    figure: Figure, tiles: np.ndarray, at: Point, columns: int, step: float, of: np.ndarray
) -> None:
    """Draw (N, H, W) tiles, `columns` in a row, `step` inches apart, on the scale of `of`."""
    limit = float(np.abs(of[np.isfinite(of)]).max(initial=0)) or 1.0
    width = (step - GAP) * min(1.0, tiles.shape[2] / tiles.shape[1])
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        left, below = at[0] + column * step, at[1] + row * step
        place_image(figure.axes[0], tile, left, below, width, cmap=COLOURS, vmin=-limit, vmax=limit)
    right = at[0] + min(len(tiles), columns) * step + 0.1
    bar = figure.colorbar(
        ScalarMappable(Normalize(-limit, limit), COLOURS),
        cax=add_axes(figure, right, at[1], 0.12, max(step - GAP, 0.9)),
        ticks=(-limit, 0, limit),
    )
    bar.ax.set_yticklabels([f"−{limit:.2g}", "0", f"{limit:.2g}"], fontsize=9, color=INK)
    bar.ax.tick_params(length=0)
    bar.outline.set_visible(False)
