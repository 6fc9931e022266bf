"""Pages whose every letter is known: letters laid on drawn paper, and what a camera makes of them.

The page reader is tried and measured on these. A page is a cover, how much of each point the ink
hides, 0 to 1, until `Photo` turns it into grey levels.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from lenet_xp.letters.alphabet import letters
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2
from lenet_xp.system.workers import Forked, can_fork, shared

PAPERS = ("plain", "ruled", "squared", "grained")
SQUARE = ("yan", "yagw", "yakw")  # a bar keeps its frame; two signs in one frame are wider

Box = tuple[int, int, int, int]  # left, top, width and height in pixels


@dataclass(frozen=True)
class Written:
    """One letter on a page: its class, its line from the top, and where its ink is."""

    label: int
    line: int
    box: Box


@dataclass(frozen=True)
class Photo:
    """What paper, light and camera do to a page; the default does nothing.

    paper: one of PAPERS. spacing: between ruled lines, pixels. gradient: how much of the light the
    darkest corner lacks, 0 to 1. shadow: the same of a shadow with a soft edge. ink: of full black.
    light_on_dark: chalk on a board. blur: sigma in pixels. noise: sigma in grey levels.
    quality: of the JPEG file, 100 for none.
    """

    paper: str = "plain"
    spacing: int = 60
    gradient: float = 0.0
    shadow: float = 0.0
    ink: float = 0.9
    light_on_dark: bool = False
    blur: float = 0.0
    noise: float = 0.0
    quality: int = 100

    @classmethod
    def drawn(cls, rng: np.random.Generator, spacing: int) -> "Photo":
        """One at random, of everything something."""
        return cls(
            paper=PAPERS[rng.integers(len(PAPERS))],
            spacing=spacing,
            gradient=rng.uniform(0, 0.6),
            shadow=rng.uniform(0.1, 0.5) * rng.integers(2),
            ink=rng.uniform(0.6, 0.95),
            light_on_dark=bool(rng.random() < 0.25),
            blur=rng.uniform(0, 0.8),
            noise=rng.uniform(0, 5),
            quality=int(rng.integers(50, 96)),
        )

    def take(self, cover: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W) float32 cover as a photo, (H, W) uint8."""
        printed = _printed(self.paper, cover.shape, self.spacing, rng)
        reflected = (1 - 0.35 * printed) * (1 - self.ink * cover)
        if self.paper == "grained":
            grain = rng.standard_normal(cover.shape, np.float32)
            reflected *= 1 + 0.03 * cv2.GaussianBlur(grain, (0, 0), 1.0) / 0.28
        if self.light_on_dark:
            reflected = 0.95 - 0.8 * reflected
        levels = 245 * reflected * self._light(cover.shape, rng)
        if self.blur:
            levels = cv2.GaussianBlur(levels, (0, 0), self.blur)
        if self.noise:
            levels = levels + self.noise * rng.standard_normal(cover.shape, np.float32)
        photo: np.ndarray = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        if self.quality < 100:
            _, data = cv2.imencode(".jpg", photo, (cv2.IMWRITE_JPEG_QUALITY, self.quality))
            return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))
        return photo

    def _light(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """How bright each point is lit, (H, W) float32 up to 1."""
        height, width = shape
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        y, x = y / height, x / width
        turn = rng.uniform(0, 2 * np.pi)
        slope = np.cos(turn) * (x - 0.5) + np.sin(turn) * (y - 0.5)
        light = 1 - self.gradient * (slope - slope.min()) / np.ptp(slope)
        turn, soft = rng.uniform(0, 2 * np.pi), rng.uniform(0.01, 0.04)
        beyond = np.cos(turn) * (x - 0.5) + np.sin(turn) * (y - 0.5) - rng.uniform(-0.2, 0.2)
        lit: np.ndarray = light * (1 - self.shadow / (1 + np.exp(np.clip(-beyond / soft, -30, 30))))
        return lit


def _printed(
    paper: str, shape: tuple[int, ...], spacing: int, rng: np.random.Generator
) -> np.ndarray:
    """How much of each point the paper's own lines hide, (H, W) float32."""
    lines = np.zeros(shape, np.float32)
    thick = 1 + spacing // 60
    start = int(rng.integers(spacing))
    if paper in ("ruled", "squared"):
        for row in range(start, shape[0], spacing):
            lines[row : row + thick] = 1
    if paper == "squared":
        for column in range(start, shape[1], spacing):
            lines[:, column : column + thick] = 1
    return lines


def lay(cover: np.ndarray, image: np.ndarray, frame: Box) -> Box:
    """Lay a letter's image, (64, 64) uint8 dark on light, into a frame of a cover, in place.

    Returns where its ink is. Whatever is under it stays.
    """
    left, top, width, height = frame
    ink = 1 - image.astype(np.float32) / 255
    smaller = width < image.shape[1] or height < image.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    ink = np.clip(cv2.resize(ink, (width, height), interpolation=method), 0, 1)
    place = cover[top : top + height, left : left + width]
    np.maximum(place, ink, out=place)
    x, y, wide, high = cv2.boundingRect((ink > 0.35 * ink.max()).astype(np.uint8))
    return left + x, top + y, wide, high


def lay_alone(
    image: np.ndarray, name: str, height: int, page: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, Box]:
    """A cover (H, W) of a page with one letter at a random place, and where its ink is.

    image: (S, S) uint8 dark on light, framed as AMHCD's; name: of its class; height: of its frame,
    whose width is drawn as in `lay_line`. A page without a quarter of the height around the letter
    raises ValueError.
    """
    high, wide = page
    stretch = rng.uniform(1, 1.2) if name in SQUARE else rng.uniform(0.7, 1.1)
    width, margin = int(height * stretch), height // 4
    cover = np.zeros(page, np.float32)
    left = int(rng.integers(margin, wide - width - margin))
    top = int(rng.integers(margin, high - height - margin))
    return cover, lay(cover, image, (left, top, width, height))


def lay_line(
    cover: np.ndarray,
    images: Sequence[np.ndarray],
    labels: Sequence[int],
    start: tuple[int, int],
    height: int,
    number: int,
    rng: np.random.Generator,
) -> list[Written]:
    """Lay letters side by side, from left to right, as one line.

    images: (64, 64) uint8 dark on light, framed as AMHCD's. start: left and top in pixels. height:
    of a letter; frames vary by a tenth around it and stand on one baseline, give or take a
    twentieth. AMHCD's frames are stretched: each gets a width of 0.7 to 1.1 of its height again,
    a bar and the two-sign letters 1 to 1.2. Between the ink of two letters lies a quarter to half
    a height. Letters that would run over the page's right edge raise ValueError.
    """
    left, top = start
    written: list[Written] = []
    for image, label in zip(images, labels, strict=True):
        high = round(height * rng.uniform(0.9, 1.1))
        wide = rng.uniform(1.0, 1.2) if letters()[label].name in SQUARE else rng.uniform(0.7, 1.1)
        base = round(top + height * (1 + rng.uniform(-0.05, 0.05)))
        size = round(high * wide)
        sides = np.flatnonzero((image < 255 - 0.35 * (255 - image.min())).any(0))
        blank = int(sides[0] * size / image.shape[1])
        if left + size > cover.shape[1] or base - high < 0:
            raise ValueError("the line does not fit on the page")
        box = lay(cover, image, (left - min(blank, left), base - high, size, high))
        written.append(Written(int(label), number, box))
        left = box[0] + box[2] + round(height * rng.uniform(0.25, 0.5))
    return written


HEIGHTS = 24, 100  # pixels of a letter on its page; larger ones suffer little
AROUND = 1.8, 4.0  # of the letter's height: a side of the page
SMALLEST_PAGE = 140  # pixels
SPACINGS = 30, 120  # pixels between ruled lines
PART = 64  # images that are made at once


def photograph(
    images: np.ndarray,
    names: Sequence[str],
    preprocessing: Preprocessing,
    copies: int = 1,
    seed: int = 0,
    cores: int = 1,
    progress: Callable[[int], None] = lambda count: None,
) -> np.ndarray:
    """Each letter so many times more, every time found on a page of its own that `Photo` drew.

    images: (N, S, S) uint8, preprocessed: ink bright on 0. names: (N,) of their classes.
    preprocessing: how the pages are read. Returns (copies * N, S, S) uint8, copy after copy: the
    same bytes for the same arguments, whatever the number of cores. progress: called with the
    number of images just done.
    """
    count = copies * len(images)
    found = shared((count, *images.shape[1:]), np.uint8)
    parts = -(-count // PART)

    def make(part: int) -> None:
        for number in range(part * PART, min((part + 1) * PART, count)):
            letter, rng = number % len(images), np.random.default_rng([seed, number])
            found[number] = _read_off(images[letter], names[letter], preprocessing, rng)

    cores = min(parts, cores) if can_fork() else 1
    with ExitStack() as stack:
        others = [stack.enter_context(Forked(make)) for _ in range(cores - 1)]
        for first in range(0, parts, cores):
            together = list(range(first, min(first + cores, parts)))
            for part, forked in zip(together[1:], others, strict=False):
                forked.begin(part)
            make(first)
            for _, forked in zip(together[1:], others, strict=False):
                forked.finish()
            progress(min((first + len(together)) * PART, count) - first * PART)
    return found


def _read_off(
    image: np.ndarray, name: str, preprocessing: Preprocessing, rng: np.random.Generator
) -> np.ndarray:
    low, high = np.log(HEIGHTS)
    height = int(np.exp(rng.uniform(low, high)))
    high, wide = (int(max(SMALLEST_PAGE, height * rng.uniform(*AROUND))) for _ in range(2))
    cover, _ = lay_alone(255 - image, name, height, (high, wide), rng)
    photo = Photo.drawn(rng, int(np.clip(height * rng.uniform(0.5, 1.5), *SPACINGS)))
    return preprocessing.apply(photo.take(cover, rng))
