"""Pictures of how reliable a network is: calibration, rejection, and accuracy by writer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lenet_xp.plots import canvas
from lenet_xp.plots.canvas import BLUE, GREEN, GREY, ORANGE, percent
from lenet_xp.scores.calibration import Reliability, expected_calibration_error
from lenet_xp.scores.intervals import wilson_interval
from lenet_xp.scores.metrics import GroupScore, deviation
from lenet_xp.scores.rejection import RejectionCurve

STYLES = ((ORANGE, "s", "--"), (BLUE, "o", "-"))
IN_PERCENT: dict[str, Any] = {"xmax": 1, "symbol": " %"}
MAX_NAMED = 80  # groups: with more, their names would overlap


def reliability(curves: dict[str, Reliability]) -> Figure:
    """Draw one or two reliability diagrams by name.

    Whiskers are 95 % intervals: long ones where a bin holds few images. On the diagonal, accuracy
    equals confidence.
    """
    figure = canvas.new_figure(6.9, 6.0)
    axes = canvas.add_axes(figure, 1.1, 1.1, 5.4, 4.2)
    axes.plot((0, 1), (0, 1), ":", color=GREY, linewidth=1)
    for (name, curve), style in zip(curves.items(), STYLES, strict=False):
        ece = percent(expected_calibration_error(curve), digits=2)
        _draw_bins(axes, curve, style, f"{name} (calibration error {ece})")
    heading: dict[str, Any] = {"title": "Is it right as often as it says?", "alignment": "left"}
    heading["title_fontproperties"] = {"weight": "bold", "size": 12}
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1), frameon=False, **heading)
    canvas.style_axes(axes, "both")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.03, 1.03), ylabel="accuracy")
    axes.set_xlabel("confidence: the probability of the reading")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(**IN_PERCENT))
    return canvas.finished(figure)


def rejection(curve: RejectionCurve, targets: Sequence[float], ax: Axes | None = None) -> Figure:
    """Draw accuracy against coverage, with a mark at each target reached, into `ax` if given."""
    if not len(curve.coverage):
        return canvas.note("No images to answer", ax)
    axes, known = canvas.axes_or_new(ax, 8.6, 4.8, 1.1, 0.6, 7.1, 3.5)
    axes.plot(curve.coverage, curve.accuracy, color=BLUE)
    for target, colour, marker in zip(targets, (ORANGE, GREEN), "sD", strict=False):
        coverage = curve.coverage_at(target)
        if coverage > 0:
            label = f"{percent(target)} right: answer {percent(coverage)}"
            reached = curve.accuracy[np.searchsorted(curve.coverage, coverage)]
            axes.plot(coverage, reached, marker, color=colour, markersize=8, label=label)
    all_right = f"answer all: {percent(curve.accuracy[-1], 2)} right"
    axes.plot(curve.coverage[-1], curve.accuracy[-1], "o", color=BLUE, label=all_right)
    axes.legend(loc="lower left", frameon=False)
    errors = np.flatnonzero(curve.accuracy < 1)
    first = curve.coverage[errors[0]] if len(errors) else 1.0
    axes.set_xlim(max(0.0, 1 - 1.2 * (1 - first) - 0.02), 1.004)
    axes.set_ylim(top=1 + 0.05 * (1 - curve.accuracy.min()) + 0.0002)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(**IN_PERCENT))
    axes.set_xlabel("images answered, the least certain refused first")
    axes.set_ylabel("right among the answered")
    canvas.style_axes(axes, "both")
    canvas.title(axes, "Accuracy when the least certain are refused")
    return canvas.finished(axes, known)


def per_group(scores: Sequence[GroupScore], ax: Axes | None = None) -> Figure:
    """Draw each writer's accuracy and its 95 % interval in the given order, into `ax` if given."""
    if not scores:
        return canvas.note("No writers to compare", ax)
    named = len(scores) <= MAX_NAMED
    width = float(np.clip(0.19 * len(scores), 5.5, 15))
    axes, known = canvas.axes_or_new(ax, width + 1.4, 4.8, 1.0, 0.6, width, 3.4)
    places = np.arange(len(scores))
    accuracy = np.array([each.accuracy for each in scores])
    ends = np.array([wilson_interval(each.hits, each.images) for each in scores])
    axes.vlines(places, *ends.T, color=GREY, linewidth=1)
    axes.plot(places, accuracy, "o", color=BLUE, markersize=5)
    mean = float(accuracy.mean())
    axes.axhline(mean, color=ORANGE, linestyle="--", linewidth=1.2, zorder=0)
    axes.set_xlim(-0.8, len(scores) - 0.2)
    axes.set_xticks(places if named else [], [str(each.group) for each in scores] if named else [])
    axes.tick_params(axis="x", labelrotation=90, labelsize=9)
    axes.yaxis.set_major_formatter(PercentFormatter(**IN_PERCENT))
    who = "writer" if named else f"{len(scores)} writers"
    axes.set_xlabel(f"{who}, the worst first (whisker: 95 % interval, dashed: mean)")
    axes.set_ylabel("accuracy")
    canvas.style_axes(axes, "y")
    spread = f" ± {percent(deviation(scores), 2)}" if len(scores) > 1 else ""
    canvas.title(axes, f"Accuracy by writer: mean {percent(mean, 2)}{spread}")
    return canvas.finished(axes, known)


def _draw_bins(axes: Axes, curve: Reliability, style: tuple[str, str, str], label: str) -> None:
    """Draw each bin that is not empty at its mean confidence."""
    colour, marker, line = style
    filled = np.flatnonzero(curve.counts)
    x, y, counts = curve.confidence[filled], curve.accuracy[filled], curve.counts[filled]
    hits = np.rint(y * counts).astype(int)
    ends = [wilson_interval(h, n) for h, n in zip(hits.tolist(), counts.tolist(), strict=True)]
    axes.vlines(x, *np.reshape(ends, (-1, 2)).T, color=colour, linewidth=1, alpha=0.6)
    axes.plot(x, y, line, color=colour, marker=marker, markersize=5, label=label)
