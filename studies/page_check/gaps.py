"""Print how well letters side by side are read, by the gap between them.

Lines of eight letters by one writer whom the shipped model never saw stand on drawn photos. A word
of a picture's own name is read whole. A letter is also cut out with its neighbours and read alone.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from io import BytesIO
from pathlib import PurePosixPath
from zipfile import ZipFile

import numpy as np
from PIL import Image

from lenet_xp.commands.terminal import parser, run, whole_number
from lenet_xp.model_file import SHIPPED, SavedModel, load_model
from lenet_xp.ops import get_ops
from lenet_xp.pages.output import PageReading
from lenet_xp.pages.page import read_page
from studies.page_check.letters import Letters, equal_but_for_size, load_letters
from studies.page_check.lines import check_lines, draw_pages

GAPS = ((-0.05, 0.0), (0.03, 0.1), (0.1, 0.25), (0.25, 0.6))  # line heights
MARGIN = 0.8  # of a letter's longer side: around a letter that is cut out with its neighbours

EXAMPLES = """\
  python -m studies.page_check.gaps --data amhcd_64.zip --part val
  python -m studies.page_check.gaps --data amhcd_64.zip --words printed_words.zip"""


def cut_out(
    given: Letters, pages: int, seed: int, gaps: tuple[float, float]
) -> Iterator[tuple[np.ndarray, int]]:
    """Each letter of drawn pages with what stands within MARGIN of it, and its label."""
    for picture, written, _ in draw_pages(given, pages, seed, gaps):
        for each in written:
            left, top, wide, high = each.box
            side = round(MARGIN * max(wide, high))
            rows = slice(max(0, top - side), top + high + side)
            yield picture[rows, max(0, left - side) : left + wide + side], each.label


def share_of_cut_out(
    given: Letters, saved: SavedModel, pages: int, seed: int, gaps: tuple[float, float]
) -> float:
    """The share of letters cut out with their neighbours that are read right."""
    pictures, labels = zip(*cut_out(given, pages, seed, gaps), strict=True)
    rows = saved.probabilities(saved.preprocessing.apply_all(pictures))
    return float(equal_but_for_size(rows.argmax(1), np.array(labels)).mean())


def check_words(archive: str, saved: SavedModel, left_out: Sequence[str]) -> str:
    """How many letters of printed words are read, in words; the archive holds text.json.

    left_out: designs, with which the names of pictures begin.
    """
    letters, found, right, whole, names = 0, 0, 0, 0, []
    with ZipFile(archive) as file:
        place = next(name for name in file.namelist() if name.endswith("text.json"))
        texts = json.loads(file.read(place))
        for name, text in texts.items():
            if not name.startswith(tuple(left_out)):
                names.append(name)
                picture = file.read(str(PurePosixPath(place).with_name(name)))
                grey = np.asarray(Image.open(BytesIO(picture)).convert("L"))
                read = [each.glyph for each in PageReading(tuple(read_page(grey, saved))).letters]
                letters += len(text)
                found += min(len(read), len(text))
                whole += len(read) == len(text)
                matches = SequenceMatcher(None, list(text), read, False).get_matching_blocks()
                right += sum(block.size for block in matches)
    return (
        f"{len(names)} words: {100 * whole / len(names):.1f} % in as many letters as they have; "
        f"{letters} letters: {100 * right / letters:.1f} % read right"
    )


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser("python -m studies.page_check.gaps", __doc__, EXAMPLES)
    p.add_argument("--data", default="synthetic", metavar="SOURCE", help="(default: synthetic)")
    p.add_argument("--part", choices=("val", "test"), default="val", help="(default: val)")
    p.add_argument("--pages", type=whole_number(1), default=20, metavar="N", help="(default: 20)")
    p.add_argument("--seed", type=whole_number(0), default=0, metavar="N", help="(default: 0)")
    p.add_argument("--words", metavar="ZIP", help="printed words and their text.json")
    p.add_argument(
        "--left-out", nargs="*", default=(), metavar="DESIGN", help="words not read, as d02"
    )
    return p.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    options = _options(arguments)
    saved = load_model(SHIPPED, get_ops("numpy"))
    given = load_letters(options.data, options.part, options.seed)
    print("gap, line heights   letters   found   right   false   cut out: right")
    for gaps in GAPS:
        how = (given, saved, options.pages, options.seed, gaps)
        lines, alone = check_lines(*how), share_of_cut_out(*how)
        found, right = (100 * lines[name]["share"] for name in ("found", "right"))
        print(
            f"{gaps[0]:5.2f} to {gaps[1]:5.2f} {lines['found']['count']:14} {found:7.1f} "
            f"{right:7.1f} {lines['read_where_nothing_is']:7} {100 * alone:16.1f}"
        )
    if options.words:
        print(check_words(options.words, saved, options.left_out))


if __name__ == "__main__":
    sys.exit(run(main))
