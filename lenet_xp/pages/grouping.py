"""Which parts of a line make one letter: the grouping that is likeliest as a whole.

The score of a group says how much likelier its parts are one letter than not: by the network, by
the letter's height on that line and its width, by gaps within it, which few letters have, and by
ink that was cut. `studies.page_check.fit_grouping` fits the weights to lines at all gaps. Dynamic
programming finds the best sum, as is usual for handwriting.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lenet_xp.letters.ya_or_yar import RING, fit
from lenet_xp.pages.parts import Parts

MAX_PARTS = 12  # parts of a letter, side by side
MAX_WIDTH = 1.9  # line heights: width of a letter of several parts
MIN_LOG_FIT = -12.0  # log of a likelihood: lower bound, so that no height rules a letter out
MIN_PROBABILITY = 1e-6  # lower bound, so that the network alone rules no letter out
MARK = 0.1  # share of marks that are no letter, where the network knows such
MIN_LETTERS = 2  # letters other than rings: so many give a line its height

# share of a letter's images in AMHCD with a gap from top to bottom; of those not named, SPLIT
SPLIT_OF = {"yad": 0.14, "yae": 0.17, "yaf": 0.2, "yagh": 0.18, "yagw": 0.8, "yakw": 0.8}
SPLIT_OF |= {"yal": 0.15, "yaw": 0.13}
SPLIT = 0.03
MIN_GAP = 0.02  # line heights: a narrower one may be a break in a stroke
GAP_SCALE = 0.1  # line heights: over it, gaps within letters become e times rarer

# What lines at all gaps gave; another set of lines gave half the weight of evidence, and reads as
# well, but for letters that touch.
WIDTHS = (0.05, 0.15, 0.3, 0.5, 0.8, 1.1, 1.4, 1.9)  # line heights
SCORES = (-0.15, -0.14, -0.66, 0.82, 2.06, 1.44, -0.9, -0.8)  # of these widths
EVIDENCE = 1.54  # weight of the log-likelihood of a group's likeliest letter
TRUST = 2.0  # weight of the network's log-probability in it
CUT, CROSSED = -3.32, -0.84  # of a cut, and of each line height of ink that it crosses
NARROW = -8.0  # of no gap between two letters where half the usual one would be well
MIN_USUAL_GAP = 0.15  # line heights: where the usual gap is narrower, any gap is well


def likely_spans(parts: Parts) -> list[tuple[int, int]]:
    """The ranges of a line's parts that may be one letter: first and last + 1."""
    boxes, count = parts.boxes, len(parts.boxes)
    return [
        (first, end)
        for first in range(count)
        for end in range(first + 1, min(first + MAX_PARTS, count) + 1)
        if end == first + 1 or boxes[end - 1, 2] - boxes[first, 0] <= MAX_WIDTH * parts.height
    ]


@dataclass(frozen=True)
class Groups:
    """The G groups of a line's M parts that may be letters.

    spans: the range of parts of each. rows: (G, K) probabilities of the classes.
    """

    parts: Parts
    spans: list[tuple[int, int]]
    rows: np.ndarray
    class_names: tuple[str, ...]

    def parts_of(self, groups: Iterable[int]) -> set[int]:
        """The uncut parts of some groups."""
        return {int(p) for each in groups for p in self.parts.origins[slice(*self.spans[each])]}

    def top(self, group: int) -> float:
        """The probability of a group's likeliest letter, `ya` and `yar` being one."""
        ring = np.isin(self.class_names, RING)
        return float(max(self.rows[group].max(), self.rows[group][ring].sum()))

    def best(self) -> tuple[float | None, list[int]]:
        """The line's height in pixels, if its letters tell it, and the likeliest groups."""
        chosen = self.likeliest(self.parts.height)
        known = self.height(chosen)
        height = known or self.parts.height
        firsts = [self.spans[group][0] for group in chosen[1:]]
        usual = float(np.median(self.gaps(height)[firsts])) if firsts else 0.0
        return known, self.likeliest(height, usual)

    def likeliest(self, height: float, usual: float = 0.0) -> list[int]:
        """The groups that make up a line of a height in pixels in the likeliest way, in order."""
        count = len(self.parts.boxes)
        sums, last = np.full(count + 1, -np.inf), np.full(count + 1, -1)
        sums[0] = 0.0
        for group, ((first, end), score) in enumerate(
            zip(self.spans, self.scores(height, usual), strict=True)
        ):
            if sums[first] + score > sums[end]:
                sums[end], last[end] = sums[first] + score, group
        chosen: list[int] = []
        while count:
            chosen.append(int(last[count]))
            count = self.spans[last[count]][0]
        return chosen[::-1]

    def scores(self, height: float, usual: float = 0.0) -> np.ndarray:
        """How much likelier each group is one letter than not, on a line of this height: (G,).

        usual: gap between letters, in heights of the line; 0 where it is not known.
        """
        evidence, widths, cut, crossed = self.signs(height).T
        scores = EVIDENCE * evidence + np.interp(widths, WIDTHS, SCORES)
        if usual >= MIN_USUAL_GAP:
            gaps = self.gaps(height)[[first for first, _ in self.spans]]
            lack = np.clip(1 - 2 * gaps / usual, 0, 1)
            scores += NARROW * np.where((cut > 0) | (gaps < 0), 0.0, lack)  # slanted ones overlap
        return np.asarray(scores + CUT * cut + CROSSED * crossed)

    def gaps(self, height: float) -> np.ndarray:
        """The gap before each part in heights of the line, (M,); endless before the first."""
        boxes, gaps = self.parts.boxes, np.full(len(self.parts.boxes), np.inf)
        gaps[1:] = (boxes[1:, 0] - np.maximum.accumulate(boxes[:, 2])[:-1]) / height
        return gaps

    def signs(self, height: float) -> np.ndarray:
        """What the scores weigh, (G, 4): evidence for a letter, width, a cut, the ink it crosses.

        Evidence is a log-likelihood. Width and ink are in heights of the line.
        """
        cut, crossed = np.isfinite(self.parts.crossed), np.nan_to_num(self.parts.crossed)
        gaps = self.gaps(height)
        gaps[(gaps < MIN_GAP) | cut] = 0.0
        split = np.log([SPLIT_OF.get(name, SPLIT) for name in self.class_names])
        logs = TRUST * np.log(np.maximum(self.rows, MIN_PROBABILITY))
        no_letter = MARK * (1 - self.rows.sum(1))
        marks = TRUST * np.log(np.maximum(no_letter, MIN_PROBABILITY))
        signs = np.empty((len(self.spans), 4))
        for group, (first, end) in enumerate(self.spans):
            left, top, right, bottom = self.parts.box(first, end) / height
            fits = logs[group] + np.maximum(fit(bottom - top, self.class_names), MIN_LOG_FIT)
            inner = gaps[first + 1 : end].sum()
            if inner:
                fits = fits + split - inner / GAP_SCALE
            mark = marks[group] + (np.log(SPLIT) - inner / GAP_SCALE if inner else 0.0)
            signs[group] = max(fits.max(), mark), right - left, cut[first], crossed[first]
        return signs

    def height(self, chosen: list[int]) -> float | None:
        """The median height of the chosen letters but rings; None if these are too few to tell."""
        heights = [
            np.ptp(self.parts.box(*self.spans[group])[[1, 3]])
            for group in chosen
            if self.class_names[int(self.rows[group].argmax())] not in RING
        ]
        return float(np.median(heights)) if len(heights) >= MIN_LETTERS else None
