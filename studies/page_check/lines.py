"""Letters in lines on a page: whether each is found in its place and read correctly."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lenet_xp.letters.drawn_pages import Photo
from lenet_xp.model_file import SavedModel
from lenet_xp.pages.page import LetterOnPage, read_page
from lenet_xp.pictures.letter import intersection_over_union
from lenet_xp.system.progress import progress_bar
from studies.page_check.letters import NAMES, Letters, share
from studies.page_check.written import GAPS, Written, lay_line

LINE = 8  # letters in a line
LINES = 3  # lines on a page
MIN_OVERLAP = 0.5  # common part of a box and the true one, from which the letter counts as found


@dataclass
class Tally:
    """What became of each letter written, one entry per letter, and of what nobody wrote."""

    found: list[bool] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    certain: list[bool] = field(default_factory=list)
    writers: list[int] = field(default_factory=list)
    extra: int = 0

    def add_page(
        self, written: Sequence[Written], writers: Sequence[int], read: Sequence[LetterOnPage]
    ) -> None:
        """Compare the letters written on a page, by these writers, with those read."""
        for truth, writer in zip(written, writers, strict=True):
            there = [
                each for each in read if intersection_over_union(each.box, truth.box) > MIN_OVERLAP
            ]
            self.found.append(bool(there))
            hit = bool(there) and there[0].name == NAMES[truth.label]
            self.right.append(hit)
            self.certain.append(bool(there) and there[0].certain)
            self.writers.append(writer)
        self.extra += sum(
            all(intersection_over_union(each.box, truth.box) <= MIN_OVERLAP for truth in written)
            for each in read
        )

    def record(self) -> dict[str, Any]:
        """The shares of letters found, read right and read with certainty."""
        right, certain = np.array(self.right), np.array(self.certain, bool)
        writers = np.array(self.writers)
        return {
            "found": share(np.array(self.found), writers),
            "right": share(right, writers),
            "certain": share(certain, writers),
            "right_of_the_certain": float(right[certain].mean()) if certain.any() else None,
            "read_where_nothing_is": self.extra,
        }


def check_lines(
    given: Letters,
    saved: SavedModel,
    pages: int,
    seed: int,
    gaps: tuple[float, float] = GAPS,
) -> dict[str, Any]:
    """Read letters off up to `pages` pages of lines with gaps of so many heights; the record."""
    tally = Tally()
    drawn = list(draw_pages(given, pages, seed, gaps))
    with progress_bar(len(drawn), "pages of lines", True) as advance:
        for picture, written, writers in drawn:
            tally.add_page(written, writers, read_page(picture, saved))
            advance(1)
    return {"pages": len(drawn), **tally.record()}


def draw_pages(
    given: Letters, pages: int, seed: int, gaps: tuple[float, float] = GAPS
) -> Iterator[tuple[np.ndarray, list[Written], list[int]]]:
    """Up to `pages` pages of lines: the photo, what is written there, and by which writers."""
    lines = lines_of(given, np.random.default_rng([seed, 2]))
    for number in range(min(pages, len(lines) // LINES)):
        own = lines[LINES * number : LINES * (number + 1)]
        rng = np.random.default_rng([seed, 3, number])
        picture, written = _page(list(given.images[own]), list(given.labels[own]), rng, gaps)
        yield picture, written, given.writers[own.ravel()].tolist()


def lines_of(given: Letters, rng: np.random.Generator) -> np.ndarray:
    """Places of letters in lines by one writer each, (lines, LINE) int64."""
    lines: list[np.ndarray] = []
    for writer in np.unique(given.writers):
        own = rng.permutation(np.flatnonzero(given.writers == writer))
        lines.extend(own[: len(own) // LINE * LINE].reshape(-1, LINE))
    return rng.permutation(np.array(lines))


def _page(
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    rng: np.random.Generator,
    gaps: tuple[float, float],
) -> tuple[np.ndarray, list[Written]]:
    """A page of lines, and the letters on it. images: (LINE, 64, 64) for each line."""
    height = int(rng.integers(40, 110))
    step = int(height * rng.uniform(1.5, 2.2))
    cover = np.zeros(
        (2 * height + step * len(images), int(height * (1.37 + gaps[1]) * LINE)), np.float32
    )
    written: list[Written] = []
    for number, (line, names) in enumerate(zip(images, labels, strict=True)):
        start = (int(rng.uniform(0.3, 1.2) * height), int(0.7 * height) + number * step)
        written += lay_line(cover, list(line), list(names), start, height, number, rng, gaps)
    return Photo.drawn(rng, max(30, step)).take(cover, rng), written
