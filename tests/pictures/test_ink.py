"""Ink of drawn bars, without noise: each threshold on either side of where it begins to hold."""

import numpy as np
import pytest

from lenet_xp.pictures.ink import Ink, find_ink, stroke_width
from lenet_xp.pictures.letter import intersection_over_union, letter_mask
from lenet_xp.pictures.sheet import Sheet, darkness, make_sheet, polarity_votes, shrunk
from lenet_xp.system.opencv import cv2


def levels_of(*bars, shape=(300, 300)):
    """Darkness: bars of left, top, right, bottom and a level, on 0; later ones on earlier ones."""
    levels = np.zeros(shape, np.uint8)
    for left, top, right, bottom, level in bars:
        levels[top:bottom, left:right] = level
    return levels


def inked(*bars, shape=(300, 300)):
    """Whether the middle of each bar is ink."""
    levels = levels_of(*bars, shape=shape)
    mask = find_ink(levels, 60, np.zeros_like(levels)).mask()
    return [bool(mask[(b[1] + b[3]) // 2, (b[0] + b[2]) // 2]) for b in bars]


@pytest.mark.parametrize(("level", "expected"), [(5, False), (8, False), (9, True), (30, True)])
def test_ink_is_darker_than_eight_levels(level, expected):
    assert inked((100, 100, 110, 200, level)) == [expected]


@pytest.mark.parametrize(("level", "expected"), [(20, False), (23, False), (27, True), (50, True)])
def test_ink_is_darker_than_a_quarter_of_the_darkest(level, expected):
    bars = [(100, 100, 110, 200, 100), (200, 100, 210, 200, level)]
    assert inked(*bars) == [True, expected]
    few = (100, 100, 105, 112, 100)  # sixty dark pixels are no full ink
    assert inked(few, (200, 100, 210, 200, 20)) == [True, True]


@pytest.mark.parametrize(
    ("core", "rim", "expected"),
    [(12, 3, False), (12, 5, True), (120, 11, False), (120, 13, True)],
)
def test_the_rest_of_a_stroke_may_be_a_third_as_dark(core, rim, expected):
    assert inked((100, 80, 116, 100, rim), (100, 100, 116, 200, core)) == [expected, True]


def test_a_pixel_weighs_its_darkness_in_noise_and_at_most_forty():
    for level, weight in ((12, 30), (14, 35), (30, 40), (200, 40)):  # noise of 0.4 levels
        levels = levels_of((100, 100, 140, 200, level))
        ink = find_ink(levels, 60, np.zeros_like(levels))
        (number,) = np.flatnonzero(ink.weights)
        area = np.count_nonzero(ink.labels == number)
        assert area == pytest.approx(40 * 100, rel=0.1)
        assert ink.weights[number] / area == pytest.approx(weight, rel=0.06)
        assert np.abs(ink.boxes[number] - (100, 100, 40, 100)).max() <= 2


@pytest.mark.parametrize(
    ("side", "left", "expected"), [(200, 0, 4), (200, 4, 4), (199, 0, 0), (300, 0, 4)]
)
def test_the_margin_of_a_larger_picture_is_no_ink(side, left, expected):
    levels = levels_of((left, left, left + 20, side - left, 100), shape=(side, side))
    mask = find_ink(levels, 60, np.zeros_like(levels)).mask()
    assert np.flatnonzero(mask.any(0)).min() in (expected, expected - (left > 4))
    for edge in (mask, mask[::-1], mask.T, mask[:, ::-1].T):
        assert edge[:expected].max(initial=0) == 0


def test_a_stroke_has_a_rim_and_a_shadow_has_none():
    columns = np.arange(400)
    shadow = 60 * np.exp(-(((columns - 250) / 40) ** 2)) * np.ones((300, 1))
    levels = shadow.astype(np.uint8)
    levels[100:200, 60:70] = 60
    mask = find_ink(levels, 60, np.zeros_like(levels)).mask()
    assert mask[150, 65] and not mask[:, 150:].any()


def test_noise_of_any_strength_is_no_ink_and_what_is_much_darker_is():
    rng = np.random.default_rng(0)
    for sigma in (1.0, 3.0, 9.0):
        noise = rng.normal(3 * sigma, sigma, (400, 400))
        for level, expected in ((1.0, False), (16.0, True)):
            levels = noise.copy()
            levels[150:250, 195:205] += level * sigma
            levels = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
            mask = find_ink(levels, 60, np.zeros_like(levels)).mask()
            assert mask[150:250, 195:205].mean() > 200 if expected else not mask.any()


@pytest.mark.parametrize(("level", "expected"), [(9, False), (14, True)])
def test_the_rest_of_a_stroke_stands_out_of_noise(level, expected):
    """Noise of 12 levels, which smoothing brings to about 4: 2.2 of these are 9 levels."""
    found = []
    for seed in range(4):
        levels = np.random.default_rng(seed).normal(14, 12, (400, 400))
        levels[150:170, 100:200] += 40
        levels[150:170, 200:300] += level
        levels = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        mask = find_ink(levels, 60, np.zeros_like(levels)).mask() > 0
        assert mask[155:165, 105:195].mean() > 0.98
        found.append(mask[155:165, 210:295].mean())
    assert np.mean(found) > 0.75 if expected else np.mean(found) < 0.25


@pytest.mark.parametrize("width", [3, 5, 8, 13, 30])
def test_the_width_of_strokes(width):
    mask = np.zeros((300, 300), np.uint8)
    mask[20:280, 50 : 50 + width] = 255
    assert stroke_width(mask) == pytest.approx(width + 1, abs=1.5, rel=0.1)
    mask[50:60, 120:220] = 255  # less ink of another width
    if width > 5:
        assert stroke_width(mask) == pytest.approx(width + 1, abs=1.5, rel=0.1)
    assert stroke_width(np.zeros((30, 30), np.uint8)) == 0


def test_boxes_overlap_as_their_pixels_do():
    rng = np.random.default_rng(1)
    for _ in range(200):
        boxes = [tuple(map(int, rng.integers((0, 0, 1, 1), (12, 12, 12, 12)))) for _ in range(2)]
        one, other = (
            {(x, y) for x in range(a, a + w) for y in range(b, b + h)} for a, b, w, h in boxes
        )
        expected = len(one & other) / len(one | other)
        assert intersection_over_union(*boxes) == pytest.approx(expected)


def letter_of(*parts, shape=(500, 500)):
    """The boxes that make up a letter: parts are left, top, width, height and weight."""
    labels = np.zeros(shape, np.int32)
    largest_first = sorted(enumerate(parts, 1), key=lambda each: -each[1][2] * each[1][3])
    for number, (left, top, wide, high, _) in largest_first:
        labels[top : top + high, left : left + wide] = number
    boxes = np.array([(0, 0, *shape[::-1]), *(part[:4] for part in parts)])
    weights = np.array([0.0, *(part[4] for part in parts)])
    mask, box = letter_mask(Ink(np.zeros(shape, np.uint8), labels, boxes, weights))
    chosen = {int(number) for number in np.unique(labels[mask > 0])}
    rows, columns = np.nonzero(mask)
    assert box[:2] == (columns.min(), rows.min())
    assert box[2:] == (np.ptp(columns) + 1, np.ptp(rows) + 1)
    return chosen


BODY = (200, 200, 50, 100, 1000.0)


@pytest.mark.parametrize(
    ("part", "belongs"),
    [
        ((260, 200, 10, 10, 35.0), True),  # a speck begins below three hundredths of the weight
        ((260, 200, 10, 10, 30.0), True),
        ((260, 200, 10, 10, 25.0), False),
        ((220, 240, 5, 5, 12.0), True),  # within the body below one
        ((220, 240, 5, 5, 8.0), False),
        ((200, 240, 5, 5, 12.0), False),  # at its border, or across it
        ((230, 240, 40, 5, 12.0), False),
        ((180, 240, 40, 5, 12.0), False),
        ((220, 290, 5, 20, 12.0), False),
        ((220, 190, 5, 20, 12.0), False),
        ((310, 200, 10, 10, 100.0), True),  # 0.6 of the longer side away
        ((315, 200, 10, 10, 100.0), False),
        ((130, 200, 10, 10, 100.0), True),
        ((125, 200, 10, 10, 100.0), False),
        ((200, 130, 10, 10, 100.0), True),
        ((200, 365, 10, 10, 100.0), False),
        ((410, 200, 10, 10, 200.0), True),  # 1.6 where it is a fifth as heavy
        ((415, 200, 10, 10, 200.0), False),
        ((400, 200, 10, 10, 190.0), False),
    ],
)
def test_what_belongs_to_the_heaviest_part_of_a_letter(part, belongs):
    assert letter_of(BODY, part) == ({1, 2} if belongs else {1})
    assert letter_of(part, BODY) == ({1, 2} if belongs else {2})


def test_parts_lead_to_further_parts():
    chain = [(300 + 50 * n, 200, 10, 10, 100.0) for n in range(3)]
    assert letter_of(BODY, *chain) == {1, 2, 3, 4}
    assert letter_of(BODY, *chain[1:]) == {1}


@pytest.mark.parametrize(
    ("left", "weight", "shape", "chosen"),
    [
        (0, 4000.0, (500, 500), 1),  # what touches the margin weighs a fifth
        (4, 4000.0, (500, 500), 1),
        (5, 4000.0, (500, 500), 2),
        (0, 6000.0, (500, 500), 2),
        (0, 1100.0, (199, 500), 2),  # a small picture has no margin
        (0, 1100.0, (200, 500), 1),
    ],
)
def test_what_touches_the_margin_must_be_much_heavier(left, weight, shape, chosen):
    body = (400, 60, 30, 60, 1000.0)  # off the middle, where no neighbour is expected
    for edge in ((left, 70, 20, 20, weight), (left, 70, 20, 20, weight)):
        assert chosen in letter_of(body, edge, shape=shape)
        assert len(letter_of(body, edge, shape=shape)) == 1


def test_a_letter_in_the_middle_has_neighbours_where_the_edge_cuts_ink_off():
    """A neighbour that the edge leaves whole stays out too, and another part of the letter in."""
    letter, part = (85, 80, 35, 90, 1000.0), (130, 80, 35, 90, 800.0)
    cut, whole, above = (0, 80, 60, 90, 3000.0), (195, 80, 30, 90, 900.0), (85, 0, 90, 50, 900.0)
    shape = (250, 250)
    for neighbours in ([cut], [cut, whole], [above], [whole, above, cut]):
        assert letter_of(letter, part, *neighbours, shape=shape) == {1, 2}
    assert letter_of(letter, part, whole, shape=shape) == {1, 2, 3}  # no edge cuts a neighbour off
    tall = (110, 10, 40, 230, 1000.0)  # it fills the picture, as what is cut to its ink
    assert 2 in letter_of(tall, (0, 10, 80, 230, 6000.0), shape=shape)
    assert 4 in letter_of(letter, part, whole, (0, 80, 60, 90, 6000.0), shape=(600, 600))


def test_the_right_and_lower_margins_are_margins_too():
    body = (300, 200, 30, 60, 1000.0)
    for edge in ((476, 20, 20, 20, 4000.0), (20, 476, 20, 20, 4000.0)):
        assert letter_of(body, edge) == {1}
    for inside in ((475, 20, 20, 20, 4000.0), (20, 475, 20, 20, 4000.0)):
        assert letter_of(body, inside) == {2}


@pytest.mark.parametrize(
    ("shape", "side", "smaller"),
    [((100, 50), 40, (40, 20)), ((50, 100), 40, (20, 40)), ((4, 4000), 100, (1, 100))],
)
def test_a_picture_is_shrunk_to_its_longer_side(shape, side, smaller):
    picture = np.full(shape, 77, np.uint8)
    found = shrunk(picture, side)
    assert found.shape == smaller and (found == 77).all()
    assert shrunk(picture, max(shape)) is picture
    steps = np.repeat(np.arange(10, dtype=np.uint8) * 20, 10) * np.ones((100, 1), np.uint8)
    np.testing.assert_array_equal(shrunk(steps, 10), steps[::10, ::10])


@pytest.mark.parametrize(("step", "votes"), [(3, False), (4, False), (5, True), (60, True)])
def test_strokes_vote_if_they_differ_by_more_than_four_levels(step, votes):
    paper = np.full((300, 300), 200, np.uint8)
    paper[50:250:40, 50:250] = paper[51:250:40, 50:250] = paper[52:250:40, 50:250] = 200 - step
    paper[50:250, 140:146] = 200 - step
    assert polarity_votes(paper) == ((1.0, 0.0) if votes else (0.0, 0.0))
    assert polarity_votes(255 - paper) == ((0.0, 1.0) if votes else (0.0, 0.0))
    assert make_sheet(paper).dark
    assert make_sheet(255 - paper).dark == (not votes)


@pytest.mark.parametrize(("side", "stroke"), [(80, 3), (80, 8), (126, 3)])
def test_surroundings_in_a_small_picture_are_no_narrower_than_five_pixels(side, stroke):
    """Within three, the paper beside the pixels of a ring's edge votes for the other polarity."""
    paper = np.full((side, side), 230, np.uint8)
    cv2.circle(paper, (side // 2, side // 2), side // 3, 60, stroke)
    for ink, sheet in (("dark", paper), ("light", 255 - paper)):
        votes = polarity_votes(sheet)
        own, other = votes if ink == "dark" else votes[::-1]
        assert own == 1 and other < 0.1
        assert make_sheet(sheet).dark == (ink == "dark")


def test_darkness_of_ink_is_the_share_of_light_it_takes_and_of_chalk_the_light_it_adds():
    levels = np.full((300, 300), 200, np.uint8)
    levels[100:200, 100:110] = 50
    nothing = np.zeros_like(levels)
    ink = darkness(Sheet(levels, nothing, True), 60)
    assert abs(int(ink[150, 105]) - 255 * 0.75) <= 1 and ink[:, :90].max() == 0
    chalk = darkness(Sheet(levels, nothing, False), 60)
    assert chalk[150, 105] == 150 and chalk[:, :90].max() == 0
    levels[100:200, 100:200] = 50  # wider than the kernel: paper
    assert darkness(Sheet(levels, nothing, True), 60)[130:170, 130:170].max() == 0
    assert darkness(Sheet(levels, nothing, True), 140)[130:170, 130:170].min() > 180


@pytest.mark.parametrize("dark", [True, False])
def test_ink_and_chalk_are_as_dark_in_a_shadow(dark):
    """The right half has half of the light."""
    board, stroke = (200, 60) if dark else (60, 120)
    grey = np.full((400, 400), board, np.uint8)
    grey[100:300, 95:105] = grey[100:300, 295:305] = stroke
    grey[:, 200:] //= 2
    levels = darkness(Sheet(grey if dark else 255 - grey, np.zeros_like(grey), dark), 60)
    assert levels[200, 100] == pytest.approx(levels[200, 300], rel=0.03)
