"""What the page is told of one picture: readings, the picture as the network sees it, its maps."""

import threading
from base64 import b64encode
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from lenet_xp.inference import ForwardPass, feature_maps
from lenet_xp.letters.alphabet import letter
from lenet_xp.letters.ya_or_yar import RING, shared_out
from lenet_xp.model_file import SavedModel
from lenet_xp.pictures.frame import DATASET_SIDE
from lenet_xp.pictures.image_file import decode
from lenet_xp.scores.calibration import apply_temperature

TOP = 5
LARGE = 4_000_000  # pixels: pictures above it are decoded one at a time, for their memory


class PictureReader:
    """Reads one picture after the other, from any thread, on arrays that are made beforehand."""

    def __init__(self, saved: SavedModel):
        self._saved = saved
        self._read = ForwardPass(saved.model, saved.preprocessing)
        # What is drawn on the page is dark, and need not be asked.
        self._drawn = replace(saved.preprocessing, polarity="dark-on-light")
        self._network, self._large = threading.Lock(), threading.Lock()

    def __call__(self, picture: bytes, height: float | None = None) -> dict[str, Any]:
        """The readings of an image file's bytes, as JSON holds them.

        height: of the writing, in heights of a letter, where guide lines tell it. A photo has none,
        and gives ya and yar at equal odds.

        blank: whether there is no ink. sized: whether the height was known. readings: the five
        likeliest letters, likeliest first; of ya and yar both are among them where either leads.
        seen, maps: levels in base64, uint8 for the picture, int8 for the maps of each layer, in
        which 127 stands for `limit`.
        Raises InputError for bytes that are no usable picture.
        """
        with ExitStack() as held:

            def admit(pixels: int) -> None:
                if pixels > LARGE:
                    held.enter_context(self._large)

            image = decode(picture, "the picture", admit)
            how = self._saved.preprocessing if height is None else self._drawn
            seen = how.apply(image)
        if not seen.any():
            return {"blank": True, "readings": [], "seen": _levels(seen), "maps": []}
        with self._network:
            plain = self._read(seen[None]).astype(np.float64)
            maps = feature_maps(self._saved.model, seen, self._saved.preprocessing)
        row = apply_temperature(plain, self._saved.temperature)[0]
        if height is not None or max(image.shape[:2]) > DATASET_SIDE:
            row = shared_out(row[None], height, self._saved.class_names)[0]
        return {
            "blank": False,
            "sized": height is not None,
            "readings": [self._reading(row, place) for place in self._likeliest(row)],
            "seen": _levels(seen),
            "maps": [_layer(name, values) for name, values in maps.items()],
        }

    def _likeliest(self, row: np.ndarray) -> list[int]:
        names = self._saved.class_names
        order = [int(place) for place in np.argsort(-row, kind="stable")]
        best = order[:TOP]
        if names[order[0]] in RING:
            others = [place for place in order[TOP:] if names[place] in RING]
            best[TOP - len(others) :] = others
        return best

    def _reading(self, row: np.ndarray, place: int) -> dict[str, Any]:
        known = letter(self._saved.class_names[place])
        return {**vars(known), "probability": float(row[place])}


def _layer(name: str, maps: np.ndarray) -> dict[str, Any]:
    limit = float(np.abs(maps).max()) or 1.0
    levels = np.rint(maps * (127 / limit)).astype(np.int8)
    return {"name": name, "limit": limit, **_levels(levels)}


def _levels(values: np.ndarray) -> dict[str, Any]:
    return {"shape": values.shape, "levels": b64encode(values.tobytes()).decode()}
