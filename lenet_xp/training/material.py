"""What a run learns from: the training letters, and what is laid beside them on request."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from lenet_xp.data.dataset import Dataset, check_class_names
from lenet_xp.data.sources import GENERATORS, load_dataset
from lenet_xp.data.splits import digests
from lenet_xp.data.stream import Made
from lenet_xp.errors import InputError
from lenet_xp.letters import outliers
from lenet_xp.letters.photographs import photograph
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.own_process import usable_cores
from lenet_xp.system.progress import progress_bar
from lenet_xp.training.loop import LabelledImages
from lenet_xp.training.plan import Plan
from lenet_xp.training.start import MIN_SHARE

UNSEEN = 10_000  # added to a run's seed: what is generated from it is nothing that it learned from
MOST_UNSEEN = 50  # letters of each class


def training_images(
    plan: Plan,
    dataset: Dataset,
    chosen: np.ndarray,
    preprocessing: Preprocessing,
    beside: Sequence[LabelledImages],
    check: Callable[[], None],
) -> LabelledImages:
    """The images that a run trains on, (N, *shape) uint8, and their labels (N,) int64.

    chosen: the training letters among the data set's. beside: what `images_beside` gave. check:
    called now and then; what it raises ends the work.
    """
    labels = dataset.labels[chosen]
    if isinstance(dataset.images, Made):
        return dataset.images.alone(), labels
    images = dataset.images[chosen]
    parts = [(images, labels)]
    if plan.photos:
        letters = [dataset.class_names[label] for label in labels]
        with progress_bar(plan.photos * len(images), "letters on drawn pages") as advance:

            def after_part(count: int) -> None:
                advance(count)
                check()

            cores = plan.threads or usable_cores()
            pages = photograph(
                images, letters, preprocessing, plan.photos, plan.seed, cores, after_part
            )
        parts.append((pages, np.tile(labels, plan.photos)))
    own, parts = parts, [*parts, *beside]
    if plan.outliers:
        names = dataset.class_names
        others = outliers.prepared(plan.outliers, images, names, preprocessing, plan.seed)
        parts.append((others, np.full(len(others), len(dataset.class_names))))
    if plan.start:
        fresh, replayed = (sum(len(y) for _, y in side) for side in (own, parts[len(own) :]))
        parts += own * math.ceil(replayed * MIN_SHARE / (1 - MIN_SHARE) / fresh - 1)
    return np.concatenate([part[0] for part in parts]), np.concatenate([p[1] for p in parts])


def images_beside(
    plan: Plan,
    dataset: Dataset,
    preprocessing: Preprocessing,
    tested: set[str],
    say: Callable[[str], None],
    check: Callable[[], None],
) -> Iterator[LabelledImages]:
    """What each other source of a plan lays beside the data, in the data set's classes.

    tested: digests of images that validate or test the run; those are left out, and a line says so.
    check: see `training_images`. InputError for data that cannot be laid beside these.
    """
    for word in plan.beside:
        source, _, samples = word.rpartition(":")
        images, labels = _beside(source, int(samples), plan, plan.seed, dataset, preprocessing)
        new = ~np.isin(digests(images), [*tested])
        if count := len(new) - np.count_nonzero(new):
            say(f"--beside {word}: {count:,} images validate or test this run; left out")
        yield images[new], labels[new]
        check()


def unseen_beside(
    plan: Plan, dataset: Dataset, preprocessing: Preprocessing
) -> Iterator[LabelledImages]:
    """Letters that a run did not learn from, of each generator that lies beside its data."""
    for word in plan.beside:
        source, _, samples = word.rpartition(":")
        if source in GENERATORS:
            how = (min(int(samples), MOST_UNSEEN), plan, plan.seed + UNSEEN)
            yield _beside(source, *how, dataset, preprocessing)


def _beside(
    source: str, samples: int, plan: Plan, seed: int, dataset: Dataset, preprocessing: Preprocessing
) -> LabelledImages:
    """All letters of another source, in the classes of the data set.

    Of generated ones, a run that starts from a model takes those that it has as classes.
    """
    other = load_dataset(
        source, preprocessing, samples_per_class=samples, seed=seed, cache=plan.cache
    )
    if plan.start and source in GENERATORS:
        names = dataset.class_names
        places = np.array([names.index(n) if n in names else -1 for n in other.class_names])
        known = np.flatnonzero(places[other.labels] >= 0)
        return other.images[known], places[other.labels[known]]
    try:
        return other.images, check_class_names(dataset.class_names, other)
    except InputError as error:
        raise InputError(f"--beside {source}: {error}") from error
