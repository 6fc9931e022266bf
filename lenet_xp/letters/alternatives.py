"""What a picture of a letter was read as: every letter that it may be, the likeliest first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from lenet_xp.letters.alphabet import letter


class Alternative(NamedTuple):
    """A letter that a picture may show, and how probable that is.

    name: its class, such as "yaz". glyph: the letter in Tifinagh. latin: the letter in Latin
    script. probability: from 0 to 1; what those of all classes lack to 1 speaks for no letter.
    """

    name: str
    glyph: str
    latin: str
    probability: float


@dataclass(frozen=True)
class Reading:
    """What a picture was read as. alternatives: the likeliest first; () for a blank.

    refused: whether the picture holds ink, but none of the letters that the model knows.
    pages: how many pages or frames its file holds; the first was read.
    The alternatives are all classes, unless fewer were asked for. The name, glyph, Latin letter and
    probability of a reading are those of the first, and "" and 0 if the reader refuses.
    """

    alternatives: tuple[Alternative, ...]
    refused: bool = field(default=False, kw_only=True)
    pages: int = field(default=1, kw_only=True)

    @property
    def blank(self) -> bool:
        """Whether the picture holds no ink, and so no letter."""
        return not self.alternatives

    @property
    def name(self) -> str:
        """The class of the letter that was read; "" for no letter, as are glyph and latin."""
        return self._read.name

    @property
    def glyph(self) -> str:
        return self._read.glyph

    @property
    def latin(self) -> str:
        return self._read.latin

    @property
    def probability(self) -> float:
        """The probability of the letter that was read; 0 for no letter."""
        return self._read.probability

    @property
    def _read(self) -> Alternative:
        none = self.blank or self.refused
        return Alternative("", "", "", 0.0) if none else self.alternatives[0]

    def best(self, count: int | None = None) -> list[dict[str, Any]]:
        """The alternatives, or the first `count` of them, as JSON holds them."""
        return [each._asdict() for each in self.alternatives[:count]]

    def as_dict(self) -> dict[str, Any]:
        """All that is known of the picture, in plain JSON values."""
        known = {"pages": self.pages, "blank": self.blank, "none_of_these": self.refused}
        return known | {"readings": self.best()}


def best_first(
    row: np.ndarray, class_names: Sequence[str], count: int | None = None
) -> tuple[Alternative, ...]:
    """The alternatives of one letter's probabilities (K,), all or the first `count` of them.

    Equal ones keep the order of the classes.
    """
    spelled, probabilities = _spelled(tuple(class_names)), row.tolist()
    order = np.argsort(-row, kind="stable")[:count].tolist()
    # A reading makes one for every class, and `_make` takes half the time of a call.
    return tuple([Alternative._make((*spelled[i], probabilities[i])) for i in order])


@lru_cache(maxsize=8)
def _spelled(class_names: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """The name, glyph and Latin letter of each class."""
    return [(each.name, each.glyph, each.latin) for each in map(letter, class_names)]
