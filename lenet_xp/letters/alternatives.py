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
    script. probability: from 0 to 1; those of all classes sum to 1.
    """

    name: str
    glyph: str
    latin: str
    probability: float


@dataclass(frozen=True)
class Reading:
    """What a picture was read as. alternatives: the likeliest first; () for a blank.

    pages: how many pages or frames its file holds; the first was read.
    They are all classes, unless fewer were asked for. The name, glyph, Latin letter and probability
    of a reading are those of its first alternative.
    """

    alternatives: tuple[Alternative, ...]
    pages: int = field(default=1, kw_only=True)

    @property
    def blank(self) -> bool:
        """Whether the picture holds no ink, and so no letter."""
        return not self.alternatives

    @property
    def name(self) -> str:
        """The class of the likeliest letter; "" for a blank, as are glyph and latin."""
        return self.alternatives[0].name if self.alternatives else ""

    @property
    def glyph(self) -> str:
        return self.alternatives[0].glyph if self.alternatives else ""

    @property
    def latin(self) -> str:
        return self.alternatives[0].latin if self.alternatives else ""

    @property
    def probability(self) -> float:
        """The probability of the likeliest letter; 0 for a blank."""
        return self.alternatives[0].probability if self.alternatives else 0.0

    def best(self, count: int | None = None) -> list[dict[str, Any]]:
        """The alternatives, or the first `count` of them, as JSON holds them."""
        return [each._asdict() for each in self.alternatives[:count]]


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
