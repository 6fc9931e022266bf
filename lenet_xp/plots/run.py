"""The pictures of a finished run: learning curves, filters, feature maps, and its scores."""

from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp import plots
from lenet_xp.data.dataset import Dataset
from lenet_xp.data.splits import Split
from lenet_xp.inference import feature_maps
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.model_file import SavedModel
from lenet_xp.scores.summary import TARGETS, Scores

SHOWN_LETTER = "yaz"  # ⵣ, the emblem of the Amazigh people


def draw_run(
    folder: Path,
    saved: SavedModel,
    dataset: Dataset,
    split: Split,
    history: list[dict[str, Any]],
    scores: Scores,
) -> None:
    """Write the pictures of a run into `folder`; the scores are of the split's test images."""
    plots.learning_curves(history, folder / "learning_curves.png")
    image = _shown_image(saved, dataset, split)
    maps = feature_maps(saved.model, image, saved.preprocessing)
    plots.feature_maps(image, maps, folder / "feature_maps.png")
    weight = saved.model.ops.to_host(saved.model.parameters()["C1.weight"].value)
    plots.filters(weight, folder / "c1_filters.png")
    draw_scores(folder, scores, dataset.images[split.test])


def draw_scores(folder: Path, scores: Scores, images: np.ndarray) -> None:
    """Write the pictures of scores into `folder`; images: (N, S, S) uint8, ink 255 on paper 0."""
    plots.confusion_matrix(scores.confusion, scores.class_names, folder / "confusion_matrix.png")
    plots.per_class_scores(scores, folder / "per_class.png")
    plots.confused_pairs(scores, folder / "confused_pairs.png")
    plots.misclassified(images, scores, folder / "misclassified.png")
    curves = {"as trained": scores.calibration.bins}
    if scores.temperature != 1.0:
        curves[f"at temperature {scores.temperature:.2f}"] = scores.calibration_scaled.bins
    plots.reliability(curves, folder / "reliability.png")
    plots.rejection(scores.rejection, TARGETS, folder / "rejection.png")
    if scores.per_group is not None:
        plots.per_group(scores.per_group, folder / "per_writer.png")


def _shown_image(saved: SavedModel, dataset: Dataset, split: Split) -> np.ndarray:
    """Return a generated letter if the model reads letters: nobody else owns that picture."""
    if SHOWN_LETTER not in dataset.class_names:
        return np.asarray(dataset.images[split.test[0]])
    pictures, labels = generate(1, seed=0)
    names = [letter.name for letter in letters()]
    chosen = int(np.flatnonzero(labels == names.index(SHOWN_LETTER))[0])
    return saved.preprocessing.apply(pictures[chosen])
