"""The accuracies of several experiments in one picture."""

import os
from collections.abc import Sequence
from typing import Protocol

from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

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

TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)
MIN_ERROR = 0.0005  # share: errors below it are drawn as this, for a logarithm has no zero


class Experiment(Protocol):
    """A row of the picture. All values are shares from 0 to 1.

    accuracy: of one run, or the mean of `runs` where that holds several. interval: low and high.
    new_hands: whether the writers of the test were never seen in training.
    """

    @property
    def name(self) -> str: ...

    @property
    def accuracy(self) -> float: ...

    @property
    def interval(self) -> tuple[float, float]: ...

    @property
    def runs(self) -> Sequence[float]: ...

    @property
    def new_hands(self) -> bool: ...


def accuracies(rows: Sequence[Experiment], path: str | os.PathLike[str]) -> None:
    """Draw each accuracy as a dot with its interval, its runs as rings, one row below another.

    The axis is the logarithm of the error: halving the errors moves a dot one step to the right.
    Rows of writers never seen in training are orange. Raises InputError when `path` cannot be
    written.
    """
    height = 0.42 * len(rows) + 0.2
    figure = new_figure(10.4, height + 1.5)
    axes = add_axes(figure, 3.75, 0.6, 5.6, height)
    for place, row in enumerate(rows):
        colour = ORANGE if row.new_hands else BLUE
        # The axis is inverted below, so that better results stand to the right.
        low, high = (_error(end) for end in row.interval)
        axes.hlines(place, low, high, color=GREY, linewidth=1.5)
        errors = [_error(run) for run in row.runs]
        axes.plot(errors, [place] * len(errors), "o", color=colour, markersize=5, fillstyle="none")
        axes.plot(_error(row.accuracy), place, "o", color=colour, markersize=8)
        axes.annotate(
            percent(row.accuracy, 2),
            (1, place),
            xycoords=("axes fraction", "data"),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
            color=INK,
        )
    ends = [_error(each) for row in rows for each in (*row.interval, *row.runs)]
    axes.set_xscale("log")
    worst, best = 1.1 * max(ends), 0.9 * min(ends)
    axes.set_xlim(worst, best)
    shown = [tick for tick in TICKS if best <= 1 - tick <= worst]
    axes.set_xticks([1 - tick for tick in shown], [f"{100 * tick:g} %" for tick in shown])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=11)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("accuracy on test images")
    style_axes(axes, "x")
    colours = {"the others": BLUE, "AMHCD's writers, none seen in training": ORANGE}
    dots = [Line2D([], [], marker="o", linestyle="", color=colour) for colour in colours.values()]
    figure.legend(dots, colours, loc="lower left", ncols=2, frameon=False, fontsize=10)
    title(axes, "Accuracy by data and split")
    save(finished(figure), path)


def _error(accuracy: float) -> float:
    return max(1 - accuracy, MIN_ERROR)
