"""Pictures in, letters out: the reader that `lenet_xp.load_model()` gives."""

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np

from lenet_xp import model_file
from lenet_xp.errors import InputError
from lenet_xp.inference import ForwardPass
from lenet_xp.letters.alternatives import Reading, best_first
from lenet_xp.letters.ya_or_yar import shared_out
from lenet_xp.model_file import SHIPPED, SavedModel
from lenet_xp.ops import get_ops
from lenet_xp.pages.output import PageReading
from lenet_xp.pages.page import read_page
from lenet_xp.pictures.frame import DATASET_SIDE
from lenet_xp.pictures.image_file import ImageFile
from lenet_xp.pictures.levels import colour_levels, grey_levels
from lenet_xp.pictures.many import prepare
from lenet_xp.system.files import FilePath

# A file, whose first page is read, or pixels that `grey_levels` takes: (H, W) grey, (H, W, 3)
# RGB or (H, W, 4) RGBA of numbers.
Picture = FilePath | ImageFile | np.ndarray

PROGRESS = 500  # pictures: more of them are reported on, where a report is asked for
BLANK = Reading(())


def load_model(path: FilePath | None = None, backend: str = "numpy") -> "Reader":
    """A reader with the model that comes with the package, or with the model file of a run.

    backend: "numpy", "auto" (CuPy where a GPU computes, else NumPy) or another of BACKENDS.
    Raises InputError for a file that is no model, BackendUnavailable for one that cannot run.
    """
    return Reader(model_file.load_model(SHIPPED if path is None else path, get_ops(backend)))


class Reader:
    """Reads letters from pictures. It may be shared by threads, pickled and deep-copied.

    It reads with the parameters that the model has at the first reading.
    """

    def __init__(self, saved: SavedModel):
        self.saved = saved
        self._idle: deque[ForwardPass] = deque()  # prepared, and used by nobody at the moment
        # A device computes for one thread at a time.
        self._device = nullcontext() if saved.model.ops.uses_cores else threading.Lock()

    def __reduce__(self) -> tuple[type["Reader"], tuple[SavedModel]]:
        return Reader, (self.saved,)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes that the model knows, such as "yaz"."""
        return self.saved.class_names

    def read(self, picture: Picture) -> Reading:
        """The one letter of a picture of any size; of a file of several pages, on the first.

        Raises InputError for a file or an array that is no usable picture.
        """
        return self.see_and_read(picture)[1]

    def see_and_read(
        self, picture: Picture, height: float | None = None
    ) -> tuple[np.ndarray, Reading]:
        """The letter as the network sees it, uint8 with ink 255 on 0 or colours, and its reading.

        height: of the letter, in heights of its line, if known: `ya` and `yar` differ only in size.
        Raises InputError as `read` does.
        """
        pixels, pages = self._pixels(picture)
        letter = self.saved.preprocessing.apply(pixels)
        return letter, replace(self._read(letter, _is_photo(pixels), height), pages=pages)

    def read_prepared(self, letter: np.ndarray) -> Reading:
        """The reading of uint8 that `saved.preprocessing` made, as images of a data set."""
        shape = self.saved.preprocessing.shape
        if letter.shape != shape or letter.dtype != np.uint8:
            raise InputError(
                f"letter: {letter.shape} of {letter.dtype} is not prepared; give {shape} uint8, or "
                "the picture to `read`"
            )
        return self._read(letter, photo=False, height=None)

    def read_many(self, pictures: Iterable[Picture], threads: int | None = None) -> list[Reading]:
        """The reading of each picture, on all cores or `threads`; InputError where one is bad."""
        if isinstance(pictures, str | bytes | os.PathLike):
            raise InputError("pictures: this is one picture; give a list of them, or call `read`")
        pictures = list(pictures)
        readings, problems = self.try_many(pictures, threads)
        if problems:
            raise InputError(problems[min(problems)])
        return list(readings)

    def try_many(
        self,
        pictures: Sequence[Picture],
        threads: int | None = None,
        top: int | None = None,
        progress: bool = False,
    ) -> tuple[Iterator[Reading], dict[int, str]]:
        """The readings of the usable pictures, and what is wrong with the others by their place.

        top: how many alternatives each reading holds, by default all. progress: whether to report
        on standard error where there are many.
        """
        photos, pages = np.zeros(len(pictures), bool), np.ones(len(pictures), int)

        def pixels(place: int) -> np.ndarray:
            image, pages[place] = self._pixels(pictures[place])
            photos[place] = _is_photo(image)
            return image

        report, how = progress and len(pictures) > PROGRESS, self.saved.preprocessing
        letters, problems = prepare(len(pictures), pixels, how, "reading", report)
        usable = [place for place in range(len(pictures)) if place not in problems]
        # Of the bad ones, too: with other neighbours an image is read with other last digits.
        rows = self.saved.probabilities(letters, threads)[usable]
        letters, photos = letters[usable], photos[usable]
        refused = self.saved.refused(rows)
        rows[photos] = shared_out(rows[photos], None, self.class_names)
        readings = (
            Reading(best_first(row, self.class_names, top), refused=no_letter, pages=count)
            if letter.any()
            else replace(BLANK, pages=count)
            for row, letter, no_letter, count in zip(
                rows, letters, refused.tolist(), pages[usable].tolist(), strict=True
            )
        )
        return readings, problems

    def read_page(self, photo: Picture) -> PageReading:
        """The letters of a photo or scan, its first page, of lines of separate letters.

        Raises InputError for what is no usable picture, and from a model that keeps colours.
        """
        if self.saved.preprocessing.channels != 1:
            problem = "reads colours, and a page's letters are found grey"
            raise InputError(f"{self.saved.name}: {problem}")
        return PageReading(tuple(read_page(self._pixels(photo)[0], self.saved)))

    def _pixels(self, picture: Picture) -> tuple[np.ndarray, int]:
        """A picture's pixels, (H, W) uint8 or in colour (H, W, 3), and its file's number of pages.

        Of several pages it is the first.
        """
        colour, pages = self.saved.preprocessing.channels == 3, 1
        if isinstance(picture, str | os.PathLike):
            picture = ImageFile.open(picture)
        if isinstance(picture, ImageFile):
            pixels, pages = picture.page(colour=colour), picture.pages
        else:
            pixels = np.asarray(picture)
        return (colour_levels if colour else grey_levels)(pixels), pages

    def _read(self, letter: np.ndarray, photo: bool, height: float | None) -> Reading:
        if not letter.any():
            return BLANK
        with self._device, np.errstate(over="ignore", invalid="ignore"):
            try:
                forward = self._idle.pop()
            except IndexError:
                model = self.saved.model
                twin = model.replica(gradients=model.gradients)  # which no forward pass writes
                forward = ForwardPass(twin, self.saved.preprocessing)
            row = forward(letter[None]).astype(np.float64)
            self._idle.append(forward)
        row = self.saved.calibrated(row)
        refused = bool(self.saved.refused(row)[0])
        if photo or height is not None:
            row = shared_out(row, height, self.class_names)
        return Reading(best_first(row[0], self.class_names), refused=refused)


def _is_photo(pixels: np.ndarray) -> bool:
    """Whether (H, W) is larger than a data set's pictures, whose frame tells a letter's size."""
    return bool(max(pixels.shape) > DATASET_SIDE)
