"""Pictures that are none of the letters, for training: what a reader is handed and cannot read.

Code alone makes them. A few pass for a letter by chance, as two rings do for a `yu`. The true
letters of that form outnumber them by far, so a network learns from both that it is a letter.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lenet_xp.letters.alphabet import letters as tifinagh
from lenet_xp.letters.font import dejavu
from lenet_xp.letters.handwriting import SIZE, hands
from lenet_xp.letters.strokes import OTHERS, Shape
from lenet_xp.letters.synthetic import draw_shape
from lenet_xp.pictures.frame import pad_bar
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2

WRITTEN, PRINTED = 0.4, 0.2  # of all pictures: signs of other scripts, where these are no classes
MAX_WIDENING = 2.5  # times a hand's pen: felt pens and brushes
MAX_GRID = 5  # letters: in a row or column of a picture of many
FACES = "Sans", "Sans-Bold", "Sans-Oblique", "SansMono", "Serif", "Serif-Italic"  # of DejaVu
FULL_FACES = 2  # of FACES, the first ones: they have all signs
# Not the forms of Tifinagh: no O Q E I C X U Y N H W R t and what looks like them.
EUROPEAN = (
    "ABDFGJKLMPSTVZabdefghjkmnrsyz2345679&@#$%?~ßΓΔΞΠΩαβγδζηκμξπρςτωБГДЙЦЧЫЪЮЯбвгдйцчыьъюяђљњ"
)
EASTERN = "אבגדהזחטכלמעפצקרשתبتثجحخدذرزسشصضطظعغفقكلمنويაბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ"


def generate(
    count: int, letters: np.ndarray, class_names: Sequence[str], seed: int = 0
) -> np.ndarray:
    """Pictures (count, 64, 64) uint8, dark on light, that show none of the classes.

    letters: training letters of the classes, (n, S, S) uint8, ink 255 on paper 0. Signs of other
    scripts are drawn only where all classes are letters of Tifinagh: another alphabet may hold
    them. The same arguments give the same bytes.
    """
    rng = np.random.default_rng([seed, 2])
    foreign = set(class_names) <= {each.name for each in tifinagh()}
    written, printed = (int(count * share * foreign) for share in (WRITTEN, PRINTED))
    images = np.empty((count, SIZE, SIZE), np.uint8)
    # Signs of other scripts, doodles and scribbles in many hands.
    hand = hands(rng, rng, written)
    hand = hand._replace(pen=hand.pen * MAX_WIDENING ** rng.random(written))
    shape = Shape([one for each in OTHERS.values() for one in each.allographs])
    draw_shape(shape, hand, rng, images[:written])
    for number in range(written, count):
        draw = _print if number < written + printed else MADE[rng.integers(len(MADE))]
        ink = pad_bar(draw(letters, rng))
        images[number] = 255 - cv2.resize(ink, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return images


def prepared(
    count: int,
    letters: np.ndarray,
    class_names: Sequence[str],
    preprocessing: Preprocessing,
    seed: int = 0,
) -> np.ndarray:
    """The same as a network sees them, (count, S, S) uint8, cut as a reader's pictures are."""
    pictures = generate(count, letters, class_names, seed)
    return replace(preprocessing, framing="cut").apply_all(pictures)


def _print(letters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A printed sign of another script, slanted, widened or thinned: its ink, (h, w) uint8."""
    from PIL import Image, ImageDraw

    number = rng.integers(len(EUROPEAN + EASTERN))
    sign = (EUROPEAN + EASTERN)[number]
    font = dejavu(SIZE, FACES[rng.integers(len(FACES) if number < len(EUROPEAN) else FULL_FACES)])
    left, top, _, _ = font.getbbox(sign)
    page = Image.new("L", (3 * SIZE, 3 * SIZE))
    ImageDraw.Draw(page).text((SIZE - left, SIZE - top), sign, 255, font)
    slant = np.array([[1, rng.normal(0, 0.2), 0], [rng.normal(0, 0.1), 1, 0]])
    ink = cv2.warpAffine(np.asarray(page), slant, page.size)
    change, limit = (cv2.dilate, 5) if rng.random() < 0.3 else (cv2.erode, 8)
    changed = change(ink, np.ones(rng.integers(1, limit, 2), np.uint8))
    ink = changed if changed.max() > 127 else ink
    x, y, wide, high = cv2.boundingRect(ink)
    return ink[y : y + high, x : x + wide]


def _grid(letters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Letters side by side, one above the other, or as on a page, (h, w) uint8."""
    rows, columns = rng.integers(1, 3 if rng.random() < 0.6 else MAX_GRID + 1, 2)
    columns += rows * columns == 1
    size = 2 * SIZE // max(rows, columns)
    page = np.zeros((rows * size, columns * size), np.uint8)
    for place in np.ndindex(rows, columns):
        letter = letters[rng.integers(len(letters))]
        wide, high = np.rint(size * rng.uniform(0.6, 0.98, 2)).astype(int).tolist()
        top, left = rng.integers(0, [size - high + 1, size - wide + 1]) + size * np.array(place)
        small = cv2.resize(letter, (wide, high), interpolation=cv2.INTER_AREA)
        page[top : top + high, left : left + wide] = small
    return page


def _splice(letters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part of a letter alone, joined to a part of another, or two letters on one place."""
    first, second = letters[rng.integers(len(letters), size=2)]
    if turned := rng.random() < 0.5:
        first, second = first.T, second.T
    cut = int(len(first) * rng.uniform(0.35, 0.65))
    spliced = (
        first[:, :cut] if rng.random() < 0.5 else first[:, cut:],
        np.hstack([first[:, :cut], second[:, cut:]]),
        np.maximum(first, second),
    )[rng.integers(3)]
    return np.ascontiguousarray(spliced.T if turned else spliced)


def _blots(letters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blots, smears or specks, (64, 64) uint8."""
    noise = cv2.GaussianBlur(rng.standard_normal((SIZE, SIZE)), (0, 0), rng.uniform(0.5, 10))
    return np.where(noise > np.quantile(noise, rng.uniform(0.6, 0.95)), 255, 0).astype(np.uint8)


MADE = (_grid, _grid, _grid, _grid, _splice, _splice, _blots)  # the likelier, the more often
