"""Finds the letters of a photo for the page, whose own network reads the drawings."""

from base64 import b64encode
from typing import Any

from lenet_xp.pictures.frame import DATASET_SIDE
from lenet_xp.pictures.image_file import ImageFile
from lenet_xp.reader import Reader

TOP = 3  # readings: of each letter of a page


def find_letters(photo: bytes, reader: Reader) -> dict[str, Any]:
    """What JSON holds of an image file's bytes; InputError for bytes that are no picture.

    A photo with two or more certain letters gives `page`, its `PageReading`, and its `width` and
    `height` in pixels. Any other picture gives `seen`, its one letter: base64 of (C, S, S) uint8.
    """
    how = reader.saved.preprocessing
    pixels = ImageFile(photo, "the picture").page(colour=how.channels == 3)
    if how.channels == 1 and max(pixels.shape) > DATASET_SIDE:
        page = reader.read_page(pixels)
        if sum(each.certain for each in page.letters) > 1:
            height, width = pixels.shape[:2]
            return {"page": page.as_dict(TOP), "width": width, "height": height}
    seen = how.apply(pixels).reshape(how.size, how.size, -1).transpose(2, 0, 1)
    return {"seen": b64encode(seen.tobytes()).decode()}
