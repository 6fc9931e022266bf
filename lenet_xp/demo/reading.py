"""Finds the letters of a photo for the page, whose own network reads the drawings."""

import threading
from base64 import b64encode
from contextlib import ExitStack
from typing import Any

from lenet_xp.model_file import SavedModel
from lenet_xp.pictures.frame import DATASET_SIDE
from lenet_xp.pictures.image_file import ImageFile
from lenet_xp.reader import Reader

TOP = 3  # readings: of each letter of a page
LARGE = 4_000_000  # pixels: pictures above it are decoded one at a time, for their memory


class PhotoReader:
    """Finds letters in one photo after the other, from any thread."""

    def __init__(self, saved: SavedModel):
        self._reader, self._large = Reader(saved), threading.Lock()

    def __call__(self, photo: bytes) -> dict[str, Any]:
        """What JSON holds of an image file's bytes; InputError for bytes that are no picture.

        page, width, height: of a photo of several letters, that is, with two or more certain ones,
        its `PageReading` and the sides in pixels of what its boxes are in.
        seen: of any other, base64 of the one letter as the network takes it, uint8 (C, S, S).
        """
        with ExitStack() as held:

            def admit(pixels: int) -> None:
                if pixels > LARGE:
                    held.enter_context(self._large)

            how = self._reader.saved.preprocessing
            pixels = ImageFile(photo, "the picture").page(0, admit, how.channels == 3)
            if how.channels == 1 and max(pixels.shape) > DATASET_SIDE:
                page = self._reader.read_page(pixels)
                if sum(each.certain for each in page.letters) > 1:
                    height, width = pixels.shape[:2]
                    return {"page": page.as_dict(TOP), "width": width, "height": height}
            seen = how.apply(pixels).reshape(how.size, how.size, -1).transpose(2, 0, 1)
            return {"seen": b64encode(seen.tobytes()).decode()}
