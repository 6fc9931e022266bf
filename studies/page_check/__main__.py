"""Make results/pages/: how well letters are read off photographed pages.

Letters of writers whom the shipped model never saw are pasted onto drawn pages, as single letters
of any size and place, and in lines of eight by one writer. `lenet_xp.letters.drawn_pages` draws the
effects of paper, light and camera. The picture is of generated letters in any case.
"""

import argparse
import shlex
import sys
from pathlib import Path

import numpy as np

from lenet_xp.commands.terminal import parser, run, whole_number
from lenet_xp.letters.drawn_pages import Photo
from lenet_xp.letters.synthetic import generate
from lenet_xp.model_file import SHIPPED, SavedModel, load_model
from lenet_xp.ops import get_ops
from lenet_xp.pages.output import PageReading
from lenet_xp.pages.page import read_page
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import make_folder, write_json
from studies.page_check.gaps import GAPS
from studies.page_check.letters import FOLD, NAMES, load_letters
from studies.page_check.lines import check_lines
from studies.page_check.single import check_singles
from studies.page_check.written import lay_line

EXAMPLES = """\
  python -m studies.page_check
      on generated letters, which need no data
  python -m studies.page_check --data amhcd_64.zip
      on the test writers of AMHCD; on the validation writers with --part val
  python -m studies.page_check --data print
      on generated print; print.json"""

SHOWN_LINES = (("yaz", "yu", "yam", "yab", "yad", "yas"), ("yal", "ya", "yey", "yar", "yakw", "yi"))


def _draw_example(saved: SavedModel, folder: Path) -> None:
    """Draw the readings of two lines of generated letters, on ruled paper and in a shadow."""
    rng = np.random.default_rng(1)
    images = generate(1, seed=3)[0]
    cover = np.zeros((430, 1180), np.float32)
    for number, names in enumerate(SHOWN_LINES):
        places = [NAMES.index(name) for name in names]
        lay_line(cover, list(images[places]), places, (70, 70 + 170 * number), 110, number, rng)
    photo = Photo("ruled", 85, gradient=0.4, shadow=0.35, ink=0.85, noise=2, quality=85)
    picture = photo.take(cover, rng)
    PageReading(tuple(read_page(picture, saved))).draw(picture, folder / "page.png")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser("python -m studies.page_check", __doc__, EXAMPLES)
    p.add_argument(
        "--data",
        default="synthetic",
        metavar="SOURCE",
        help="AMHCD's zip or folder, or print: a type design for each line (default: synthetic)",
    )
    p.add_argument(
        "--part",
        choices=("val", "test"),
        default="test",
        help="of the split by writers (default: test)",
    )
    p.add_argument(
        "--letters",
        type=whole_number(1),
        default=1200,
        metavar="N",
        help="single letters (default: 1200)",
    )
    p.add_argument(
        "--pages",
        type=whole_number(1),
        default=60,
        metavar="N",
        help="pages of lines (default: 60)",
    )
    p.add_argument("--seed", type=whole_number(0), default=0, metavar="N", help="(default: 0)")
    p.add_argument(
        "--out",
        type=Path,
        default=Path("results/pages"),
        metavar="FOLDER",
        help="(default: results/pages)",
    )
    return p.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    options = _options(arguments)
    folder = make_folder(options.out)
    saved = load_model(SHIPPED, get_ops("numpy"))
    given = load_letters(options.data, options.part, options.seed)
    singles = check_singles(given, saved, options.letters, options.seed)
    lines = check_lines(given, saved, options.pages, options.seed)
    pages = max(1, options.pages // len(GAPS))
    by_gap = {
        f"{low} to {high} line heights": check_lines(given, saved, pages, options.seed, (low, high))
        for low, high in GAPS
    }
    name = Path(options.data).name
    words = ["--data", name, "--part", options.part, "--letters", options.letters]
    words += ["--pages", options.pages, "--seed", options.seed]
    record = {
        "single_letters": singles,
        "lines": lines,
        "lines_by_gap": by_gap,
        "data": name,
        "split": None if options.data in ("synthetic", "print") else "writer",
        "fold": FOLD,
        "part": options.part,
        "seed": options.seed,
        "model": SHIPPED.name,
        "cpu": cpu_name(),
        "versions": versions(),
        "git_commit": git_commit(),
        "command": shlex.join(["python", "-m", "studies.page_check", *map(str, words)]),
    }
    write_json(folder / f"{'print' if options.data == 'print' else options.part}.json", record)
    _draw_example(saved, folder)
    print(f"single letters: {singles['points_lost']:.2f} points lost")
    print(f"lines: {100 * lines['found']['share']:.2f} % found", end=", ")
    print(f"{100 * lines['right']['share']:.2f} % read right")
    for gap, each in by_gap.items():
        print(f"gaps of {gap}: {100 * each['right']['share']:.2f} % read right")


if __name__ == "__main__":
    sys.exit(run(main))
