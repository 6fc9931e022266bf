"""The pictures that the report draws itself: of convolution, and from the records of runs."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.scores.calibration import Reliability
from lenet_xp.system.files import make_folder
from studies.report.facts import pooled_interval, pooled_writers
from studies.report.records import Missing, Records
from studies.report.scores import EXPERIMENTS, Experiment, interval_of

Draw = Callable[[str | os.PathLike[str]], None]


@dataclass(frozen=True)
class Accuracy:
    """A row of the picture of accuracies, as `studies.plots.accuracies.Experiment` describes it."""

    name: str
    accuracy: float
    interval: tuple[float, float]
    runs: tuple[float, ...]
    new_hands: bool


def accuracy(records: Records) -> Draw:
    """The accuracies of all experiments; those not measured yet are left out."""
    rows = []
    for each in EXPERIMENTS:
        try:
            rows.append(_row(records, each))
        except Missing as missing:
            last = missing
    if not rows:
        raise last

    def draw(path: str | os.PathLike[str]) -> None:
        from studies.plots.accuracies import accuracies  # matplotlib is slow to import

        accuracies(rows, path)

    return draw


def _row(records: Records, each: Experiment) -> Accuracy:
    found = records.value(each.record, each.field)
    name = each.name.replace("`", "")
    if not isinstance(found, dict):
        return Accuracy(name, found, interval_of(records, each), (), each.new_hands)
    runs = tuple(run[each.field] for run in records.runs(each.record))
    ends = found["min"], found["max"]
    if each.new_hands:
        ends = pooled_interval(records, each.record)
    return Accuracy(name, found["mean"], ends, runs, each.new_hands)


def per_writer(records: Records) -> Draw:
    scores = pooled_writers(records)

    def draw(path: str | os.PathLike[str]) -> None:
        from lenet_xp.plots import per_group, save

        save(per_group(scores), path)

    return draw


def reliability(records: Records) -> Draw:
    folds = records.json("writers-distilled", "calibration.json")
    curves = {
        "as trained": pooled([fold["before"]["bins"] for fold in folds]),
        "at each network's temperature": pooled([fold["after"]["bins"] for fold in folds]),
    }

    def draw(path: str | os.PathLike[str]) -> None:
        from lenet_xp.plots import reliability, save

        save(reliability(curves), path)

    return draw


def pooled(bins: list[Mapping[str, Any]]) -> Reliability:
    """Return the bins of all images together, from the bins of several tests."""
    counts = np.array([each["counts"] for each in bins])
    total = counts.sum(axis=0)
    whole = np.where(total == 0, np.nan, total)
    means = (
        # An empty bin has no mean and no weight.
        np.nan_to_num(np.array([each[name] for each in bins], np.float64)) * counts
        for name in ("confidence", "accuracy")
    )
    return Reliability(np.array(bins[0]["edges"]), total, *(m.sum(axis=0) / whole for m in means))


def product(records: Records) -> Draw:
    """One number of a convolution, as lesson 1 of the course draws it."""
    words = "a letter, 32 × 32", "patch", "kernel", "products", "sum ="

    def draw(path: str | os.PathLike[str]) -> None:
        from lenet_xp.plots.canvas import new_figure, save
        from studies.course.drawing import draw_product

        drawn, _ = generate(1, seed=11)
        yaz = Preprocessing().apply(drawn[[each.name for each in letters()].index("yaz")]) / 255
        figure, kernel = new_figure(11, 2.85), np.outer(np.ones(5), [-1, -1, 0, 1, 1])
        draw_product(figure, yaz, kernel, 14, 13, words)
        save(figure, path)

    return draw


def im2col(records: Records) -> Draw:
    """A small image as columns, and the product, as lesson 1 of the course draws them."""
    patches, column = "the four patches under\na kernel of 3 × 3", "each patch\nis a column: X"
    words = "image 4 × 4", patches, column, "the kernel as a row: W", "Y = W X,\nas a map"

    def draw(path: str | os.PathLike[str]) -> None:
        from lenet_xp.plots.canvas import new_figure, save
        from studies.course.drawing import draw_im2col

        figure = new_figure(11, 3.72)
        small = np.array([[0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 1, 1]])
        draw_im2col(figure, small, np.array([[-1, 0, 1]] * 3), words)
        save(figure, path)

    return draw


PICTURES: dict[str, Callable[[Records], Draw]] = {
    "accuracy.png": accuracy,
    "im2col.png": im2col,
    "per_writer.png": per_writer,
    "product.png": product,
    "reliability.png": reliability,
}


def draw_pictures(records: Records, folder: Path) -> None:
    """Draw the pictures whose records are there into `folder`, and remove the others.

    Raises InputError when a file cannot be written.
    """
    make_folder(folder)
    for name, make in PICTURES.items():
        try:
            make(records)(folder / name)
        except Missing:
            (folder / name).unlink(missing_ok=True)
