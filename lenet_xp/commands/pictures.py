"""The picture files of a finished run: learning curves, filters, feature maps, and its scores."""

from pathlib import Path

import numpy as np

from lenet_xp import plots
from lenet_xp.inference import feature_maps
from lenet_xp.layers import Conv2D
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.scores.summary import TARGETS, Scores
from lenet_xp.training.record import Finished

SHOWN_LETTER = "yaz"  # ⵣ, the emblem of the Amazigh people


def draw_run(run: Finished) -> None:
    """Write the pictures of a run into its folder: those that its network has something for."""
    plots.save(plots.learning_curves(run.history), run.out / "learning_curves.png")
    image, model = _shown_image(run), run.saved.model
    if maps := feature_maps(model, image, run.saved.preprocessing):
        plots.save(plots.feature_maps(image, maps), run.out / "feature_maps.png")
    if first := next((layer for layer in model.layers if isinstance(layer, Conv2D)), None):
        kernels = plots.filters(model.ops.to_host(first.weight.value))
        plots.save(kernels, run.out / "filters.png")
    draw_scores(run.out, run.scores, run.dataset.images[run.split.test])


def draw_scores(folder: Path, scores: Scores, images: np.ndarray) -> None:
    """Write the pictures of scores into `folder`; images: as `plots.misclassified` takes them."""
    matrix = plots.confusion_matrix(scores.confusion, scores.class_names)
    plots.save(matrix, folder / "confusion_matrix.png")
    plots.save(plots.per_class_scores(scores), folder / "per_class.png")
    plots.save(plots.confused_pairs(scores), folder / "confused_pairs.png")
    plots.save(plots.misclassified(images, scores), folder / "misclassified.png")
    curves = {"as trained": scores.calibration}
    if scores.temperature != 1.0:
        curves[f"at temperature {scores.temperature:.2f}"] = scores.calibration_scaled
    plots.save(plots.reliability(curves), folder / "reliability.png")
    plots.save(plots.rejection(scores.rejection, TARGETS), folder / "rejection.png")
    if scores.per_group is not None:
        plots.save(plots.per_group(scores.per_group), folder / "per_writer.png")


def _shown_image(run: Finished) -> np.ndarray:
    """Return a generated letter if the model reads letters: nobody else owns that picture."""
    if SHOWN_LETTER not in run.dataset.class_names:
        return np.asarray(run.dataset.images[run.split.test[0]])
    pictures, labels = generate(1, seed=0)
    shown = [letter.name for letter in letters()].index(SHOWN_LETTER)
    return run.saved.preprocessing.apply(pictures[labels == shown][0])
