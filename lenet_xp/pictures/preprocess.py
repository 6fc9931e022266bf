"""The one way from any picture to what the network sees, in training and in prediction alike."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lenet_xp.errors import InputError
from lenet_xp.pictures.frame import DATASET_SIDE, frame, is_framed
from lenet_xp.pictures.letter import find_letter
from lenet_xp.pictures.sheet import shrunk
from lenet_xp.system.opencv import cv2

POLARITIES = ("auto", "dark-on-light", "light-on-dark")
BOXES = ("auto", "keep")

# Pictures whose grey levels span less than this hold no ink, only paper and noise. The faintest
# of AMHCD's images spans 57.
BLANK_RANGE = 16

# A picture this close to the target is padded, not scaled. LeCun (1998) put MNIST's 28x28 into
# 32x32 in this way: scaling by 32/28 would only blur the strokes, and a rim of 1/16 is less than
# hands differ by. Anything smaller is scaled, or a 16x16 letter would be read as half a letter.
PADDED_FROM = 7 / 8


@dataclass(frozen=True)
class Preprocessing:
    """Turns pictures into (size, size) uint8 with ink 255 on paper 0, and those into float32.

    size: side of the result in pixels.
    polarity: "dark-on-light", "light-on-dark", or "auto" to decide it for each picture.
    box: "auto" crops to the ink where it fills only a small part of the picture; "keep" never.
    contrast: whether each picture's lightest and darkest level become 0 and 255.
    mean, std: of the training pixels on a scale of 0 to 1, set by `fitted`.
    Values out of range raise InputError.
    """

    size: int = 32
    polarity: str = "auto"
    box: str = "auto"
    contrast: bool = True
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        _require(
            _is_number(self.size, int) and 8 <= self.size <= 1024,
            "size",
            self.size,
            "a whole number from 8 to 1024",
        )
        _require(self.polarity in POLARITIES, "polarity", self.polarity, " or ".join(POLARITIES))
        _require(self.box in BOXES, "box", self.box, " or ".join(BOXES))
        _require(isinstance(self.contrast, bool), "contrast", self.contrast, "true or false")
        _require(
            _is_number(self.mean) and 0 <= self.mean <= 1, "mean", self.mean, "a number from 0 to 1"
        )
        _require(
            _is_number(self.std) and 0 < self.std <= 1,
            "std",
            self.std,
            "a number above 0, at most 1",
        )

    def apply(self, image: ArrayLike) -> np.ndarray:
        """One picture of any size as (size, size) uint8, ink 255 on paper 0.

        image: (H, W) or (H, W, 1) grey, (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16.
        A picture without ink gives zeros. Other shapes and dtypes raise InputError.
        """
        result: np.ndarray = self.apply_all([image])[0]
        return result

    def apply_all(self, images: Iterable[ArrayLike]) -> np.ndarray:
        """Many pictures, of one size or several, as (N, size, size) uint8; see `apply`.

        Pictures of one size go through together: for small ones, calls cost more than pixels.
        """
        greys = [grey_levels(np.asarray(image)) for image in images]
        places: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, grey in enumerate(greys):
            places[grey.shape].append(place)
        result = np.empty((len(greys), self.size, self.size), np.uint8)
        for same in places.values():
            result[same] = self._apply_stack(np.stack([greys[place] for place in same]))
        return result

    def _apply_stack(self, greys: np.ndarray) -> np.ndarray:
        """(N, H, W) uint8 as (N, size, size) uint8."""
        if self.box == "auto" and max(greys.shape[1:]) > DATASET_SIDE:
            return np.stack([self._found(grey) for grey in greys])
        overviews = greys
        if max(greys.shape[1:]) > 256:
            overviews = np.stack([shrunk(grey, 256) for grey in greys])
        blank = np.ptp(overviews.reshape(len(greys), -1), axis=1) < BLANK_RANGE
        dark = np.full(len(greys), self.polarity == "dark-on-light")
        if self.polarity == "auto":
            dark = ink_is_dark(overviews)
        inks = greys ^ np.where(dark, 255, 0).astype(np.uint8)[:, None, None]
        result = _fit_stack(inks, self.size)
        if self.box == "auto":
            for place in np.flatnonzero(~is_framed(inks)):
                result[place] = _fit(frame(inks[place]), self.size)
        if self.contrast:
            result = _stretched(result)
        result[blank] = 0
        return result

    def _found(self, grey: np.ndarray) -> np.ndarray:
        """The letter of a photo, (H, W) uint8, as (size, size) uint8."""
        if np.ptp(shrunk(grey, 256)) < BLANK_RANGE:
            return np.zeros((self.size, self.size), np.uint8)
        return self.fit(find_letter(grey, self.polarity))

    def fit(self, ink: np.ndarray) -> np.ndarray:
        """A letter's ink, framed, (h, w) uint8 and bright on 0, as (size, size) uint8."""
        result = _fit(ink, self.size)
        if self.contrast:
            result = _stretched(result[None])[0]
        return result

    def fitted(self, images: np.ndarray) -> "Preprocessing":
        """A copy whose mean and std are those of `images` / 255, (N, S, S) uint8.

        Give it the training images only. Images all of one level leave std at 1.
        """
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images), 1024):  # bincount makes an int64 copy of what it counts
            counts += np.bincount(images[start : start + 1024].reshape(-1), minlength=256)
        level = np.arange(256) / 255
        total = max(int(counts.sum()), 1)
        mean = float(counts @ level) / total
        std = math.sqrt(float(counts @ (level - mean) ** 2) / total)
        return replace(self, mean=mean, std=std or 1.0)

    def scale_and_shift(self) -> tuple[float, float]:
        """(scale, shift): scale * pixel + shift is (pixel / 255 - mean) / std."""
        return 1.0 / (255.0 * self.std), -self.mean / self.std

    def to_dict(self) -> dict[str, Any]:
        """The parameters as a dict of plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Preprocessing":
        """The inverse of `to_dict`; a name left out has its default, a wrong one is InputError."""
        if not isinstance(values, dict):
            raise InputError(f"preprocessing: {values!r} is not a table of names and values")
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise InputError(f"preprocessing: there is no parameter {unknown[0]!r}")
        return cls(**values)


def ink_is_dark(greys: np.ndarray) -> np.ndarray:
    """Which of (N, H, W) uint8 pictures are dark ink on lighter paper: (N,) bool.

    Ink covers the smaller part of a picture and less still of its rim, so the mean level of the
    whole and that of the rim both lie on the paper's side of the middle. They vote together: a
    bold letter misleads the first, a letter that touches all borders the second.
    """
    count, height, width = greys.shape
    rim = max(1, min(height, width) // 16)
    levels = greys.reshape(count, -1)
    whole = levels.sum(1, dtype=np.uint32)
    inner = greys[:, rim : height - rim, rim : width - rim]
    rim_size = height * width - inner[0].size
    rim_mean = (whole - inner.sum((1, 2), dtype=np.uint32)) / rim_size
    middle = (levels.min(1).astype(float) + levels.max(1)) / 2
    dark: np.ndarray = whole / (height * width) + rim_mean >= 2 * middle
    return dark


def grey_levels(image: np.ndarray) -> np.ndarray:
    """Any (H, W[, 1|3|4]) uint8 or uint16 picture as (H, W) uint8; transparent parts are white."""
    if image.dtype == np.uint16:
        image = (image // 257).astype(np.uint8)
    channels = 1 if image.ndim == 2 else image.shape[2] if image.ndim == 3 else 0
    if image.dtype != np.uint8 or channels not in (1, 3, 4) or min(image.shape[:2]) < 4:
        raise InputError(
            f"picture: shape {image.shape} of {image.dtype} cannot be used; give (H, W), (H, W, 3) "
            "or (H, W, 4) of uint8 or uint16, at least 4 pixels a side"
        )
    image = np.ascontiguousarray(image)
    if channels == 3:
        return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if channels == 4:
        return _over_white(cv2.cvtColor(image[:, :, :3], cv2.COLOR_RGB2GRAY), image[:, :, 3])
    return image.reshape(image.shape[:2])


def _over_white(grey: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """A grey picture laid over white by its opacity; all (H, W) uint8."""
    return cv2.add(cv2.multiply(grey, alpha, scale=1 / 255), cv2.bitwise_not(alpha))


def _fit(ink: np.ndarray, size: int) -> np.ndarray:
    """(H, W) ink on paper 0 brought to (size, size): padded if nearly as large, else scaled."""
    height, width = ink.shape
    if size >= max(height, width) and min(height, width) >= PADDED_FROM * size:
        top, left = (size - height) // 2, (size - width) // 2
        return cv2.copyMakeBorder(
            ink, top, size - height - top, left, size - width - left, cv2.BORDER_CONSTANT, value=0
        )
    larger = max(height, width) > size
    return cv2.resize(
        ink, (size, size), interpolation=cv2.INTER_AREA if larger else cv2.INTER_LINEAR
    )


def _fit_stack(inks: np.ndarray, size: int) -> np.ndarray:
    """(N, H, W) brought to (N, size, size), as `_fit` does with each."""
    count, height, width = inks.shape
    if height % size == 0 == width % size:
        # Scaled by a whole number no picture meets its neighbour, so one tall picture will do.
        tall = inks.reshape(count * height, width)
        tall = cv2.resize(tall, (size, count * size), interpolation=cv2.INTER_AREA)
        return tall.reshape(count, size, size)
    return np.stack([_fit(ink, size) for ink in inks])


def _stretched(inks: np.ndarray) -> np.ndarray:
    """Levels of each of (N, S, S) scaled so that its lowest is 0 and its highest 255."""
    low = inks.min((1, 2), keepdims=True)
    span = (inks.max((1, 2), keepdims=True) - low).astype(np.float32)
    levels: np.ndarray = (inks - low).astype(np.float32)
    levels *= 255 / np.maximum(span, 1)
    np.rint(levels, out=levels)
    return levels.astype(np.uint8)


def _is_number(value: object, kind: type = float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int | kind) and math.isfinite(value)


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise InputError(f"preprocessing: {name} is {value!r}, but must be {expected}")
