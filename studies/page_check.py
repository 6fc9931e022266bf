"""Make results/pages/: how well letters are read off photographed pages.

    python studies/page_check.py --data amhcd_64.zip --out results/pages

Letters of the writers whom the shipped model never saw are pasted onto drawn pages, as single
letters of any size and place, and in lines of eight by one writer. `letters/drawn_pages.py` draws
what paper, light and camera do to them. Generated letters, the default, need no data.
The picture is of generated letters in any case.
"""

import argparse
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lenet_xp.commands.terminal import run, whole_number
from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import make_split
from lenet_xp.data.writers import writers_of
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.drawn_pages import Photo, lay_alone, lay_line
from lenet_xp.letters.synthetic import generate
from lenet_xp.model_file import SHIPPED, SavedModel, load_model
from lenet_xp.ops import get_ops
from lenet_xp.pages.output import PageReading
from lenet_xp.pages.page import PageLetter, read_page
from lenet_xp.pictures.letter import intersection_over_union
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.scores.intervals import bootstrap_interval, wilson_interval
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.system.progress import progress_bar

FOLD = 0  # of the split by writers: that of the shipped model
SMALLEST = 32  # pixels of the height of a single letter
SIZES = (0, 50, 100, 200, 10_000)  # pixels: the bounds of what is told apart
LINE, LINES = 8, 3  # letters to a line, lines to a page
FOUND = 0.5  # common part of a box and the true one
NAMES = tuple(each.name for each in letters())
RINGS = [NAMES.index("ya"), NAMES.index("yar")]
PICTURE = [["yaz", "yu", "yam", "yab", "yad", "yas"], ["yal", "ya", "yey", "yar", "yakw", "yi"]]


@dataclass(frozen=True)
class Letters:
    """images: (N, 64, 64) uint8, dark on light. labels, writers: (N,) int64."""

    images: np.ndarray
    labels: np.ndarray
    writers: np.ndarray


def _letters(source: str, part: str, seed: int) -> Letters:
    """The letters of the writers of one part of the split; generated ones are one writer's."""
    if source == "synthetic":
        images, labels = generate(2 * LINE, seed=seed)
        return Letters(images, labels, np.zeros(len(labels), np.int64))
    as_it_is = Preprocessing(size=64, polarity="light-on-dark", box="keep", contrast=False)
    dataset = load_dataset(source, as_it_is)
    split = make_split(dataset, "writer", FOLD)
    places = split.test if part == "test" else split.val
    return Letters(dataset.images[places], dataset.labels[places], writers_of(dataset)[places])


def _alike(found: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which are right where nothing tells a letter's size, by which alone `ya` is not `yar`."""
    rings = np.isin(found, RINGS) & np.isin(labels, RINGS)
    right: np.ndarray = (found == labels) | rings
    return right


def _share(hits: np.ndarray, writers: np.ndarray) -> dict:
    hits = np.asarray(hits, bool)
    several = len(np.unique(writers)) > 1
    return {
        "share": float(hits.mean()),
        "count": len(hits),
        "interval": wilson_interval(int(hits.sum()), len(hits)),
        "interval_over_writers": bootstrap_interval(hits, writers) if several else None,
    }


def _single(
    image: np.ndarray, label: int, rng: np.random.Generator
) -> tuple[np.ndarray, int, Photo]:
    """A page with one letter, its height, and what was done to it."""
    high, wide = (int(rng.integers(400, 1300)) for _ in range(2))
    height = int(np.exp(rng.uniform(np.log(SMALLEST), np.log(0.6 * min(high, wide)))))
    cover, box = lay_alone(image, NAMES[label], height, (high, wide), rng)
    photo = Photo.drawn(rng, int(np.clip(height * rng.uniform(0.5, 1.5), 30, 120)))
    return photo.take(cover, rng), box[3], photo


def _singles(given: Letters, saved: SavedModel, count: int, seed: int) -> dict:
    """Letters alone on a page, against the same letters given directly."""
    chosen = np.random.default_rng([seed, 0]).permutation(len(given.labels))[:count]
    labels, writers = given.labels[chosen], given.writers[chosen]
    direct = saved.preprocessing.apply_all(list(given.images[chosen]))
    pasted, heights, photos = [], [], []
    with progress_bar(len(chosen), "single letters", True) as advance:
        for place in chosen:
            rng = np.random.default_rng([seed, 1, place])
            picture, height, photo = _single(given.images[place], int(given.labels[place]), rng)
            pasted.append(saved.preprocessing.apply(picture))
            heights.append(height)
            photos.append(photo)
            advance(1)
    before = _alike(saved.probabilities(direct).argmax(1), labels)
    after = _alike(saved.probabilities(np.array(pasted)).argmax(1), labels)
    groups = {f"paper: {photo.paper}": [] for photo in photos}
    groups |= {f"light on dark: {photo.light_on_dark}": [] for photo in photos}
    groups |= {f"height from {low}": [] for low in SIZES[:-1]}
    for number, (height, photo) in enumerate(zip(heights, photos, strict=True)):
        low = max(size for size in SIZES if size <= height)
        for name in (photo.paper, photo.light_on_dark, low):
            kind = {str: "paper:", bool: "light on dark:", int: "height from"}[type(name)]
            groups[f"{kind} {name}"].append(number)
    return {
        "given_directly": _share(before, writers),
        "pasted": _share(after, writers),
        "points_lost": 100 * float(before.mean() - after.mean()),
        "points_lost_by": {
            name: {"count": len(group), "points": 100 * float((before - 1.0 * after)[group].mean())}
            for name, group in groups.items()
            if group
        },
    }


def _written_lines(given: Letters, rng: np.random.Generator) -> np.ndarray:
    """Places of letters in lines by one writer each, (lines, LINE)."""
    lines = []
    for writer in np.unique(given.writers):
        own = rng.permutation(np.flatnonzero(given.writers == writer))
        lines.extend(own[: len(own) // LINE * LINE].reshape(-1, LINE))
    return rng.permutation(np.array(lines))


def _page(images: list, labels: list, rng: np.random.Generator) -> tuple[np.ndarray, list]:
    """A page of lines, and what is written on it."""
    height = int(rng.integers(40, 110))
    step = int(height * rng.uniform(1.5, 2.2))
    cover = np.zeros((2 * height + step * len(images), int(height * 1.87 * LINE)), np.float32)
    written = []
    for number, (line, names) in enumerate(zip(images, labels, strict=True)):
        start = (int(rng.uniform(0.3, 1.2) * height), int(0.7 * height) + number * step)
        written += lay_line(cover, line, names, start, height, number, rng)
    return Photo.drawn(rng, max(30, step)).take(cover, rng), written


def _lines(given: Letters, saved: SavedModel, pages: int, seed: int) -> dict:
    """Letters in lines: found where they are, and read right, of all that were written."""
    lines = _written_lines(given, np.random.default_rng([seed, 2]))
    pages = min(pages, len(lines) // LINES)
    found, right, certain, sure, extra, writers = [], [], [], [], 0, []
    with progress_bar(pages, "pages of lines", True) as advance:
        for number in range(pages):
            own = lines[LINES * number : LINES * (number + 1)]
            rng = np.random.default_rng([seed, 3, number])
            picture, written = _page(list(given.images[own]), list(given.labels[own]), rng)
            read: list[PageLetter] = read_page(picture, saved)
            for truth, place in zip(written, own.ravel(), strict=True):
                there = [
                    each for each in read if intersection_over_union(each.box, truth.box) > FOUND
                ]
                hit = bool(there) and int(there[0].probabilities.argmax()) == truth.label
                found.append(bool(there))
                right.append(hit)
                writers.append(given.writers[place])
                if there and there[0].certain:
                    certain.append(hit)
                sure.append(bool(there) and there[0].certain)
            extra += sum(
                all(intersection_over_union(each.box, truth.box) <= FOUND for truth in written)
                for each in read
            )
            advance(1)
    return {
        "pages": pages,
        "found": _share(np.array(found), np.array(writers)),
        "right": _share(np.array(right), np.array(writers)),
        "certain": _share(np.array(sure), np.array(writers)),
        "right_of_the_certain": float(np.mean(certain)) if certain else None,
        "read_where_nothing_is": extra,
    }


def _picture(saved: SavedModel, folder: Path) -> None:
    """The page reader at work, on generated letters, ruled paper and in a shadow."""
    rng = np.random.default_rng(1)
    images = generate(1, seed=3)[0]
    cover = np.zeros((430, 1180), np.float32)
    for number, names in enumerate(PICTURE):
        places = [NAMES.index(name) for name in names]
        lay_line(cover, images[places], places, (70, 70 + 170 * number), 110, number, rng)
    photo = Photo("ruled", 85, gradient=0.4, shadow=0.35, ink=0.85, noise=2, quality=85)
    picture = photo.take(cover, rng)
    page = PageReading.of(read_page(picture, saved), saved.class_names)
    page.draw(picture, folder / "page.png")


def page_check(arguments: list[str] | None = None) -> None:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--data", default="synthetic", metavar="SOURCE", help="AMHCD's zip or folder")
    p.add_argument("--part", choices=("val", "test"), default="test", help="whose writers")
    p.add_argument("--letters", type=whole_number(1), default=1200, metavar="N")
    p.add_argument("--pages", type=whole_number(1), default=60, metavar="N")
    p.add_argument("--seed", type=whole_number(0), default=0, metavar="N")
    p.add_argument("--out", type=Path, default=Path("results/pages"), metavar="FOLDER")
    options = p.parse_args(arguments)
    folder = make_folder(options.out)
    saved = load_model(SHIPPED, get_ops("numpy"))
    given = _letters(options.data, options.part, options.seed)
    name = Path(options.data).name
    said = ["--data", name, "--part", options.part, "--letters", options.letters]
    said += ["--pages", options.pages, "--seed", options.seed]
    record = {
        "single_letters": _singles(given, saved, options.letters, options.seed),
        "lines": _lines(given, saved, options.pages, options.seed),
        "data": name,
        "split": "writer" if options.data != "synthetic" else None,
        "fold": FOLD,
        "part": options.part,
        "seed": options.seed,
        "model": SHIPPED.name,
        "cpu": cpu_name(),
        "versions": versions(),
        "git_commit": git_commit(),
        "command": shlex.join(["python", "studies/page_check.py", *map(str, said)]),
    }
    write_json(folder / f"{options.part}.json", record)
    _picture(saved, folder)
    single, lines = record["single_letters"], record["lines"]
    print(f"single letters: {single['points_lost']:.2f} points lost")
    print(f"lines: {100 * lines['found']['share']:.2f} % found", end=", ")
    print(f"{100 * lines['right']['share']:.2f} % read right")


if __name__ == "__main__":
    sys.exit(run(page_check))
