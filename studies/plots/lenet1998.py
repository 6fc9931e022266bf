"""The LeNet-5 of 1998 beside today's: learning rates, kernels, and what both make of a letter."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenet_xp.plots import canvas
from lenet_xp.plots.canvas import BLUE, GREY, INK, ORANGE, place_image, write
from lenet_xp.plots.network import COLOURS, MARGIN

LEFT = 1.0  # inches: for the names of rows
GAP = 0.05  # inches: between two tiles
SHARES = 0.01, 0.25, 0.5, 0.75, 0.99  # of a layer's parameters: what is drawn of their rates


def learning_rates(rates: Mapping[str, np.ndarray]) -> Figure:
    """Draw the spread of the rates of each layer's parameters: layer -> (n,), all above 0."""
    height = 0.5 * len(rates)
    figure = canvas.new_figure(8.4, height + 1.5)
    axes = canvas.add_axes(figure, LEFT, 0.5, 7.0, height)
    for place, values in enumerate(rates.values()):
        low, first, middle, third, high = np.quantile(values, SHARES)
        axes.hlines(place, low, high, color=BLUE, linewidth=1.5)
        axes.hlines(place, first, third, color=BLUE, linewidth=9, alpha=0.45)
        axes.plot(middle, place, "D", color=ORANGE, markersize=6)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rates)), rates, fontsize=11)
    axes.set_ylim(len(rates) - 0.5, -0.5)
    axes.set_xlabel("rate of a parameter in the first pass: 0.0005 / (0.02 + h)")
    canvas.style_axes(axes, "x")
    canvas.title(axes, "Each parameter has its own rate: median, middle half, 1 to 99 %")
    return canvas.finished(figure)


def kernels(old: np.ndarray, connections: Sequence[Sequence[int]], new: np.ndarray) -> Figure:
    """Draw C3's kernels (16, 6, 5, 5) of 1998, blank where it is not connected, and of today."""
    step = 0.46
    width, block = LEFT + 16 * step + MARGIN, 6 * step + 0.75
    figure, page = canvas.new_page(width, 2 * block + MARGIN)
    seen = np.zeros(old.shape[:2], bool)
    for to, inputs in enumerate(connections):
        seen[to, list(inputs)] = True
    for top, title, weights, known in (
        (MARGIN, "C3 in 1998: each map sees 3, 4 or 6 of the maps below", old, seen),
        (MARGIN + block, "C3 today: each map sees all", new, np.ones_like(seen)),
    ):
        write(page, LEFT, top, title, 12, weight="bold")
        limit = float(np.abs(weights).max())
        for to, row in enumerate(weights):
            x = LEFT + to * step
            write(page, x + step / 2, top + 0.28, str(to), 8, ha="center", color=GREY)
            for source in np.flatnonzero(known[to]):
                place = x, top + 0.4 + source * step
                _tile(page, row[source], place, step, limit)
        for each in range(6):
            y = top + 0.4 + (each + 0.5) * step
            write(page, LEFT - 0.1, y, f"map {each}", 8, ha="right", color=GREY)
    return canvas.finished(figure)


def maps(
    image: np.ndarray, networks: Mapping[str, Mapping[str, np.ndarray]], columns: int = 8
) -> Figure:
    """Draw an image (S, S), ink high, and the maps of two networks side by side.

    networks: a network's name -> stages, name -> (maps, H, W).
    """
    step, gap = 0.56, 0.7
    stages = next(iter(networks.values()))
    rows = [-(-len(each) // columns) for each in stages.values()]
    across = columns * step + gap
    width = LEFT + across * len(networks) - gap + MARGIN
    figure, page = canvas.new_page(width, 2.0 + sum(rows) * step + 0.35 * len(rows))
    write(page, MARGIN, MARGIN + 0.5, "input", 11, weight="bold")
    place_image(page, image, LEFT, MARGIN, 1.1, cmap="gray_r")
    for number, (name, own) in enumerate(networks.items()):
        left, top = LEFT + number * across, 1.75
        write(page, left, top - 0.15, name, 12, weight="bold")
        for (stage, tiles), count in zip(own.items(), rows, strict=True):
            if not number:
                write(page, MARGIN, top + 0.35, stage, 11, weight="bold")
            limit = float(np.abs(tiles).max())
            for index, tile in enumerate(tiles):
                row, column = divmod(index, columns)
                _tile(page, tile, (left + column * step, top + row * step + 0.1), step, limit)
            top += count * step + 0.35
    return canvas.finished(figure)


def codes(answers: Mapping[str, np.ndarray], known: Mapping[str, np.ndarray]) -> Figure:
    """Draw what F6 makes of letters above their codes.

    answers: a letter -> (12, 7), by the network. known: a letter -> (12, 7) of 1 and -1.
    """
    step, high = 0.85, 0.85 * 12 / 7
    figure, page = canvas.new_page(LEFT + len(answers) * step + MARGIN, 2 * high + 1.0)
    for row, (word, bitmaps) in enumerate((("F6", answers), ("code", known))):
        top = 0.5 + row * (high + 0.15)
        write(page, MARGIN, top + high / 2, word, 11, weight="bold")
        for column, (name, bitmap) in enumerate(bitmaps.items()):
            left = LEFT + column * step
            how = {"cmap": "gray_r", "vmin": -1.2, "vmax": 1.2}
            place_image(page, bitmap, left, top, step - 2 * GAP, **how)
            if not row:
                caption = canvas.caption(name)
                write(page, left + step / 2 - GAP, 0.3, caption, 10, ha="center", color=INK)
    return canvas.finished(figure)


def _tile(page: Axes, tile: np.ndarray, at: tuple[float, float], step: float, limit: float) -> None:
    limit = limit or 1.0
    place_image(page, tile, *at, step - GAP, cmap=COLOURS, vmin=-limit, vmax=limit)
