"""Many pictures through one preprocessing, on all cores."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.image_file import decode
from lenet_xp.data.preprocess import Preprocessing
from lenet_xp.data.progress import progress_bar
from lenet_xp.data.tree import Tree
from lenet_xp.errors import InputError
from lenet_xp.opencv import cv2

# One task for this many pictures: a task for each would cost as much as the work in it.
CHUNK = 128

# Decoded pixels a task may hold before they are reduced: photos are not gathered as letters are.
HELD = 2_000_000


def prepare(
    count: int,
    picture: Callable[[int], np.ndarray],
    preprocessing: Preprocessing,
    label: str,
    progress: bool,
) -> tuple[np.ndarray, dict[int, InputError]]:
    """Preprocess `count` pictures: (count, S, S) uint8, and the error of each that was unusable.

    picture: gives the picture of an index, from several threads at once.
    label, progress: what to call them in the report on standard error, and whether to give one.
    Pictures are decoded, reduced and dropped a chunk at a time, so that only results are held.
    Threads suffice: OpenCV lets go of the interpreter's lock while it decodes and scales.
    """
    images = np.zeros((count, preprocessing.size, preprocessing.size), np.uint8)

    def work(start):
        errors, places, pictures, held = {}, [], [], 0
        stop = min(start + CHUNK, count)
        for index in range(start, stop):
            try:
                pictures.append(picture(index))
                places.append(index)
                held += pictures[-1].size
            except InputError as error:
                errors[index] = error
            if held > HELD or index + 1 == stop:
                images[places] = preprocessing.apply_all(pictures)
                places, pictures, held = [], [], 0
        return errors

    starts = range(0, count, CHUNK)
    errors = {}
    workers = min(16, os.cpu_count() or 1)
    inner = cv2.getNumThreads()
    cv2.setNumThreads(1)  # OpenCV's own threads would only fight with these for the cores
    with progress_bar(count, label, progress) as advance, ThreadPoolExecutor(workers) as pool:
        try:
            for start, found in zip(starts, pool.map(work, starts), strict=True):
                errors.update(found)
                advance(min(CHUNK, count - start))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C ends after the chunks under way
            raise
        finally:
            cv2.setNumThreads(inner)
    return images, errors


def load_tree(
    name: str,
    tree: Tree,
    read: Callable[[str], bytes],
    preprocessing: Preprocessing,
    *,
    skip_bad: bool,
    progress: bool,
) -> Dataset:
    """The data set of a tree of class folders.

    read: gives the content of one of the tree's paths.
    An image that cannot be read raises InputError; with `skip_bad` it is listed in `skipped`
    instead, and only a class with no image left is an error.
    """

    def picture(index):
        path = tree.paths[index]
        return decode(read(path), path)

    images, errors = prepare(len(tree.paths), picture, preprocessing, name, progress)
    if errors and not skip_bad:
        first = errors[min(errors)]
        more = f" ({len(errors)} such images)" if len(errors) > 1 else ""
        raise InputError(f"{name}: {first}{more}, or leave such images out with --skip-bad")
    labels, files = np.array(tree.labels, np.int64), tree.files
    good = np.setdiff1d(np.arange(len(files)), list(errors))
    for label, class_name in enumerate(tree.class_names):
        if label not in labels[good]:
            raise InputError(f"{name}: class {class_name!r} has no image that can be read")
    skipped = [
        (files[i], str(error).removeprefix(f"{tree.paths[i]}: "))
        for i, error in sorted(errors.items())
    ]
    return Dataset(
        name=name,
        images=images[good] if errors else images,
        labels=labels[good],
        class_names=tree.class_names,
        files=tuple(files[i] for i in good),
        skipped=tuple(skipped),
    )
