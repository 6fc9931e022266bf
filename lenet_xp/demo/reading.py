"""What the page is told of one picture: readings, the picture as the network sees it, its maps."""

import threading
from base64 import b64encode
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from lenet_xp.inference import feature_maps
from lenet_xp.letters.alternatives import Alternative, Reading
from lenet_xp.letters.ya_or_yar import RING
from lenet_xp.model_file import SavedModel
from lenet_xp.pictures.image_file import ImageFile
from lenet_xp.reader import Reader

TOP = 5  # readings
MAX_MAPS = 64  # of a layer: more are not shown
LARGE = 4_000_000  # pixels: pictures above it are decoded one at a time, for their memory


class PictureReader:
    """Reads one picture after the other, from any thread."""

    def __init__(self, saved: SavedModel):
        # What is drawn on the page is dark, so its polarity need not be found.
        drawn = replace(saved.preprocessing, polarity="dark-on-light")
        self._photos, self._drawings = Reader(saved), Reader(replace(saved, preprocessing=drawn))
        self._maps, self._large = threading.Lock(), threading.Lock()

    def __call__(self, picture: bytes, height: float | None = None) -> dict[str, Any]:
        """The readings of an image file's bytes, as JSON holds them.

        height: of the writing, in heights of a letter, or None for a photo.
        blank: whether there is no ink. none_of_these: whether its ink is no letter. sized: whether
        the height was known. readings: the five likeliest letters, likeliest first; if ya or yar
        leads, both are among them.
        seen, maps: base64 of uint8 levels, and of a layer's first 64 maps as int8, 127 for `limit`.
        Raises InputError for bytes that are no usable picture.
        """
        with ExitStack() as held:

            def admit(pixels: int) -> None:
                if pixels > LARGE:
                    held.enter_context(self._large)

            reader = self._photos if height is None else self._drawings
            colour = reader.saved.preprocessing.channels == 3
            image = ImageFile(picture, "the picture").page(0, admit, colour)
            seen, reading = reader.see_and_read(image, height)
        maps: dict[str, np.ndarray] = {}
        if not reading.blank:
            with self._maps:  # a network's layers keep what they computed last
                maps = feature_maps(reader.saved.model, seen, reader.saved.preprocessing)
        return {
            "blank": reading.blank,
            "none_of_these": reading.refused,
            "sized": height is not None,
            "readings": [each._asdict() for each in _likeliest(reading)],
            "seen": _levels(seen),
            "maps": [_layer(name, values) for name, values in maps.items()],
        }


def _likeliest(reading: Reading) -> list[Alternative]:
    """The first of the alternatives; where a ring leads, rings of both sizes are among them."""
    best, rest = list(reading.alternatives[:TOP]), reading.alternatives[TOP:]
    if best and best[0].name in RING:
        others = [each for each in rest if each.name in RING]
        best[TOP - len(others) :] = others
    return best


def _layer(name: str, maps: np.ndarray) -> dict[str, Any]:
    limit = float(np.abs(maps).max()) or 1.0
    levels = np.rint(maps[:MAX_MAPS] * (127 / limit)).astype(np.int8)
    return {"name": name, "limit": limit, "count": len(maps), **_levels(levels)}


def _levels(values: np.ndarray) -> dict[str, Any]:
    return {"shape": values.shape, "levels": b64encode(values.tobytes()).decode()}
