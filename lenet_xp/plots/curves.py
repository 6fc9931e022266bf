"""The picture of a training run: loss, accuracy and learning rate over the epochs."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from lenet_xp.plots import canvas
from lenet_xp.plots.canvas import BLUE, GREEN, ORANGE, add_axes, style_axes, title

MIN_ERROR = 0.0005  # error rate: at which the logarithmic axis of accuracy ends
ACCURACIES = np.array([0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995])
LOSSES = np.outer(10.0 ** np.arange(-9, 10), (1, 2, 5)).ravel()
PARTS = (("train", "training", ORANGE, "--"), ("val", "validation", BLUE, "-"))


def learning_curves(history: Sequence[Mapping[str, float]]) -> Figure:
    """Draw loss, accuracy and learning rate over the epochs.

    history: a mapping per epoch with epoch, train_loss, train_accuracy, val_loss, val_accuracy
    (0 to 1), learning_rate and seconds. A value that is missing, None or not finite leaves a gap.
    """
    figure = canvas.new_figure(13.6, 4.4)
    places = ((0.8, 4.2), (6.0, 4.2), (11.1, 2.3))  # inches: from the left, and wide
    loss, accuracy, rate = (add_axes(figure, left, 0.5, width, 3.2) for left, width in places)
    epochs = _series(history, "epoch")
    losses = [_series(history, f"{part}_loss") for part, *_ in PARTS]
    _draw_parts(loss, epochs, losses, {loss: f"{loss:g}" for loss in LOSSES})
    title(loss, "Loss")
    # A logarithmic axis of the error: half the errors are one step up.
    rates = [np.maximum(1 - _series(history, f"{part}_accuracy"), MIN_ERROR) for part, *_ in PARTS]
    labels = [f"{100 * accuracy:g} %" for accuracy in ACCURACIES[:-1]] + ["≥ 99.95 %"]
    _draw_parts(accuracy, epochs, rates, dict(zip(1 - ACCURACIES, labels, strict=True)))
    accuracy.invert_yaxis()
    title(accuracy, "Accuracy")
    rate.plot(epochs, _series(history, "learning_rate"), color=GREEN, marker=".")
    rate.set_ylim(bottom=0)
    title(rate, "Learning rate")
    for axes in (loss, accuracy, rate):
        style_axes(axes, "both")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7, min_n_ticks=1))
        axes.set_xlabel("epoch")
    seconds = np.nansum(_series(history, "seconds"))
    rate.set_xlabel(f"epoch ({len(history)} took {seconds:.1f} s)")
    return canvas.finished(figure)


def _draw_parts(
    axes: Axes, epochs: np.ndarray, values: Sequence[np.ndarray], labels: Mapping[float, str]
) -> None:
    """Draw the values of PARTS on a logarithmic axis, labelled at the ticks that enclose them."""
    for (_, name, colour, line), each in zip(PARTS, values, strict=True):
        if np.isfinite(each).any():
            axes.plot(epochs, each, line, color=colour, marker=".", label=name)
    if axes.lines:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    seen = np.concatenate(values)
    seen = seen[np.isfinite(seen) & (seen > 0)]
    axes.set_yscale("log")
    ticks = np.array(list(labels))
    axes.set_yticks(ticks, list(labels.values()))
    axes.yaxis.set_minor_locator(NullLocator())
    low, high = (seen.min() * 1.001, seen.max() * 0.999) if len(seen) else (1.0, 1.0)
    below, above = ticks[ticks <= low], ticks[ticks >= high]
    axes.set_ylim(max(below, default=ticks.min()) / 1.05, min(above, default=ticks.max()) * 1.05)


def _series(history: Sequence[Mapping[str, float]], key: str) -> np.ndarray:
    """Return one value per epoch as (E,) float64, NaN where there is none."""
    values = np.array([epoch.get(key) for epoch in history], dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)
