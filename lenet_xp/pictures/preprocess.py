"""Turns any picture into what the network sees, in training and in prediction alike.

A colour picture becomes grey levels, and the polarity is decided: ink bright on 0. Then
the picture is cut to its letter, which in one larger than a data set's is found first, and the
contrast is stretched. A network of three channels sees a picture's colours, scaled as they are.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lenet_xp.errors import InputError
from lenet_xp.pictures.frame import DATASET_SIDE, frame
from lenet_xp.pictures.letter import find_letter
from lenet_xp.pictures.levels import colour_levels, grey_levels
from lenet_xp.pictures.no_ink import MIN_RANGE, are_blank
from lenet_xp.pictures.sheet import shrunk
from lenet_xp.system.opencv import cv2

POLARITIES = ("auto", "dark-on-light", "light-on-dark")
FRAMINGS = ("cut", "keep")
CHANNELS = (1, 3)  # grey levels, or red, green and blue

OVERVIEW_SIDE = 256  # pixels: longer side at which range and polarity are measured

# of the target's side: a picture at least as large is padded, not scaled. LeCun et al. (1998) put
# MNIST's 28x28 into 32x32 in this way: scaling by 32/28 would only blur the strokes, and a rim of
# 1/16 is less than hands differ by. A smaller picture is scaled, or half of it would be blank.
MIN_PADDED_SIDE = 7 / 8


@dataclass(frozen=True)
class Preprocessing:
    """Turns pictures into (size, size) uint8 with ink 255 on paper 0, or into colours.

    size: side of the result in pixels.
    polarity: "dark-on-light", "light-on-dark", or "auto" to decide it for each picture.
    framing: "cut" cuts each picture to its letter; "keep" leaves pictures that data sets framed, as
    MNIST, whole.
    contrast: whether each picture's lightest and darkest level become 0 and 255.
    mean, std: of the training pixels on a scale of 0 to 1, set by `fitted`.
    channels: 1, or 3 for (size, size, 3) uint8 of red, green and blue; polarity, framing and
    contrast then count for nothing.
    Values out of range raise InputError.
    """

    size: int = 32
    polarity: str = "auto"
    framing: str = "cut"
    contrast: bool = True
    mean: float = 0.0
    std: float = 1.0
    channels: int = 1

    def __post_init__(self) -> None:
        size, mean, std = self.size, self.mean, self.std
        real = [isinstance(x, int | float) and not isinstance(x, bool) for x in (mean, std)]
        for name, valid, expected in (
            ("size", type(size) is int and 8 <= size <= 1024, "a whole number from 8 to 1024"),
            ("polarity", self.polarity in POLARITIES, " or ".join(POLARITIES)),
            ("framing", self.framing in FRAMINGS, " or ".join(FRAMINGS)),
            ("contrast", isinstance(self.contrast, bool), "true or false"),
            ("channels", type(self.channels) is int and self.channels in CHANNELS, "1 or 3"),
            ("mean", real[0] and 0 <= mean <= 1, "a number from 0 to 1"),
            ("std", real[1] and 0 < std <= 1, "a number above 0, at most 1"),
        ):
            if not valid:
                value = getattr(self, name)
                raise InputError(f"preprocessing: {name} is {value!r:.60}, but must be {expected}")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a prepared picture: (size, size), or (size, size, 3) in colour."""
        return (self.size, self.size) if self.channels == 1 else (self.size, self.size, 3)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape of one image as a network takes it, (channels, size, size)."""
        return self.channels, self.size, self.size

    def apply(self, image: ArrayLike, inked: bool = False) -> np.ndarray:
        """One picture of any size as `shape` uint8, ink 255 on paper 0.

        image: (H, W) or (H, W, 1) grey, (H, W, 3) RGB or (H, W, 4) RGBA of numbers;
        see `grey_levels`. A picture without ink gives zeros. Others raise InputError.
        inked: whether a large picture is known to hold ink, however it looks.
        """
        return np.asarray(self.apply_all([image], inked)[0])

    def apply_all(self, images: Iterable[ArrayLike], inked: bool = False) -> np.ndarray:
        """Many pictures, of one size or several, as (N, *shape) uint8; see `apply`.

        Pictures of one size are computed together: for small ones, calls cost more than pixels.
        """
        if self.channels == 3:
            colours = [_fit(colour_levels(np.asarray(image)), self.size) for image in images]
            return np.stack(colours) if colours else np.empty((0, *self.shape), np.uint8)
        greys = [grey_levels(np.asarray(image)) for image in images]
        places: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, grey in enumerate(greys):
            places[grey.shape].append(place)
        result = np.empty((len(greys), self.size, self.size), np.uint8)
        for same in places.values():
            result[same] = self._apply_stack(np.stack([greys[place] for place in same]), inked)
        return result

    def _apply_stack(self, greys: np.ndarray, inked: bool) -> np.ndarray:
        """(N, H, W) uint8 as (N, size, size) uint8."""
        if self.framing == "cut" and max(greys.shape[1:]) > DATASET_SIDE:
            return np.stack([self._apply_photo(grey, inked) for grey in greys])
        if max(greys.shape[1:]) > DATASET_SIDE:
            blank = np.array([not find_letter(grey, self.polarity).any() for grey in greys])
        else:
            blank = are_blank(greys)
        dark = np.full(len(greys), self.polarity == "dark-on-light")
        if self.polarity == "auto":
            dark = ink_is_dark(np.stack([shrunk(grey, OVERVIEW_SIDE) for grey in greys]))
        inks = greys ^ np.where(dark, 255, 0).astype(np.uint8)[:, None, None]
        cut = self.framing == "cut"
        fit = _scaled if cut else _fit
        result = np.stack([fit(frame(ink) if cut else ink, self.size) for ink in inks])
        if self.contrast:
            result = _stretched(result)
        result[blank] = 0
        return result

    def _apply_photo(self, grey: np.ndarray, inked: bool) -> np.ndarray:
        """The letter of a photo, (H, W) uint8, as (size, size) uint8."""
        if np.ptp(shrunk(grey, OVERVIEW_SIDE)) < MIN_RANGE:
            return np.zeros((self.size, self.size), np.uint8)
        return self.fit(find_letter(grey, self.polarity, inked))

    def fit(self, ink: np.ndarray) -> np.ndarray:
        """A framed letter, (h, w) uint8 with ink bright on 0, as (size, size) uint8."""
        result = _scaled(ink, self.size)
        return _stretched(result[None])[0] if self.contrast else result

    def fitted(self, images: np.ndarray) -> "Preprocessing":
        """A copy whose mean and std are those of `images` / 255, (N, *shape) uint8.

        Give it the training images only. Images of a single level leave std at 1.
        """
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images), 1024):  # bincount makes an int64 copy of its input
            counts += np.bincount(images[start : start + 1024].reshape(-1), minlength=256)
        level = np.arange(256) / 255
        total = max(int(counts.sum()), 1)
        mean = float(counts @ level) / total
        std = math.sqrt(float(counts @ (level - mean) ** 2) / total)
        return replace(self, mean=mean, std=std or 1.0)

    def scale_and_shift(self) -> tuple[float, float]:
        """(scale, shift) such that scale * pixel + shift is (pixel / 255 - mean) / std."""
        return 1.0 / (255.0 * self.std), -self.mean / self.std

    def to_dict(self) -> dict[str, Any]:
        """The parameters as a dict of plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Preprocessing":
        """The inverse of `to_dict`: missing names have defaults, unknown ones raise InputError."""
        if not isinstance(values, dict):
            raise InputError(f"preprocessing: {values!r} is not a table of names and values")
        if "box" in values:  # its name in model files of version 1
            values = {"framing" if k == "box" else k: value for k, value in values.items()}
        if values.get("framing") == "auto":  # of earlier versions, which left small pictures whole
            values = values | {"framing": "cut"}
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise InputError(f"preprocessing: there is no parameter {unknown[0]!r}")
        return cls(**values)


def ink_is_dark(greys: np.ndarray) -> np.ndarray:
    """Which of (N, H, W) uint8 pictures are dark ink on lighter paper: (N,) bool.

    Ink covers the smaller part of a picture and less still of its rim, so the mean level of the
    whole and that of the rim both lie on the paper's side of the middle. Their mean decides: a bold
    letter misleads the first, a letter that touches all borders the second.
    """
    count, height, width = greys.shape
    rim = max(1, min(height, width) // 16)
    levels = greys.reshape(count, -1)
    whole = levels.sum(1, dtype=np.uint32)
    inner = greys[:, rim : height - rim, rim : width - rim]
    rim_size = height * width - inner[0].size
    rim_mean = (whole - inner.sum((1, 2), dtype=np.uint32)) / rim_size
    middle = (levels.min(1).astype(float) + levels.max(1)) / 2
    return np.asarray(whole / (height * width) + rim_mean >= 2 * middle)


def _fit(ink: np.ndarray, size: int) -> np.ndarray:
    """Ink (H, W) on paper 0 as (size, size): padded if nearly as large, else scaled.

    Colours (H, W, 3) are always scaled: they have no paper that padding could continue.
    """
    height, width = ink.shape[:2]
    near = size >= max(height, width) and min(height, width) >= MIN_PADDED_SIDE * size
    if near and ink.ndim == 2:
        down, across = size - height, size - width
        return np.pad(ink, ((down // 2, down - down // 2), (across // 2, across - across // 2)))
    return _scaled(ink, size)


def _scaled(ink: np.ndarray, size: int) -> np.ndarray:
    """Ink or colours (H, W[, 3]) stretched to (size, size[, 3])."""
    method = cv2.INTER_AREA if max(ink.shape[:2]) > size else cv2.INTER_LINEAR
    return cv2.resize(ink, (size, size), interpolation=method)


def _stretched(inks: np.ndarray) -> np.ndarray:
    """Pictures (N, S, S) uint8, the levels of each stretched to span 0 to 255."""
    low = inks.min((1, 2), keepdims=True)
    span = (inks.max((1, 2), keepdims=True) - low).astype(np.float32)
    levels: np.ndarray = (inks - low).astype(np.float32)
    levels *= 255 / np.maximum(span, 1)
    np.rint(levels, out=levels)
    return levels.astype(np.uint8)
