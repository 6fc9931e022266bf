"""The effect of each option of a search on accuracy."""

import os
from collections.abc import Mapping
from typing import Any

from lenet_xp.plots.canvas import (
    BLUE,
    GREY,
    ORANGE,
    add_axes,
    finished,
    new_figure,
    save,
    style_axes,
    title,
)


def option_effects(outcome: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Draw the effect of each option on validation accuracy, for each outer fold and for all.

    outcome: the result of `studies.search.run.search`. Raises InputError when `path` cannot be
    written.
    """
    whole, folds = outcome["all"], outcome["folds"]
    names = list(whole["effects"])
    height = 0.42 * len(names) + 0.2
    figure = new_figure(9.6, height + 1.6)
    axes = add_axes(figure, 2.9, 0.6, 6.2, height)
    axes.axvline(0, color=GREY, linewidth=1)
    for place, name in enumerate(names):
        effect, error = 100 * whole["effects"][name], 100 * whole["error"]
        own = [100 * fold["effects"][name] for fold in folds]
        axes.plot(own, [place] * len(own), "o", color=BLUE, markersize=5, fillstyle="none")
        axes.hlines(place, effect - error, effect + error, color=ORANGE, linewidth=2)
        axes.plot(effect, place, "D", color=ORANGE, markersize=7)
    axes.plot([], [], "D", color=ORANGE, label="all runs, with the standard error")
    axes.plot([], [], "o", color=BLUE, fillstyle="none", label="runs blind to one outer fold")
    axes.set_yticks(range(len(names)), names, fontsize=11)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("effect on validation accuracy, percentage points")
    style_axes(axes, "x")
    figure.legend(loc="lower left", ncols=2, frameon=False, fontsize=10)
    title(axes, "What each option does, on writers never seen")
    save(finished(figure), path)
