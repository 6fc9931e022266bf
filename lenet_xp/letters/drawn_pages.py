"""Pages whose every letter is known: letters laid on paper, and photos taken of them.

A page is a cover, the share of each point that ink hides (0 to 1), until a `Photo` turns it into
grey levels. The page reader is tested and measured on such pages.
"""

from dataclasses import dataclass

import numpy as np

from lenet_xp.pictures.frame import Box
from lenet_xp.system.opencv import cv2

PAPERS = ("plain", "ruled", "squared", "grained")
UNSTRETCHED = ("yan", "yagw", "yakw")  # letters that AMHCD's frames keep wide: a bar, two signs
INK_SHARE = 0.35  # of a letter's darkest point: a fainter point is not part of its box


def lay(cover: np.ndarray, image: np.ndarray, frame: Box) -> Box:
    """Lay a letter's image, (S, S) uint8 dark on light, into a frame of a cover, in place.

    Returns the box of its ink. The ink below it stays.
    """
    left, top, width, height = frame
    ink = 1 - image.astype(np.float32) / 255
    smaller = width < image.shape[1] or height < image.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    ink = np.clip(cv2.resize(ink, (width, height), interpolation=method), 0, 1)
    place = cover[top : top + height, left : left + width]
    np.maximum(place, ink, out=place)
    x, y, wide, high = cv2.boundingRect((ink > INK_SHARE * ink.max()).astype(np.uint8))
    return left + x, top + y, wide, high


def lay_alone(
    image: np.ndarray, name: str, height: int, page: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, Box]:
    """A cover (H, W) of a page with one letter at a random place, and the box of its ink.

    image: (S, S) uint8 dark on light, framed as in AMHCD. name: of its class. height: of its frame
    in pixels; see `aspect` for the width. ValueError for a page without a quarter of the height
    around the letter.
    """
    width, margin = int(height * aspect(name, rng)), height // 4
    cover = np.zeros(page, np.float32)
    left = int(rng.integers(margin, page[1] - width - margin))
    top = int(rng.integers(margin, page[0] - height - margin))
    return cover, lay(cover, image, (left, top, width, height))


def aspect(name: str, rng: np.random.Generator) -> float:
    """A random width of a letter's frame in heights.

    AMHCD stretches letters to its frames, which is undone here, but for those UNSTRETCHED.
    """
    return rng.uniform(1.0, 1.2) if name in UNSTRETCHED else rng.uniform(0.7, 1.1)


@dataclass(frozen=True)
class Photo:
    """The effects of paper, light and camera on a page; the default has none.

    paper: one of PAPERS. spacing: of ruled lines, in pixels. gradient: share of the light that the
    darkest corner lacks. shadow: the same for a shadow with a soft edge. ink: share of full black.
    light_on_dark: chalk on a board. blur: sigma in pixels. noise: sigma in grey levels.
    quality: of the JPEG file; 100 for none.
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
        """A random photo with every effect drawn."""
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
        """A cover (H, W) float32 as a photo, (H, W) uint8."""
        reflected = (1 - 0.35 * self._rules(cover.shape, rng)) * (1 - self.ink * cover)
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

    def _rules(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """The paper's printed lines, (H, W) float32: 1 on a line and 0 elsewhere."""
        width, start = 1 + self.spacing // 60, int(rng.integers(self.spacing))
        places = (np.arange(side) - start for side in shape)
        rows, columns = ((at >= 0) & (at % self.spacing < width) for at in places)
        ruled = rows[:, None] & (self.paper in ("ruled", "squared"))
        return np.asarray(ruled | columns & (self.paper == "squared"), np.float32)

    def _light(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """The brightness of the light at each point, (H, W) float32 up to 1."""
        height, width = shape
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        y, x = y / height, x / width
        turn = rng.uniform(0, 2 * np.pi)
        slope = np.cos(turn) * (x - 0.5) + np.sin(turn) * (y - 0.5)
        light = 1 - self.gradient * (slope - slope.min()) / np.ptp(slope)
        turn, soft = rng.uniform(0, 2 * np.pi), rng.uniform(0.01, 0.04)
        beyond = np.cos(turn) * (x - 0.5) + np.sin(turn) * (y - 0.5) - rng.uniform(-0.2, 0.2)
        shade = self.shadow / (1 + np.exp(np.clip(-beyond / soft, -30, 30)))
        return np.asarray(light * (1 - shade))
