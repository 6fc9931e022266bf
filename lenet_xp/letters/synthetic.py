"""The built-in default data set: generated handwriting that looks like AMHCD's."""

from collections.abc import Callable

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.handwriting import SIZE, Hand, hands, write
from lenet_xp.letters.strokes import SHAPES, Shape
from lenet_xp.system.opencv import cv2
from lenet_xp.system.own_process import usable_cores
from lenet_xp.system.workers import in_order

PART = 256  # images: finished at once
_ZOOM = 3  # drawn pixels: to a pixel, so that stroke widths come in thirds
_SHIFT = 4  # bits: fraction of OpenCV's drawing coordinates
_PRESSURE = 0.12  # log of the width: its deviation between the strokes of a letter


def _draw_letter(
    name: str, writers: np.random.Generator, moment: np.random.Generator, images: np.ndarray
) -> None:
    """Fill images (n, 64, 64) uint8 with one letter, decided by the generators' states alone."""
    draw_shape(SHAPES[name], hands(writers, moment, len(images)), moment, images)


def draw_shape(shape: Shape, hand: Hand, moment: np.random.Generator, images: np.ndarray) -> None:
    """Fill images (n, 64, 64) uint8 with a shape as the n hands write it, dark on light."""
    # All samples share one sheet of rough paper, each at its own place.
    paper = np.abs(moment.standard_normal((4 * SIZE, 4 * SIZE), np.float32))
    places = moment.integers(0, 3 * SIZE, (len(images), 2))
    for chosen, points in write(shape, hand, moment):
        pressure = np.exp(moment.normal(0, _PRESSURE, points.shape[:2]))
        widths = np.rint(hand.pen[chosen, None] * pressure * _ZOOM).astype(int).clip(1)
        fixed = np.rint(points * (_ZOOM << _SHIFT)).astype(np.int32)
        for sample, strokes, pens in zip(chosen, fixed, widths.tolist(), strict=True):
            y, x = places[sample]
            grain = paper[y : y + SIZE, x : x + SIZE]
            images[sample] = _image(strokes, pens, grain, hand, sample)


def generate(
    samples_per_class: int,
    seed: int = 0,
    progress: Callable[[int], None] = lambda count: None,
    finish: Callable[[np.ndarray], np.ndarray] = lambda images: images,
    draw_letter: Callable[
        [str, np.random.Generator, np.random.Generator, np.ndarray], None
    ] = _draw_letter,
) -> tuple[np.ndarray, np.ndarray]:
    """Images (33 * samples_per_class, 64, 64) uint8, dark on light, and their labels (N,) int64.

    Labels index `alphabet.letters()` and come in its order. Within a letter, 13 samples in a row
    share a writer, and writer w has the same habits in all letters. The same arguments give the
    same bytes, on any number of cores. progress: called with the number of images just done.
    finish: turns images (n, 64, 64) into those that are returned, (n, S, S), a part at a time to
    save memory. draw_letter: fills images (n, 64, 64) with the letter of a name, as a writer does;
    its first generator starts in the same state for every letter, for habits.
    InputError for a count below 1 or a negative seed.
    """
    if samples_per_class < 1 or seed < 0:
        raise InputError(
            f"synthetic: {samples_per_class} samples per class with seed {seed} cannot be made; "
            "give at least 1 sample and a seed from 0"
        )

    def draw(number: int) -> np.ndarray:
        # Each letter has its own generators: the order in which letters are drawn does not matter.
        writers, moment = (np.random.default_rng([seed, *key]) for key in ((0,), (1, number)))
        images = np.empty((samples_per_class, SIZE, SIZE), np.uint8)
        draw_letter(letters()[number].name, writers, moment, images)
        starts = range(0, samples_per_class, PART)
        return np.concatenate([finish(images[start : start + PART]) for start in starts])

    for number, part in enumerate(in_order(draw, range(len(letters())), usable_cores())):
        if number == 0:
            kept = np.empty((len(letters()), *part.shape), np.uint8)
        kept[number] = part
        progress(samples_per_class)
    labels = np.repeat(np.arange(len(kept), dtype=np.int64), samples_per_class)
    return kept.reshape(-1, *kept.shape[2:]), labels


def _image(
    strokes: np.ndarray, widths: list[int], paper: np.ndarray, hand: Hand, n: int
) -> np.ndarray:
    """Grey levels (64, 64) uint8: strokes (S, P, 2), in fixed point, on paper's grain by hand n."""
    canvas = np.zeros((SIZE * _ZOOM, SIZE * _ZOOM), np.uint8)
    for stroke, width in zip(strokes, widths, strict=True):
        cv2.polylines(canvas, [stroke], False, 255, width, cv2.LINE_8, _SHIFT)
    cover = cv2.resize(canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    depth = float(255 - hand.ink[n]) / 255
    ink = cover * (depth - depth * float(hand.grain[n]) * paper)
    return cv2.GaussianBlur(255 - ink.clip(0).astype(np.uint8), (0, 0), float(hand.softness[n]))
