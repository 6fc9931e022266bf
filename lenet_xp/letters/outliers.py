"""Pictures that are none of the letters, for training: what a reader is handed but cannot read.

They are made by code alone. Some pictures pass for a letter by chance, as two rings that make a
`yu`; such a picture is one among hundreds of true ones, and teaches the network little.
"""

from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lenet_xp.letters.alphabet import letters as tifinagh
from lenet_xp.letters.handwriting import SIZE, hands
from lenet_xp.letters.strokes import Shape, read_shapes
from lenet_xp.letters.synthetic import draw_shape
from lenet_xp.pictures.frame import pad_bar
from lenet_xp.system.opencv import cv2

MAX_WIDENING = 2.5  # times: the pen of a hand, for felt pens and brushes
MAX_GRID = 6  # letters: in a row or column of a picture of many
FACES = ("Sans", "Sans-Bold", "Sans-Oblique", "SansMono", "Serif", "Serif-Italic")  # of DejaVu
FIRST_OF_SANS = "א"  # from this sign on only the first two faces are complete
# Without the forms of Tifinagh: O Q E I C X U Y N H W R t, their kin, rings, bars and crosses.
CHARACTERS = (
    "ABDFGJKLMPSTVZabdefghjkmnrsyz2345679&@#$%?~ß"
    "ΓΔΞΠΩαβγδζηκμξπρςτω"
    "БГДЙЦЧЫЪЮЯбвгдйцчыьъюяђљњ"
    "אבגדהזחטכלמעפצקרשת"
    "بتثجحخدذرزسشصضطظعغفقكلمنوي"
    "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ"
)


def generate(
    count: int, letters: np.ndarray, class_names: tuple[str, ...], seed: int = 0
) -> np.ndarray:
    """Pictures (count, 64, 64) uint8, dark on light, that show none of the classes.

    letters: training letters (n, S, S) uint8, ink 255 on paper 0. Signs of other scripts are drawn
    only beside the classes of Tifinagh: another alphabet may hold them. The same arguments give the
    same bytes.
    """
    rng = np.random.default_rng([seed, 2])
    images = np.empty((count, SIZE, SIZE), np.uint8)
    foreign = set(class_names) <= {each.name for each in tifinagh()}
    kinds = [_grid, _grid, _splice, _splice, _texture]
    kinds += [_print] * 4 if foreign else []
    written = int(count * 0.45) if foreign else 0
    _write(images[:written], rng)
    for image in images[written:]:
        ink = kinds[rng.integers(len(kinds))](letters, rng)
        cv2.resize(255 - pad_bar(ink), (SIZE, SIZE), dst=image, interpolation=cv2.INTER_AREA)
    return images


def _write(images: np.ndarray, rng: np.random.Generator) -> None:
    """Fill images with signs of other scripts, doodles and scribbles in random hands."""
    if len(images):
        shapes = read_shapes("not_tifinagh.csv").values()
        hand = hands(rng, rng, len(images))
        hand = replace(hand, pen=hand.pen * MAX_WIDENING ** rng.random(len(images)))
        draw_shape(Shape([one for each in shapes for one in each.allographs]), hand, rng, images)


def _grid(letters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Several letters side by side, one above the other, or as on a page."""
    rows, columns = rng.integers(1, MAX_GRID, 2) if rng.random() < 0.4 else rng.integers(1, 3, 2)
    columns += rows * columns == 1
    size = 2 * SIZE // max(rows, columns)
    page = np.zeros((rows * size, columns * size), np.uint8)
    for row in range(rows):
        for column in range(columns):
            wide, high = np.rint(size * rng.uniform(0.6, 0.98, 2)).astype(int).tolist()
            left, top = rng.integers(0, [size - wide + 1, size - high + 1])
            letter = letters[rng.integers(len(letters))]
            place = page[row * size + top :, column * size + left :][:high, :wide]
            cv2.resize(letter, (wide, high), dst=place, interpolation=cv2.INTER_AREA)
    return page


def _splice(letters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part of a letter, alone, beside a part of another letter, or across one."""
    first, second = letters[rng.integers(len(letters), size=2)]
    size = len(first)
    cut = int(size * rng.uniform(0.35, 0.65))
    turned = rng.random() < 0.5
    if turned:
        first, second = first.T, second.T
    kind = rng.integers(3)
    if kind == 0:
        part = first[:, :cut] if rng.random() < 0.5 else first[:, cut:]
    elif kind == 1:
        part = np.hstack([first[:, :cut], second[:, cut:]])
    else:
        part = np.maximum(first, second)
    return np.ascontiguousarray(part.T if turned else part)


def _texture(letters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blots, smears and specks."""
    noise = cv2.GaussianBlur(rng.standard_normal((SIZE, SIZE)), (0, 0), rng.uniform(0.5, 10))
    return np.where(noise > np.quantile(noise, rng.uniform(0.6, 0.95)), 255, 0).astype(np.uint8)


def _print(letters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A printed sign of another script, slanted, widened or thinned."""
    sign = CHARACTERS[rng.integers(len(CHARACTERS))]
    faces = FACES if sign < FIRST_OF_SANS else FACES[:2]
    font = _font(faces[rng.integers(len(faces))])
    left, top, right, bottom = font.getbbox(sign)
    page = Image.new("L", (3 * SIZE, 3 * SIZE))
    ImageDraw.Draw(page).text((SIZE - left, SIZE - top), sign, 255, font)
    slant = np.array([[1, rng.normal(0, 0.2), 0], [rng.normal(0, 0.1), 1, 0]])
    ink = cv2.warpAffine(np.asarray(page), slant, page.size)
    change, most = (cv2.dilate, 5) if rng.random() < 0.3 else (cv2.erode, 8)
    changed = change(ink, np.ones(rng.integers(1, most, 2), np.uint8))
    ink = changed if changed.max() > 127 else ink
    x, y, wide, high = cv2.boundingRect(ink)
    return ink[y : y + high, x : x + wide]


@cache
def _font(face: str) -> ImageFont.FreeTypeFont:
    """A face of DejaVu, which comes with matplotlib."""
    folder = Path(str(find_spec("matplotlib").origin)).parent / "mpl-data/fonts/ttf"
    return ImageFont.truetype(str(folder / f"DejaVu{face}.ttf"), SIZE)
