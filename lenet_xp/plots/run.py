"""What a finished run leaves to look at: curves, reports, filters and feature maps."""

from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp import plots
from lenet_xp.data.alphabet import letters
from lenet_xp.data.dataset import Dataset
from lenet_xp.data.splits import Split
from lenet_xp.data.synthetic import generate
from lenet_xp.inference import feature_maps
from lenet_xp.model_file import SavedModel
from lenet_xp.scores.tables import write_analysis

SHOWN_LETTER = "yaz"  # ⵣ, the emblem of the Amazigh people


def draw_run(
    out: Path,
    saved: SavedModel,
    dataset: Dataset,
    split: Split,
    history: list[dict[str, Any]],
    probabilities: np.ndarray,
    groups: np.ndarray | None = None,
) -> None:
    """Write the pictures and reports of a run; probabilities (N, K) are of the test images.

    They are as trained, without the temperature. groups: (N,) writers of the test images, if known.
    """
    plots.learning_curves(history, out / "learning_curves.png")
    image = _shown_image(saved, dataset, split)
    maps = feature_maps(saved.model, image, saved.preprocessing)
    plots.feature_maps(image, maps, out / "feature_maps.png")
    weight = saved.model.ops.to_host(saved.model.parameters()["C1.weight"].value)
    plots.filters(weight, out / "c1_filters.png")
    write_analysis(
        out,
        dataset.labels[split.test],
        probabilities,
        dataset.class_names,
        images=dataset.images[split.test],
        temperature=saved.temperature,
        groups=groups,
    )


def _shown_image(saved: SavedModel, dataset: Dataset, split: Split) -> np.ndarray:
    """A generated letter if the model reads letters, so that the picture is free to share."""
    if SHOWN_LETTER not in dataset.class_names:
        first: np.ndarray = dataset.images[split.test[0]]
        return first
    pictures, labels = generate(1, seed=0)
    names = [letter.name for letter in letters()]
    chosen = int(np.flatnonzero(labels == names.index(SHOWN_LETTER))[0])
    return saved.preprocessing.apply(pictures[chosen])
