"""The learning curve over the number of training writers."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import FixedLocator, NullLocator

from lenet_xp.plots.canvas import (
    BLUE,
    ORANGE,
    add_axes,
    finished,
    new_figure,
    save,
    style_axes,
    title,
)

STARTS = (("generated letters", BLUE, "-"), ("nothing", ORANGE, "--"))
TICKS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998)


def few_writers(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Draw the accuracy on unseen writers over the number of training writers.

    rows: the result of `studies.few_writers.learning_curve`. Raises InputError when `path` cannot
    be written.
    """
    figure = new_figure(7.2, 4.6)
    axes = add_axes(figure, 0.9, 0.5, 6.0, 3.4)
    counts = sorted({row["writers"] for row in rows})
    places = {count: place for place, count in enumerate(counts)}
    for start, color, line in STARTS:
        chosen = [row for row in rows if row["start"] == start]
        x = [places[row["writers"]] for row in chosen]
        errors = [1 - row["accuracy"] for row in chosen]
        axes.plot(x, errors, line, color=color, marker="o", label=f"from {start}")
        for left, error in zip(x, errors, strict=True):
            below = start == "generated letters"
            axes.annotate(
                f"{1 - error:.1%}",
                (left, error),
                xytext=(0, -6 if below else 6),
                textcoords="offset points",
                ha="center",
                va="top" if below else "bottom",
                color=color,
                fontsize=9,
            )
    axes.set_yscale("log")
    axes.invert_yaxis()
    axes.yaxis.set_major_locator(FixedLocator([1 - tick for tick in TICKS]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_yticklabels([f"{tick:.1%}" for tick in TICKS])
    axes.set_xticks(range(len(counts)), [str(count) for count in counts])
    axes.set_xlabel("writers learned from")
    axes.margins(x=0.08, y=0.15)
    style_axes(axes, "y")
    axes.legend(frameon=False, loc="lower right")
    title(axes, "Accuracy on 12 writers never seen")
    save(finished(figure), path)
