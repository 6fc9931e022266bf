"""What a run learns from: the training letters, and what is laid beside them on request."""

from collections.abc import Callable

import numpy as np

from lenet_xp.data.dataset import Dataset, check_class_names
from lenet_xp.data.sources import load_dataset
from lenet_xp.errors import InputError
from lenet_xp.letters import outliers
from lenet_xp.letters.drawn_pages import photograph
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.own_process import usable_cores
from lenet_xp.system.progress import progress_bar
from lenet_xp.training.loop import LabelledImages
from lenet_xp.training.plan import Plan


def training_images(
    plan: Plan,
    dataset: Dataset,
    chosen: np.ndarray,
    preprocessing: Preprocessing,
    check: Callable[[], None],
) -> LabelledImages:
    """The images that a run trains on, (N, *shape) uint8, and their labels (N,) int64.

    chosen: the training letters among the data set's. check: called now and then; what it raises
    ends the work. InputError for data that cannot be laid beside these.
    """
    images, labels = dataset.images[chosen], dataset.labels[chosen]
    parts = [(images, labels)]
    if plan.photos:
        names = [dataset.class_names[label] for label in labels]
        with progress_bar(plan.photos * len(images), "letters on drawn pages") as advance:

            def after_part(count: int) -> None:
                advance(count)
                check()

            cores = plan.threads or usable_cores()
            how = (preprocessing, plan.photos, plan.seed, cores, after_part)
            parts.append((photograph(images, names, *how), np.tile(labels, plan.photos)))
    for word in plan.beside:
        parts.append(_beside(word, plan, dataset, preprocessing))
        check()
    if plan.outliers:
        how = (images, dataset.class_names, preprocessing, plan.seed)
        others = outliers.prepared(plan.outliers, *how)
        parts.append((others, np.full(len(others), len(dataset.class_names))))
    return np.concatenate([part[0] for part in parts]), np.concatenate([p[1] for p in parts])


def _beside(
    word: str, plan: Plan, dataset: Dataset, preprocessing: Preprocessing
) -> LabelledImages:
    """All letters of another source, in the classes of the data set."""
    source, _, samples = word.rpartition(":")
    how = {"samples_per_class": int(samples), "seed": plan.seed, "cache": plan.cache}
    other = load_dataset(source, preprocessing, **how)
    try:
        return other.images, check_class_names(dataset.class_names, other)
    except InputError as error:
        raise InputError(f"--beside {word}: {error}") from error
