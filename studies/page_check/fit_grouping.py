"""Fit the weights by which the page reader groups ink into letters, and print them.

Lines of letters at all gaps are drawn, by writers whom the shipped model never saw, and squeezed or
stretched, since hands and type designs differ in width. All their parts are cut. The weights make
the true grouping the likeliest among all (a conditional random field on a chain).
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lenet_xp.commands.terminal import parser, run, whole_number
from lenet_xp.model_file import SHIPPED, SavedModel, load_model
from lenet_xp.ops import get_ops
from lenet_xp.pages.grouping import WIDTHS
from lenet_xp.pages.lines import find_lines, find_pieces
from lenet_xp.pages.page import read_groups
from lenet_xp.pages.parts import find_parts
from lenet_xp.pictures.frame import Box
from lenet_xp.pictures.letter import intersection_over_union
from lenet_xp.system.opencv import cv2
from studies.page_check.gaps import GAPS
from studies.page_check.letters import load_letters
from studies.page_check.lines import draw_pages

STRETCHES = (0.6, 1.25)  # times: the width of a page
MIN_OVERLAP = 0.45  # intersection over union of a true group and its letter
DECAY = 0.02  # weight of the squared weights

EXAMPLES = "  python -m studies.page_check.fit_grouping --data amhcd_64.zip"


@dataclass(frozen=True)
class Line:
    """spans: of the groups, in their order. signs: (G, F). truth: the groups that are letters."""

    spans: list[tuple[int, int]]
    signs: np.ndarray
    truth: list[int]

    def cost(self, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the log of how likely the truth is, and its gradient."""
        scores, count = self.signs @ weights, max(end for _, end in self.spans)
        before, after = np.full(count + 1, -np.inf), np.full(count + 1, -np.inf)
        before[0] = after[count] = 0.0
        for (first, end), score in zip(self.spans, scores, strict=True):
            before[end] = np.logaddexp(before[end], before[first] + score)
        for (first, end), score in zip(self.spans[::-1], scores[::-1], strict=True):
            after[first] = np.logaddexp(after[first], after[end] + score)
        firsts, ends = np.array(self.spans).T
        shares = np.exp(before[firsts] + scores + after[ends] - before[count])
        gradient = shares @ self.signs - self.signs[self.truth].sum(0)
        return float(before[count] - scores[self.truth].sum()), gradient


def best_path(spans: list[tuple[int, int]], rewards: np.ndarray) -> list[int]:
    """The groups in a row whose rewards sum up to the most."""
    sums, last = {0: 0.0}, {0: -1}
    for group, (first, end) in enumerate(spans):
        if sums[first] + rewards[group] > sums.get(end, -np.inf):
            sums[end], last[end] = sums[first] + rewards[group], group
    path, place = [], max(sums)
    while place:
        path.append(last[place])
        place = spans[last[place]][0]
    return path[::-1]


def _features(signs: np.ndarray) -> np.ndarray:
    """Signs (G, 4) with the width as its share in each of WIDTHS, (G, 3 + len(WIDTHS))."""
    shares = [np.interp(signs[:, 1], WIDTHS, row) for row in np.eye(len(WIDTHS))]
    return np.column_stack([signs[:, [0, 2, 3]], *shares])


def _lines(picture: np.ndarray, boxes: list[Box], saved: SavedModel) -> Iterator[Line]:
    """The lines of a page, on which letters stand in these boxes (left, top, width, height)."""
    pieces = find_pieces(picture)
    for line in find_lines(pieces.boxes):
        parts = find_parts(pieces, line)
        groups = read_groups(parts.cut(range(len(parts.boxes))), saved)
        rewards = np.empty(len(groups.spans))
        for group, span in enumerate(groups.spans):
            own = groups.parts.place(*span, pieces.matrix)
            overlap = max(intersection_over_union(own, box) for box in boxes) - MIN_OVERLAP
            rewards[group] = overlap if overlap > 0 else overlap - 0.3
        signs = groups.signs(parts.height)
        yield Line(groups.spans, _features(signs), best_path(groups.spans, rewards))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser("python -m studies.page_check.fit_grouping", __doc__, EXAMPLES)
    p.add_argument("--data", default="synthetic", metavar="SOURCE", help="(default: synthetic)")
    p.add_argument("--pages", type=whole_number(1), default=12, metavar="N", help="(default: 12)")
    p.add_argument("--seed", type=whole_number(0), default=1, metavar="N", help="(default: 1)")
    return p.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    from scipy.optimize import minimize

    options = _options(arguments)
    saved = load_model(SHIPPED, get_ops("numpy"))
    given = load_letters(options.data, "val", options.seed)
    rng, lines = np.random.default_rng(options.seed), []
    for gaps in GAPS:
        for picture, written, _ in draw_pages(given, options.pages, options.seed, gaps):
            stretch = rng.uniform(*STRETCHES)
            page = cv2.resize(picture, None, fx=stretch, fy=1, interpolation=cv2.INTER_AREA)
            boxes = [
                (int(x * stretch), y, int(wide * stretch), high)
                for x, y, wide, high in (each.box for each in written)
            ]
            lines += list(_lines(page, boxes, saved))

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        costs, gradients = zip(*(line.cost(weights) for line in lines), strict=True)
        decay = DECAY * len(lines)
        return sum(costs) + decay * (weights @ weights) / 2, sum(gradients) + decay * weights

    start = np.zeros(3 + len(WIDTHS))
    found = minimize(cost, start, jac=True, method="L-BFGS-B", options={"maxiter": 60})
    evidence, cut, crossed, *scores = np.round(found.x, 2).tolist()
    print(f"{len(lines)} lines; EVIDENCE = {evidence}; CUT, CROSSED = {cut}, {crossed}")
    print(f"SCORES = {tuple(scores)}")


if __name__ == "__main__":
    sys.exit(run(main))
