"""Fine-tuning on photographs: nine letters and a new sign, and what it costs the old letters.

Five data sets are drawn by code: letters and one sign that is none, 20 photographs of each to learn
from and 20 others to judge, in class folders of JPEG files. Each goes through the whole command
`lenet-xp train --data FOLDER --from`. The validation writers of AMHCD's fold 0 tell what is lost.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.commands.terminal import parser, path, run
from lenet_xp.data.dataset import check_class_names
from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import make_split
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.drawn_pages import Photo, lay_alone
from lenet_xp.letters.handwriting import SIZE, hands
from lenet_xp.letters.strokes import SHAPES, Allograph, Shape, Stroke
from lenet_xp.letters.synthetic import draw_shape
from lenet_xp.model_file import SHIPPED, SavedModel, load_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.system.opencv import cv2

EXAMPLES = """\
  python -m studies.own_letters ../shared/data/amhcd_64.zip --out results/own_letters
      five drawings of the data, one command each"""

EACH = 20  # photographs of each class to learn from, and as many others to judge
LETTERS = 9
HEIGHTS = 60, 200  # pixels: of a letter in its photograph
# Signs that are no letters: the strokes of each, lines through points in fractions of its box.
SIGNS: dict[str, list[list[tuple[float, float]]]] = {
    "wedge": [[(0, 0), (1, 0), (0.5, 1), (0, 0)]],
    "kite": [[(0, 0), (0.5, 1), (1, 0), (0, 0)], [(0.5, 0), (0.5, 1)]],
    "stairs": [[(0, 1), (0, 0.6), (0.4, 0.6), (0.4, 0.3), (0.8, 0.3), (0.8, 0), (1, 0)]],
    "house": [[(0, 1), (0, 0.4), (0.5, 0), (1, 0.4), (1, 1), (0, 1)], [(0.5, 0.65), (0.5, 1)]],
    "flag": [[(0, 0), (0, 1)], [(0, 0), (0.95, 0.2), (0, 0.5)], [(0.5, 0.9), (0.9, 0.9)]],
}


def _shape(name: str) -> Shape:
    if name in SHAPES:
        return SHAPES[name]
    # A point of a stroke holds the lowest and the highest x, then the same of y.
    lines = (np.array(points, float) for points in SIGNS[name])
    strokes = [Stroke("line", points.repeat(2, 1).reshape(-1, 2, 2)) for points in lines]
    return Shape([Allograph(strokes, 1.0)])


def draw(folder: Path, number: int) -> list[str]:
    """Draw data set `number` into train/ and test/ of a folder; return its classes."""
    rng = np.random.default_rng([7, number])
    names = [letter.name for letter in letters()]
    classes = [*sorted(rng.choice(names, LETTERS, replace=False).tolist()), list(SIGNS)[number]]
    for name in classes:
        images = np.empty((2 * EACH, SIZE, SIZE), np.uint8)
        draw_shape(_shape(name), hands(np.random.default_rng(number), rng, 2 * EACH), rng, images)
        for place, image in enumerate(Preprocessing().apply_all(images)):
            height = int(np.exp(rng.uniform(*np.log(HEIGHTS))))
            high, wide = (int(max(140, height * rng.uniform(1.8, 4))) for _ in range(2))
            cover, _ = lay_alone(255 - image, name, height, (high, wide), rng)
            photo = Photo.drawn(rng, int(height * rng.uniform(0.5, 1.5))).take(cover, rng)
            to = make_folder(folder / ("train" if place < EACH else "test") / name)
            cv2.imwrite(str(to / f"{place:02}.jpg"), photo)
    return classes


def _accuracy(saved: SavedModel, source: Path) -> float:
    """The accuracy on a folder, a letter as it stands there."""
    dataset = load_dataset(source, saved.preprocessing, progress=False)
    labels = check_class_names(saved.class_names, dataset)
    return float((saved.as_trained(dataset.images).argmax(1) == labels).mean())


def _row(folder: Path, number: int, options: list[str], old: tuple[np.ndarray, np.ndarray]) -> Any:
    classes = draw(folder, number)
    command = ["train", "--data", str(folder / "train"), "--from", "--out", str(folder / "run")]
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "lenet_xp", *command, *options], check=True, capture_output=True
    )
    seconds = time.perf_counter() - started
    saved = load_model(folder / "run" / "model.npz", get_ops("numpy"))
    read = saved.as_trained(old[0]).argmax(1)
    return {
        "classes": classes,
        "accuracy": _accuracy(saved, folder / "test"),
        "old_letters": float((read == old[1]).mean()),
        "seconds": round(seconds, 2),
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the study; see --help."""
    p = parser("python -m studies.own_letters", __doc__, EXAMPLES)
    p.add_argument("amhcd", type=path, help="the AMHCD zip or folder")
    p.add_argument("--out", type=path, required=True, metavar="FOLDER")
    p.add_argument("--options", default="", help="more options for the command, in one word")
    options: argparse.Namespace = p.parse_args(arguments)
    saved = load_model(SHIPPED, get_ops("numpy"))
    dataset = load_dataset(options.amhcd, saved.preprocessing)
    chosen = make_split(dataset, "writer", 0).val
    old = dataset.images[chosen], check_class_names(saved.class_names, dataset)[chosen]
    rows = []
    for number in range(len(SIGNS)):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(_row(Path(folder), number, options.options.split(), old))
        print(rows[-1], flush=True)
    means = {
        name: statistics.mean(row[name] for row in rows)
        for name in ("accuracy", "old_letters", "seconds")
    }
    means["old_letters_before"] = float((saved.as_trained(old[0]).argmax(1) == old[1]).mean())
    record = {
        "command": f"lenet-xp train --data FOLDER --from {options.options}".strip(),
        "images": f"{EACH} photographs of each class to learn from, {EACH} others to judge",
        "old_letters": f"{len(chosen):,} letters of the validation writers of AMHCD's fold 0",
        "means": means,
        "drawings": rows,
        "cpu": cpu_name(),
        "git_commit": git_commit(),
        "versions": versions(),
    }
    write_json(make_folder(options.out) / "own_letters.json", record)
    print(means)


if __name__ == "__main__":
    sys.exit(run(main))
