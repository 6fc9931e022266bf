"""How well the page reader finds writing that fills no clean sheet: a table and outside.json.

Real photographs come from a folder, which stands outside the repository; what is missing is left
out. Lines of eight letters by unseen writers are drawn on desks, on cloth, turned, from a side, in
frames and in tables. A letter is found where a box read covers it by half; `ya` and `yar` count as
one. With scikit-image, Sauvola's threshold and connected components are read for comparison.
"""

import argparse
import json
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lenet_xp.commands.terminal import parser, run, whole_number
from lenet_xp.letters.alphabet import letters
from lenet_xp.model_file import SHIPPED, load_model
from lenet_xp.ops import get_ops
from lenet_xp.pages.page import LetterOnPage, read_page
from lenet_xp.pictures.frame import Box
from lenet_xp.pictures.image_file import ImageFile
from lenet_xp.pictures.letter import intersection_over_union
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import make_folder, write_json
from studies.page_check.baseline import WAYS, found_by
from studies.page_check.grounds import Scene, draw_cells, draw_frame, print_captions
from studies.page_check.letters import FOLD, NAMES, Letters, load_letters
from studies.page_check.lines import LINE, lines_of
from studies.page_check.written import Written, lay_line

MIN_OVERLAP = 0.5  # intersection over union from which a letter counts as found
LINES = 2  # lines on a drawn page
RINGS = {"ya", "yar"}
ORNAMENTAL = ("d02", "d04", "d08")  # type designs that are counted apart
SCENES = {
    "white": Scene(),
    "desk": Scene("desk"),
    "cloth": Scene("cloth"),
    "turned": Scene(turned=30),
    "turned on a desk": Scene("desk", turned=30),
    "from a side": Scene("desk", tilted=True),
    "frame": Scene(),
    "table": Scene(),
    "captions": Scene(),
    "pencil on a desk": Scene("desk", pencil=True),
}
Truth = tuple[str, Box]  # a letter's name and box
Read = Callable[[np.ndarray], list[LetterOnPage]]


@dataclass
class Tally:
    """What became of the letters of one kind."""

    letters: int = 0
    found: int = 0
    right: int = 0
    false_boxes: int = 0
    each: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, truth: Sequence[Truth], read: Sequence[LetterOnPage]) -> None:
        """Compare the letters that stand in a picture with those read."""
        overlaps = np.array(
            [[intersection_over_union(box, each.box) for each in read] for _, box in truth]
        ).reshape(len(truth), len(read))
        covered: np.ndarray = np.asarray(overlaps >= MIN_OVERLAP)
        found = np.asarray(covered.any(axis=1))
        right = sum(
            {label, read[int(overlaps[place].argmax())].name} <= RINGS
            or label == read[int(overlaps[place].argmax())].name
            for place, (label, _) in enumerate(truth)
            if found[place]
        )
        wrong = int(np.count_nonzero(~covered.any(axis=0)))
        self.letters += len(truth)
        self.found += int(found.sum())
        self.right += right
        self.false_boxes += wrong
        self.each[name] = f"{found.sum()} found, {right} right of {len(truth)}, {wrong} false"

    def row(self) -> str:
        """One line of the table."""
        shares = (f"{100 * n / max(self.letters, 1):6.1f}" for n in (self.found, self.right))
        return f"{self.letters:5d} {' '.join(shares)} {self.false_boxes:6d}"


def photographs(archive: Path) -> Iterator[tuple[str, np.ndarray, list[Truth]]]:
    """Name, grey levels and letters of each picture of an archive with boxes.json."""
    with zipfile.ZipFile(archive) as files:
        names = files.namelist()
        boxes = json.loads(files.read(next(n for n in names if n.endswith("boxes.json"))))
        for name in names:
            own = boxes.get(Path(name).name)
            if own is not None:
                yield (
                    Path(name).name,
                    _grey(files.read(name)),
                    [(n, (x, y, w, h)) for n, x, y, w, h in own],
                )


def _grey(data: bytes) -> np.ndarray:
    return ImageFile(data, "picture").page(0)


def check_words(archive: Path, read: Read) -> dict[str, dict[str, float]]:
    """The edit distance per letter of printed words, of plain and of ornamental designs."""
    glyphs = {each.glyph: each.name for each in letters()}
    errors: dict[str, list[tuple[int, int, bool]]] = {"plain": [], "ornamental": []}
    with zipfile.ZipFile(archive) as files:
        names = files.namelist()
        texts = json.loads(files.read(next(n for n in names if n.endswith("text.json"))))
        for name in names:
            text = texts.get(Path(name).name)
            if text is None:
                continue
            truth = ["ya" if glyphs[sign] in RINGS else glyphs[sign] for sign in text]
            found = ["ya" if e.name in RINGS else e.name for e in read(_grey(files.read(name)))]
            distance = edit_distance(truth, found)
            kind = "ornamental" if Path(name).name.startswith(ORNAMENTAL) else "plain"
            errors[kind].append((distance, len(truth), distance == 0))
    return {
        kind: {
            "letters": sum(n for _, n, _ in rows),
            "edit_distance_per_letter": sum(d for d, _, _ in rows) / sum(n for _, n, _ in rows),
            "words_right": sum(right for *_, right in rows) / len(rows),
        }
        for kind, rows in errors.items()
        if rows
    }


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """The least number of letters to put in, leave out or replace between two sequences."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        last, row = row, [i]
        for j, b in enumerate(second, 1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b)))
    return row[-1]


def drawn_pages(
    kind: str, given: Letters, pages: int, seed: int
) -> Iterator[tuple[str, np.ndarray, list[Truth]]]:
    """Name, picture and letters of `pages` drawn pages of a kind of SCENES."""
    lines = lines_of(given, np.random.default_rng([seed, 2]))
    for number in range(min(pages, len(lines) // LINES)):
        rng = np.random.default_rng([seed, 4, number])
        height = int(rng.integers(30, 44) if SCENES[kind].pencil else rng.integers(40, 90))
        step = int(height * rng.uniform(1.6, 2.2) + (0.4 * height if kind == "captions" else 0))
        cover = np.zeros((2 * height + LINES * step, int(height * 1.95 * LINE)), np.float32)
        written: list[Written] = []
        for line, own in enumerate(lines[LINES * number : LINES * (number + 1)]):
            start = (int(rng.uniform(0.7, 1.2) * height), int(0.8 * height) + line * step)
            images, labels = list(given.images[own]), list(given.labels[own])
            written += lay_line(cover, images, labels, start, height, line, rng)
        right = max(e.box[0] + e.box[2] for e in written) + height
        cover = np.ascontiguousarray(cover[:, :right])
        if kind == "frame":
            draw_frame(cover, [each.box for each in written], rng)
        if kind == "table":
            draw_cells(cover, written)
        if kind == "captions":
            print_captions(cover, written)
        picture, written = SCENES[kind].take(cover, written, rng)
        yield str(number), picture, [(NAMES[e.label], e.box) for e in written]


def check(pictures: Iterator[tuple[str, np.ndarray, list[Truth]]], read: Read) -> Tally:
    """Read pictures whose letters are known."""
    tally = Tally()
    for name, picture, truth in pictures:
        tally.add(name, truth, read(picture))
    return tally


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser("python -m studies.page_check.outside", __doc__, "")
    p.add_argument("--outside", type=Path, metavar="FOLDER", help="of archives of photographs")
    p.add_argument("--data", default="synthetic", metavar="SOURCE", help="AMHCD's zip or folder")
    p.add_argument("--part", choices=("val", "test"), default="test", help="(default: test)")
    p.add_argument("--pages", type=whole_number(1), default=12, metavar="N", help="of each kind")
    p.add_argument("--kinds", nargs="*", default=list(SCENES), choices=list(SCENES))
    p.add_argument("--seed", type=whole_number(0), default=0, metavar="N", help="(default: 0)")
    p.add_argument("--ink", choices=list(WAYS), default="ours", help="how ink is found")
    p.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    return p.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    options = _options(arguments)
    folder = make_folder(options.out)
    saved = load_model(SHIPPED, get_ops("numpy"))

    def read(picture: np.ndarray) -> list[LetterOnPage]:
        with found_by(options.ink):
            return read_page(picture, saved)

    record: dict[str, object] = {}
    print(f"{'kind':20s} count  found  right  false")
    for kind in ("photographed_tifinagh_page", "photographed_marks"):
        archive = options.outside and options.outside / f"{kind}.zip"
        if archive and archive.exists():
            tally = check(photographs(archive), read)
            record[kind] = vars(tally)
            print(f"{kind[:20]:20s} {tally.row()}", flush=True)
    if options.kinds:
        given = load_letters(options.data, options.part, options.seed)
    for kind in options.kinds:
        tally = check(drawn_pages(kind, given, options.pages, options.seed), read)
        record[kind] = vars(tally)
        print(f"{kind:20s} {tally.row()}", flush=True)
    archive = options.outside and options.outside / "printed_words_12_designs.zip"
    if archive and archive.exists():
        record["printed_words"] = words = check_words(archive, read)
        print(f"printed words: {words}")
    record["about"] = {
        "data": Path(options.data).name,
        "part": options.part,
        "fold": FOLD,
        "pages": options.pages,
        "seed": options.seed,
        "ink": options.ink,
        "model": SHIPPED.name,
        "cpu": cpu_name(),
        "versions": versions(),
        "git_commit": git_commit(),
    }
    write_json(folder / "outside.json", record)


if __name__ == "__main__":
    sys.exit(run(main))
