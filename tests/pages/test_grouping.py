"""The likeliest grouping of a line's parts against a search of all, and each kind of evidence."""

import numpy as np
import pytest

from lenet_xp.letters.alphabet import letters
from lenet_xp.pages.grouping import SCORES, SPLIT_OF, WIDTHS, Groups, likely_spans
from lenet_xp.pages.parts import Parts

NAMES = tuple(letter.name for letter in letters())
RINGS = (NAMES.index("ya"), NAMES.index("yar"))
BLANK = np.zeros((1, 1))


def line(boxes, crossed=None, height=100.0):
    boxes = np.array(boxes, float)
    crossed = np.full(len(boxes), np.nan) if crossed is None else np.array(crossed)
    return Parts(BLANK, BLANK, np.zeros(2, int), boxes, crossed, height, np.arange(len(boxes)))


def row(name, probability=0.99):
    rest = np.full(len(NAMES), (1 - probability) / (len(NAMES) - 1))
    rest[NAMES.index(name)] = probability
    return rest


def read(parts, readings):
    """The chosen spans of a line where the network reads spans as names, others as nothing."""
    spans = likely_spans(parts)
    rows = [row(readings[e]) if e in readings else np.full(33, 1 / 33) for e in spans]
    groups = Groups(parts, spans, np.array(rows), NAMES)
    return [spans[group] for group in groups.likeliest(100.0)]


def normal(height, mean, deviation):
    """Proportional to how probable a height is, but no less than the lower bound."""
    return max(np.exp(-(((height - mean) / deviation) ** 2) / 2), np.exp(-12))


def score(parts, first, end, row):
    """The score of a group by its definition."""
    boxes = parts.boxes / 100.0
    tall = boxes[first:end, 3].max() - boxes[first:end, 1].min()
    gaps = [
        boxes[part, 0] - boxes[:part, 2].max()
        for part in range(first + 1, end)
        if np.isnan(parts.crossed[part])
    ]
    gaps = [gap for gap in gaps if gap >= 0.02]
    best = -np.inf
    for k, name in enumerate(NAMES):
        fit = normal(tall, 1, 0.2)
        if k in RINGS:
            fit = max(fit, normal(tall, 0.5, 0.12))
        total = 2 * np.log(max(row[k], 1e-6)) + np.log(fit)
        if gaps:
            total += np.log(SPLIT_OF.get(name, 0.03)) - sum(gaps) / 0.1
        best = max(best, total)
    wide = boxes[first:end, 2].max() - boxes[first, 0]
    cut = 0.0 if np.isnan(parts.crossed[first]) else -3.32 - 0.84 * parts.crossed[first]
    return 1.54 * best + np.interp(wide, WIDTHS, SCORES) + cut


def groupings(spans, count):
    """All ways to put the parts 0 to count - 1 into spans, in order."""
    if not count:
        return [()]
    return [
        (*rest, span) for span in spans if span[1] == count for rest in groupings(spans, span[0])
    ]


@pytest.mark.parametrize("seed", range(30))
def test_no_grouping_of_a_line_is_likelier(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 8))
    widths, gaps = rng.uniform(20, 70, count), rng.uniform(-5, 28, count)
    left = np.cumsum(widths + gaps) - widths
    tops = rng.choice([0, 0, 0, 45, 52], count) + rng.uniform(0, 20, count)
    boxes = np.stack([left, tops, left + widths, rng.uniform(90, 115, count)], axis=1)
    crossed = np.where(rng.random(count) < 0.3, rng.uniform(0, 0.4, count), np.nan)
    crossed[0] = np.nan
    parts = line(boxes, crossed)
    spans = likely_spans(parts)
    assert spans == [
        (first, end)
        for first in range(count)
        for end in range(first + 1, count + 1)
        if end - first == 1 or boxes[end - 1, 2] - boxes[first, 0] <= 190
    ]
    rows = rng.dirichlet(np.full(len(NAMES), 0.03), len(spans))
    groups = Groups(parts, spans, rows, NAMES)
    scores = [score(parts, *span, row) for span, row in zip(spans, rows, strict=True)]
    assert groups.scores(100.0) == pytest.approx(scores)
    by_span = dict(zip(spans, scores, strict=True))
    best = max(groupings(spans, count), key=lambda chosen: sum(by_span[each] for each in chosen))
    assert [spans[group] for group in groups.likeliest(100.0)] == list(best)


@pytest.mark.parametrize(("whole", "together"), [("yagw", True), ("yab", False)])
def test_a_gap_stays_within_letters_that_are_often_written_with_one(whole, together):
    parts = line([[0, 0, 45, 100], [75, 0, 110, 40]])  # a letter, and something high and small
    readings = {(0, 1): "yab", (1, 2): "yab", (0, 2): whole}
    assert (read(parts, readings) == [(0, 2)]) == together


@pytest.mark.parametrize("gap", [3, 10, 25, 60])
def test_two_letters_are_two_at_any_gap(gap):
    parts = line([[0, 0, 80, 100], [80 + gap, 0, 160 + gap, 100]])
    assert read(parts, {(0, 1): "yab", (1, 2): "yad"}) == [(0, 1), (1, 2)]


def test_ink_is_cut_where_both_sides_are_letters_and_the_whole_is_none():
    parts = line([[0, 0, 80, 100], [80, 0, 160, 100]], [np.nan, 0.1])
    assert read(parts, {(0, 1): "yab", (1, 2): "yad"}) == [(0, 1), (1, 2)]
    narrow = line([[0, 0, 45, 100], [45, 0, 90, 100]], [np.nan, 0.1])
    assert read(narrow, {(0, 1): "yan", (1, 2): "yan", (0, 2): "yab"}) == [(0, 2)]


def test_a_part_of_its_own_may_have_any_width():
    assert likely_spans(line([[0, 0, 400, 100]])) == [(0, 1)]


def test_the_height_of_a_line_is_the_median_of_what_are_no_rings():
    parts = line([[0, 0, 9, 90], [20, 0, 29, 100], [40, 0, 49, 120], [60, 50, 90, 100]])
    rows = np.eye(len(NAMES))[[3, 4, 5, RINGS[0]]]
    groups = Groups(parts, [(n, n + 1) for n in range(4)], rows, NAMES)
    assert groups.height([0, 1, 2, 3]) == 100 and groups.height([0, 1, 3]) == 95
    assert groups.height([0, 3]) is None and groups.height([3]) is None


def test_a_gap_much_narrower_than_the_line_s_is_within_a_letter():
    """`yal` is a bar and what looks like `yad` alone; on a tight line these are two letters."""
    for between, together in ((40, True), (8, False)):
        left = np.cumsum([0, 80 + between, 15 + 8, 75 + between])
        boxes = np.stack(
            [left, 0 * left, left + np.array([80, 15, 75, 80]), 0 * left + 100], axis=1
        )
        names = {(0, 1): "yab", (1, 2): "yan", (2, 3): "yad", (1, 3): "yal", (3, 4): "yab"}
        parts = line(boxes)
        spans = likely_spans(parts)
        rows = [row(names[e]) if e in names else np.full(33, 1 / 33) for e in spans]
        _, chosen = Groups(parts, spans, np.array(rows), NAMES).best()
        assert ((1, 3) in [spans[group] for group in chosen]) == together
