"""Record digests of seeded runs and of readings, to compare their bits after a change of the code.

Trains `classic` and `best` for a few epochs on generated letters, with 1 and 2 threads, with and
without letters on drawn pages, and reads drawn pages and single letters with the shipped model, all
through the command line. --data adds runs and readings of AMHCD. The same code gives the same
digests on one machine with the same libraries. The exit status is 1 if --check finds a difference.
"""

import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.commands.terminal import parser, run
from lenet_xp.data.sources import load_dataset
from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.drawn_pages import Photo, lay_alone
from lenet_xp.letters.synthetic import generate
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.system.opencv import cv2
from studies.page_check.written import lay_line

EXAMPLES = """\
  python -m studies.held_bits --out before.json
      before a change
  python -m studies.held_bits --check results/held_bits/before.json
      after it; takes about two minutes on 2 cores"""

ROOT = Path(__file__).resolve().parent.parent
NAMES = tuple(each.name for each in letters())
LETTERS = 500  # single letters that are read
PAGES = 12
LINES = 3  # on a page
LINE = 8  # letters in a line


def _command(*words: object) -> str:
    """What a command of this checkout prints. Raises InputError if it fails."""
    call = [sys.executable, "-m", "lenet_xp", *map(str, words)]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise InputError(f"{' '.join(call)}: {done.stderr}")
    return done.stdout


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]


def _run(folder: Path, source: str, recipe: str, threads: int, photos: int) -> str:
    """The digest of a run's weights and of its history without the seconds."""
    out = folder / f"{recipe}-{threads}-{photos}-{Path(source).stem}"
    words = ["--data", source, "--recipe", recipe, "--threads", threads, "--photos", photos]
    words += ["--epochs", 3 if source == "synthetic" else 2, "--seed", 5, "--backend", "numpy"]
    if source == "synthetic":
        words += ["--samples", 40]
    _command("train", *words, "--no-plots", "--out", out)
    values = load_model(out / "model.npz", get_ops("numpy")).model.values
    with open(out / "history.csv", encoding="utf-8", newline="") as handle:
        rows = [
            [text for name, text in row.items() if name != "seconds"]
            for row in csv.DictReader(handle)
        ]
    return _digest(np.ascontiguousarray(values).tobytes(), json.dumps(rows).encode())


def _page(images: np.ndarray, labels: np.ndarray, number: int) -> np.ndarray:
    """A photo of a page with lines of letters."""
    rng = np.random.default_rng([7, number])
    height = int(rng.integers(40, 110))
    step = int(height * rng.uniform(1.5, 2.2))
    cover = np.zeros((2 * height + step * LINES, int(height * 1.87 * LINE)), np.float32)
    chosen = rng.permutation(len(labels))[: LINE * LINES].reshape(LINES, LINE)
    for line, places in enumerate(chosen):
        start = (int(rng.uniform(0.3, 1.2) * height), int(0.7 * height) + line * step)
        lay_line(cover, list(images[places]), list(labels[places]), start, height, line, rng)
    return Photo.drawn(rng, max(30, step)).take(cover, rng)


def _single(image: np.ndarray, label: int, number: int) -> np.ndarray:
    """A letter of odd number as it is; one of even number alone on a photographed page."""
    if number % 2:
        return image
    rng = np.random.default_rng([8, number])
    page = int(rng.integers(300, 900)), int(rng.integers(300, 900))
    height = int(rng.uniform(0.1, 0.6) * min(page))
    cover, _ = lay_alone(image, NAMES[label], max(height, 24), page, rng)
    return Photo.drawn(rng, max(height, 30)).take(cover, rng)


def _readings(folder: Path, name: str, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Digests of the shipped model's readings of pages and of letters."""
    found = {}
    order = np.random.default_rng(9).permutation(len(labels))[:LETTERS]
    pictures = {
        "letters": [_single(images[i], int(labels[i]), k) for k, i in enumerate(order)],
        "pages": [_page(images, labels, number) for number in range(PAGES)],
    }
    for kind, some in pictures.items():
        place = make_folder(folder / f"{name}-{kind}")
        for number, picture in enumerate(some):
            cv2.imwrite(str(place / f"{number:03}.png"), picture)
        words = ["--page"] if kind == "pages" else ["--top", len(NAMES), "--threads", 1]
        read = json.loads(_command("predict", place, *words, "--json"))
        results = read["results"] if isinstance(read, dict) else read
        for each in results:
            each["file"] = Path(each["file"]).name
        found[f"{kind} of {name}"] = {
            "pictures": _digest(*(picture.tobytes() for picture in some)),
            "readings": _digest(json.dumps(_numbers(results), sort_keys=True).encode()),
        }
    return found


def _numbers(read: object) -> object:
    """The classes and numbers of a reading, without fields that may change their wording."""
    if isinstance(read, dict):
        kept = {"file", "readings", "lines", "letters", "name", "probability", "box"}
        return {name: _numbers(each) for name, each in read.items() if name in kept}
    return [_numbers(each) for each in read] if isinstance(read, list) else read


def held_bits(data: Path | None) -> dict[str, Any]:
    """Return all digests by name."""
    digests: dict[str, Any] = {}
    sources = ["synthetic", *([str(data.absolute())] if data else [])]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for source in sources:
            name = Path(source).stem
            for recipe in ("classic", "best"):
                for threads in (1, 2):
                    for photos in (0, 1) if source == "synthetic" else (0,):
                        title = f"{recipe} on {name}, {threads} threads, {photos} photos"
                        digests[title] = _run(folder, source, recipe, threads, photos)
                        print(title, digests[title], flush=True)
        digests |= _readings(folder, "synthetic", *generate(40, seed=3))
        if data:
            plain = Preprocessing(size=64, polarity="light-on-dark", framing="keep", contrast=False)
            dataset = load_dataset(str(data), plain)
            digests |= _readings(folder, data.stem, dataset.images, dataset.labels)
    return digests


def _digests_of(record: Path) -> dict[str, Any]:
    try:
        digests: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))["digests"]
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{record}: is no record of this study") from error
    return digests


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser("python -m studies.held_bits", __doc__, EXAMPLES)
    p.add_argument("--data", type=Path, metavar="AMHCD", help="the AMHCD zip, to include it")
    p.add_argument("--out", type=Path, metavar="FILE", help="where to write the record")
    p.add_argument("--check", type=Path, metavar="FILE", help="a record to compare with")
    options = p.parse_args(arguments)
    before = _digests_of(options.check) if options.check else {}
    kernel = os.environ.get("OPENBLAS_CORETYPE")
    digests = held_bits(options.data)
    about = {"cpu": cpu_name(), "versions": versions(), "openblas_coretype": kernel}
    if options.out:
        make_folder(options.out.parent)
        write_json(options.out, {"digests": digests, **about, "git_commit": git_commit()})
    if not options.check:
        return
    changed = [name for name in digests if digests[name] != before.get(name)]
    for name in changed:
        print(f"changed: {name}: {before.get(name)} before, {digests[name]} now")
    print(f"{len(digests) - len(changed)} of {len(digests)} the same")
    if changed:
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(run(main))
