"""Pages with what lies on them or at their edges: a hand, the rings of a binder, a soft shadow."""

import numpy as np
import pytest

from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.drawn_pages import Photo
from lenet_xp.letters.synthetic import generate
from lenet_xp.model_file import SHIPPED, load_model
from lenet_xp.ops import get_ops
from lenet_xp.pages.page import read_page
from lenet_xp.system.opencv import cv2
from studies.page_check.outside import Tally
from studies.page_check.written import lay_line

NAMES = tuple(letter.name for letter in letters())
SKIN, KNUCKLE, METAL, HOLE = 150, 118, 190, 55  # grey levels
SHAPE = (760, 1100)
TEXT = (("yaz", "yam", "yab", "yaq", "yad", "yal"), ("yay", "yat", "yax", "yaf", "yi", "yakw"))


@pytest.fixture(scope="module")
def saved():
    return load_model(SHIPPED, get_ops("numpy"))


def sheet(seed):
    """A page of two lines, (H, W) uint8, with room around them; its letters' names and boxes."""
    rng = np.random.default_rng(seed)
    images = generate(3, seed=5)[0].reshape(33, 3, 64, 64)
    cover, written = np.zeros(SHAPE, np.float32), []
    for number, line in enumerate(TEXT):
        labels = [NAMES.index(name) for name in line]
        chosen = [images[label, number] for label in labels]
        written += lay_line(cover, chosen, labels, (240, 200 + 170 * number), 80, number, rng)
    photo = Photo(gradient=0.2, noise=2, blur=0.5).take(cover, rng)
    return photo, [(NAMES[each.label], each.box) for each in written]


def soft(picture, mask, level):
    """A thing of a level under a mask (H, W) 0 to 255 on a picture; its edge is not sharper."""
    share = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 1.0)
    shade = cv2.GaussianBlur(share, (0, 0), 9) * (1 - share)  # what it throws on the paper
    level = level + 12 * np.sin(np.mgrid[: SHAPE[0], : SHAPE[1]][1] / 37)  # it is round
    return picture * (1 - share) * (1 - 0.4 * shade) + level * share


def hand(picture, rng):
    """A hand that holds the page from below: four fingers, with nails and knuckles."""
    mask, lines = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    left = int(rng.integers(250, 700))
    for finger in range(4):
        foot = left + 62 * finger, SHAPE[0] + 40
        tip = foot[0] + int(rng.integers(-30, 30)), int(rng.integers(560, 620))
        cv2.line(mask, foot, tip, 255, int(rng.integers(44, 56)), cv2.LINE_AA)
        knuckle = foot[0], int(rng.integers(690, 720))
        cv2.ellipse(lines, knuckle, (16, 5), 0, 0, 180, 255, 2, cv2.LINE_AA)
        nail = tip[0], tip[1] - 4
        cv2.ellipse(lines, nail, (13, 17), 0, 180, 360, 255, 2, cv2.LINE_AA)
    return soft(soft(picture, mask, SKIN), lines, KNUCKLE)


def rings(picture, rng):
    """Punched holes along the left edge, and metal rings through them."""
    step, start = int(rng.integers(55, 90)), int(rng.integers(20, 60))
    for y in range(start, SHAPE[0], step):
        mask = np.zeros(SHAPE, np.uint8)
        cv2.circle(mask, (46, y), 12, 255, -1, cv2.LINE_AA)
        picture = soft(picture, mask, HOLE)
        mask[:] = 0
        cv2.line(mask, (-20, y - 8), (48, y), 255, 9, cv2.LINE_AA)
        picture = soft(picture, mask, METAL - 100 * rng.random())
    return picture


def shadow(picture, rng):
    """The soft shadow of a head, across both lines."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    middle = rng.uniform(300, 800)
    inside = 1 / (1 + np.exp((np.hypot(x - middle, (y - 560) / 1.3) - 330) / 22))
    return picture * (1 - 0.55 * inside)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("things", [(hand,), (rings,), (shadow,), (shadow, rings, hand)])
def test_a_page_is_read_whatever_lies_on_it(things, seed, saved):
    picture, truth = sheet(seed)
    rng = np.random.default_rng(seed)
    for thing in things:
        picture = thing(picture, rng)
    noisy = picture + rng.normal(0, 1.5, SHAPE)
    tally = Tally()
    tally.add("page", truth, read_page(np.rint(noisy).clip(0, 255).astype(np.uint8), saved))
    assert tally.found == len(truth) and tally.right >= len(truth) - 1
    # Nails and knuckles are dark strokes on a light ground, too.
    assert tally.false_boxes <= (2 if hand in things else 0)
