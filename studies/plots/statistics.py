"""Histograms of picture statistics of two data sets."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lenet_xp.plots.canvas import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    add_axes,
    finished,
    new_figure,
    percent,
    save,
    style_axes,
    title,
)

COLOURS = (BLUE, ORANGE)
BINS = 40


def compare_statistics(
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    names: tuple[str, str],
    path: str | os.PathLike[str],
) -> None:
    """Draw the distribution of each statistic over the images of two data sets.

    first, second: statistic -> (N,) array, one value per image; both hold the same statistics.
    The title of "stroke_width" is "Stroke width". Numbers become two histograms of equal area, with
    lines at their medians; bool values become two bars of shares. names: of the two data sets.
    Raises InputError when `path` cannot be written.
    """
    wide, high, margin, head = 4.0, 2.3, 0.3, 0.9  # inches
    columns = min(3, len(first))
    rows = -(-len(first) // columns)
    figure = new_figure(margin + columns * (wide + margin), head + rows * (high + 0.75))
    for place, key in enumerate(first):
        row, column = divmod(place, columns)
        left, top = margin + column * (wide + margin), head + row * (high + 0.75)
        axes = add_axes(figure, left, top, wide, high)
        draw = _draw_shares if first[key].dtype == bool else _draw_histograms
        draw(axes, (first[key], second[key]))
        title(axes, key.replace("_", " ").capitalize())
    handles: list[Artist] = [Patch(color=colour, alpha=0.6) for colour in COLOURS]
    handles.append(Line2D([], [], color=GREY, linestyle="--"))
    figure.legend(
        handles, (*names, "median"), loc="upper left", ncols=3, frameon=False, fontsize=12
    )
    save(finished(figure), path)


def _draw_histograms(axes: Axes, pair: Sequence[np.ndarray]) -> None:
    edges = _bin_edges(np.concatenate(pair))
    for values, colour in zip(pair, COLOURS, strict=True):
        density, _ = np.histogram(values, edges, density=True)
        axes.stairs(density, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(density, edges, color=colour, linewidth=1.5)
        axes.axvline(np.median(values), color=colour, linewidth=1.5, linestyle="--")
    style_axes(axes, "x")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _draw_shares(axes: Axes, pair: Sequence[np.ndarray]) -> None:
    shares = [float(np.mean(values)) for values in pair]
    bars = axes.barh([0, 1], shares, height=0.6, color=COLOURS, alpha=0.6)
    axes.bar_label(bars, [percent(share) for share in shares], padding=4, color=INK)
    axes.set_xlim(0, 1.2)
    axes.set_ylim(1.7, -0.7)
    style_axes(axes, "x")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines["bottom"].set_visible(False)


def _bin_edges(values: np.ndarray) -> np.ndarray:
    """The edges of about 40 bins; whole numbers get bins of whole width, so that none is empty."""
    if np.issubdtype(values.dtype, np.integer):
        low, high = int(values.min()), int(values.max())
        step = max(1, round((high - low) / BINS))
        edges: np.ndarray = np.arange(low, high + step + 1, step) - 0.5
        return edges
    # One extreme image would stretch the axis and leave all others in one bin.
    start, end = (float(np.percentile(values, each)) for each in (0, 99.8))
    return np.linspace(start, end, BINS + 1)
