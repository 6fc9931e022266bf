"""Pictures of a network's errors: the most confused pairs, and the scores of each class."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenet_xp.plots import canvas
from lenet_xp.plots.canvas import BLUE, FAINT, GREEN, INK, ORANGE, caption, percent, shortened
from lenet_xp.scores.summary import Scores

MAX_BARS = 15  # confused pairs: drawn in one picture


def confused_pairs(scores: Scores, ax: Axes | None = None) -> Figure:
    """Draw the counts of the 15 most confused pairs as bars, into `ax` if given."""
    pairs = scores.pairs[:MAX_BARS]
    if not pairs:
        return canvas.note(f"No confusions among {len(scores.labels)} images", ax)
    height = 0.36 * len(pairs)
    axes, known = canvas.axes_or_new(ax, 9, height + 0.8, 3.4, 0.6, 5.4, height)
    rows = np.arange(len(pairs))
    bars = axes.barh(rows, [pair.count for pair in pairs], height=0.62, color=ORANGE)
    labels = [f"{pair.count}  ({percent(pair.share)} of {shortened(pair.true)})" for pair in pairs]
    axes.bar_label(bars, labels, padding=5, color=INK, fontsize=10)
    names = [f"{caption(pair.true)}  read as  {caption(pair.predicted)}" for pair in pairs]
    axes.set_yticks(rows, names, fontsize=12)
    axes.set(ylim=(len(pairs) - 0.5, -0.5), xlim=(0, 1.5 * pairs[0].count), xticks=[])
    canvas.style_axes(axes, "x")
    axes.spines["bottom"].set_visible(False)
    canvas.title(axes, "Most confused pairs")
    return canvas.finished(axes, known)


def per_class_scores(scores: Scores, ax: Axes | None = None) -> Figure:
    """Draw F1, precision and recall of each class that occurs, the worst F1 first, into any `ax`.

    They are points, because classes differ by about a percent and bars would have to start at zero.
    """
    occurring = np.union1d(scores.labels, scores.predictions)
    ranked = sorted((scores.per_class[place] for place in occurring), key=lambda each: each.f1)
    height = 0.28 * len(ranked) + 0.2
    axes, known = canvas.axes_or_new(ax, 8.6, height + 1.2, 1.6, 0.6, 6.7, height)
    rows = np.arange(len(ranked))
    precision, recall, f1 = 100 * np.array([(s.precision, s.recall, s.f1) for s in ranked]).T
    axes.hlines(rows, precision, recall, color=FAINT, linewidth=4)
    axes.plot(precision, rows, "<", color=ORANGE, markersize=8, label="precision")
    axes.plot(recall, rows, ">", color=GREEN, markersize=8, label="recall")
    axes.plot(f1, rows, "o", color=BLUE, markersize=6, label="F1")
    axes.set_yticks(rows, [caption(each.name) for each in ranked], fontsize=12)
    axes.set_ylim(len(ranked) - 0.4, -0.6)
    axes.set_xlim(right=min(axes.get_xlim()[1], 100.5))  # room for a marker at 100, no tick above
    canvas.style_axes(axes, "both")
    axes.set_xlabel("%")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False)
    if ax is not None:
        axes.legend(frameon=False)  # inside, for beside the title may be too little room
    canvas.title(axes, f"Scores by class (macro F1 {percent(scores.macro_f1, digits=2)})")
    return canvas.finished(axes, known)
