"""What is told of a page: text with alternatives, numbers, and boxes where the letters are."""

import numpy as np
import pytest
from PIL import Image

from lenet_xp.letters.alternatives import Alternative
from lenet_xp.pages.output import PageReading
from lenet_xp.pages.page import LetterOnPage

BLUE, ORANGE = (0, 114, 178), (213, 94, 0)  # of the palette of Okabe and Ito


def letter(*probabilities, box=(0, 0, 9, 9), line=0, position=0, space=False):
    names = (("yam", "ⵎ", "m"), ("yat", "ⵜ", "t"), ("yaz", "ⵣ", "z"), ("yab", "ⴱ", "b"))
    alternatives = tuple(Alternative(*n, p) for n, p in zip(names, probabilities, strict=False))
    return LetterOnPage(alternatives, box, line, position, space)


@pytest.mark.parametrize(
    ("probabilities", "latin"),
    [
        ((0.9, 0.1), "m"),
        ((0.89, 0.11), "[m|t]"),
        ((0.8, 0.15, 0.05), "[m|t|z]"),
        ((0.8, 0.16, 0.04), "[m|t]"),
        ((0.4, 0.3, 0.2, 0.1), "[m|t|z]"),
        ((0.03, 0.02), "[m]"),
    ],
)
def test_an_uncertain_letter_stands_as_its_likeliest_readings(probabilities, latin):
    page = PageReading((letter(*probabilities),))
    assert page.latin == latin
    assert page.text == latin.translate(str.maketrans("mtz", "ⵎⵜⵣ"))


def test_numbers_for_a_program():
    page = PageReading(
        (letter(0.95, 0.05, box=(1, 2, 3, 4)), letter(0.5, 0.5, line=2, position=1, space=True))
    )
    told = page.as_dict(1)
    assert (told["blank"], told["latin"], told["certain_from"]) == (False, "m\n [m|t]", 0.9)
    first, second = told["letters"]
    assert first["box"] == {"left": 1, "top": 2, "width": 3, "height": 4}
    assert [len(each["readings"]) for each in (first, second)] == [1, 1]
    assert (first["uncertain"], second["uncertain"]) == (False, True)
    assert (second["line"], second["position"], second["space_before"]) == (2, 1, True)
    assert PageReading(()).as_dict(3)["blank"]


def drawn(tmp_path, *found, shape=(400, 300)):
    PageReading(found).draw(np.full(shape, 90, np.uint8), tmp_path / "page.png")
    return np.asarray(Image.open(tmp_path / "page.png").convert("RGB")).astype(int)


def coloured(picture, colour):
    """The rows and columns of exactly this colour."""
    return np.nonzero((picture == colour).all(2))


@pytest.mark.parametrize(("p", "colour", "width"), [(0.95, BLUE, 2), (0.5, ORANGE, 4)])
def test_a_box_stands_around_each_letter_and_its_reading_above(tmp_path, p, colour, width):
    left, top, wide, high = 100, 200, 60, 80
    picture = drawn(tmp_path, letter(p, 1 - p, box=(left, top, wide, high)))
    middle = picture[top + high // 2]
    columns = np.flatnonzero((middle == colour).all(1))
    outer = [left - 3, left + wide + 3]
    assert [columns.min(), columns.max()] == outer and len(columns) == 2 * width
    rows = np.flatnonzero((picture[:, left + wide // 2 + 10] == colour).all(1))
    rows = rows[rows >= top - 4]
    assert [rows.min(), rows.max()] == [top - 3, top + high + 3] and len(rows) == 2 * width
    assert (picture[top + 3 : top + high - 3, left + 3 : left + wide - 3] == 90).all()
    white, columns = coloured(picture, (255, 255, 255))
    assert top - 80 < white.min() and top - 20 < white.max() < top - 3
    assert left - 6 <= columns.min() <= left + 3 and columns.max() < 200


def test_the_readings_are_as_large_as_letters_and_a_question_mark_makes_them_wider(tmp_path):
    def size(p, high):
        picture = drawn(tmp_path, letter(p, 1 - p, box=(200, 500, 60, high)), shape=(900, 900))
        rows, columns = coloured(picture, (255, 255, 255))
        return np.ptp(rows), np.ptp(columns)

    small, large = size(0.95, 50), size(0.95, 100)
    assert 1.6 < large[0] / small[0] < 2.5 and 22 < large[0] < 45
    assert size(0.5, 100)[1] > large[1]
    assert size(0.95, 5)[0] >= 7 and size(0.95, 900)[0] < 90  # still legible, still beside others


def test_a_large_picture_is_drawn_at_2000_pixels(tmp_path):
    picture = drawn(tmp_path, letter(0.95, box=(1000, 600, 400, 500)), shape=(2000, 4000))
    assert picture.shape[:2] == (1000, 2000)
    rows, columns = coloured(picture, BLUE)
    assert np.abs(np.array([columns.min(), columns.max()]) - (497, 703)).max() <= 1
    assert abs(rows.max() - 553) <= 1
    assert drawn(tmp_path, shape=(100, 50)).shape[:2] == (100, 50)
