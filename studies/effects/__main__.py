"""Draw generated letters, effects of the distortion on them, their statistics beside AMHCD.

Without --data only the generated letters and the effects are drawn. Of AMHCD nothing but statistics
is kept: no image of it is shown.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.commands.terminal import parser, run
from lenet_xp.data.augment import Distortion
from lenet_xp.data.sources import load_dataset
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.plots import letter_sheet, save
from lenet_xp.system.files import make_folder, write_json
from studies.effects.statistics import percentiles, picture_statistics
from studies.plots.effects import effect_sheet
from studies.plots.statistics import compare_statistics

EXAMPLES = """\
  python -m studies.effects
      letters.png and effects.png in results/generated-letters
  python -m studies.effects --data amhcd_64.zip
      statistics.png and statistics.json as well"""

EFFECTS = {  # name: unit, strengths from weak to strong
    "rotation": ("degrees", (4, 8, 16)),
    "shear": ("tangent", (0.1, 0.2, 0.4)),
    "scale": ("log", (0.05, 0.1, 0.2)),
    "shift": ("pixels", (0.7, 1.5, 3)),
    "elastic": ("pixels", (0.5, 1, 2)),
    "pen": ("pixels", (0.15, 0.3, 0.6)),
    "blur": ("pixels", (0.2, 0.4, 0.8)),
}
SHOWN_LETTERS = ("yaz", "ya", "yad", "yach", "yam")
EFFECT_SEED = 67  # chosen for draws that go both ways in five letters
SAMPLES = 780  # images of a letter: as many as AMHCD has
SIDE = 64  # pixels: the side of AMHCD's images
SHEET_COLUMNS = 10  # generated letters of each class on the sheet


def draw_letters(folder: Path) -> None:
    """Draw generated letters of every class as letters.png."""
    pictures, _ = generate(SHEET_COLUMNS, seed=0)
    names = [letter.name for letter in letters()]
    ink = (255 - pictures).reshape(len(names), SHEET_COLUMNS, SIDE, SIDE)
    save(letter_sheet(ink, names), folder / "letters.png")


def draw_effects(folder: Path) -> None:
    """Draw generated letters under each effect alone, at three strengths, as effects.png."""
    names = [letter.name for letter in letters()]
    pictures, labels = generate(1, seed=3)
    shown = [names.index(name) for name in SHOWN_LETTERS]
    plain = Preprocessing().apply_all(pictures[np.isin(labels, shown)])
    effects: dict[str, dict[str, np.ndarray]] = {}
    for name, (unit, strengths) in EFFECTS.items():
        changed = effects[f"{name}, {unit}"] = {}
        for strength in strengths:
            alone: dict[str, Any] = {name: strength}
            distortion = Distortion(**alone)
            changes = distortion.draw(np.random.default_rng(EFFECT_SEED), len(plain))
            changed[f"{strength:g}"] = distortion.apply(plain, changes)
    effect_sheet(plain, effects, folder / "effects.png")


def compare_with(amhcd: str, folder: Path) -> None:
    """Write the statistics of generated letters and of AMHCD's as statistics.png and .json."""
    generated = load_dataset("synthetic", Preprocessing(size=SIDE), samples_per_class=SAMPLES)
    real = load_dataset(amhcd, Preprocessing(size=SIDE))
    drawn, written = picture_statistics(generated.images), picture_statistics(real.images)
    compare_statistics(drawn, written, ("generated", "AMHCD"), folder / "statistics.png")
    record = percentiles({"generated": drawn, "amhcd": written})
    write_json(folder / "statistics.json", record)


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser("python -m studies.effects", __doc__, EXAMPLES)
    p.add_argument("--data", metavar="AMHCD", help="the AMHCD zip or folder to compare with")
    p.add_argument(
        "--out",
        type=Path,
        default=Path("results/generated-letters"),
        metavar="FOLDER",
        help="(default: results/generated-letters)",
    )
    options = p.parse_args(arguments)
    folder = make_folder(options.out)
    draw_letters(folder)
    draw_effects(folder)
    if options.data:
        compare_with(options.data, folder)
    print(folder)


if __name__ == "__main__":
    sys.exit(run(main))
