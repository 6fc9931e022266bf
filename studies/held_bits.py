"""Hold the bits of seeded runs and of readings, before and after a change of the code.

    python -m studies.held_bits --out results/held_bits/before.json
    python -m studies.held_bits --check results/held_bits/before.json

Trains `classic` and `best` for a few epochs on generated letters, with 1 and 2 threads, with and
without letters on drawn pages, and reads drawn pages and single letters with the shipped model, all
through the command line. With `--data` AMHCD is trained on and read, too. What is kept is a digest
of each result. The same code gives the same digests on one machine with the same libraries.
"""

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from lenet_xp.data.sources import load_dataset
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.drawn_pages import Photo, lay_alone, lay_line
from lenet_xp.letters.synthetic import generate
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.system.opencv import cv2

ROOT = Path(__file__).resolve().parent.parent
NAMES = tuple(each.name for each in letters())
LETTERS, PAGES, LINE, LINES = 500, 12, 8, 3


def _command(*words: object) -> str:
    """What a command of this checkout prints."""
    call = [sys.executable, "-m", "lenet_xp", *map(str, words)]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(call)}: {done.stderr}")
    return done.stdout


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]


def _run(folder: Path, source: str, recipe: str, threads: int, photos: int) -> str:
    """The digest of a run's weights and of its history but for the seconds."""
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
    """A photo of lines of letters."""
    rng = np.random.default_rng([7, number])
    height = int(rng.integers(40, 110))
    step = int(height * rng.uniform(1.5, 2.2))
    cover = np.zeros((2 * height + step * LINES, int(height * 1.87 * LINE)), np.float32)
    chosen = rng.permutation(len(labels))[: LINE * LINES].reshape(LINES, LINE)
    for line, places in enumerate(chosen):
        start = (int(rng.uniform(0.3, 1.2) * height), int(0.7 * height) + line * step)
        lay_line(cover, images[places], labels[places], start, height, line, rng)
    return Photo.drawn(rng, max(30, step)).take(cover, rng)


def _single(image: np.ndarray, label: int, number: int) -> np.ndarray:
    """Every other letter as it is, the others alone on a photographed page."""
    if number % 2:
        return image
    rng = np.random.default_rng([8, number])
    page = int(rng.integers(300, 900)), int(rng.integers(300, 900))
    height = int(rng.uniform(0.1, 0.6) * min(page))
    cover, _ = lay_alone(image, NAMES[label], max(height, 24), page, rng)
    return Photo.drawn(rng, max(height, 30)).take(cover, rng)


def _readings(folder: Path, name: str, images: np.ndarray, labels: np.ndarray) -> dict:
    """Digests of what the shipped model reads of pages and of letters."""
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
    """The classes and numbers of a reading, without the words that may change around them."""
    if isinstance(read, dict):
        kept = {"file", "readings", "lines", "letters", "name", "probability", "box"}
        return {name: _numbers(each) for name, each in read.items() if name in kept}
    return [_numbers(each) for each in read] if isinstance(read, list) else read


def held_bits(data: Path | None) -> dict:
    """All digests."""
    digests: dict = {}
    sources = ["synthetic", *([str(data.absolute())] if data else [])]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for source in sources:
            name = Path(source).stem
            for recipe in ("classic", "best"):
                for threads in (1, 2):
                    for photos in (0, 1) if source == "synthetic" else (0,):
                        run = f"{recipe} on {name}, {threads} threads, {photos} photos"
                        digests[run] = _run(folder, source, recipe, threads, photos)
                        print(run, digests[run], flush=True)
        digests |= _readings(folder, "synthetic", *generate(40, seed=3))
        if data:
            plain = Preprocessing(size=64, polarity="light-on-dark", box="keep", contrast=False)
            dataset = load_dataset(str(data), plain)
            digests |= _readings(folder, data.stem, dataset.images, dataset.labels)
    return digests


def main() -> int:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--data", type=Path, help="AMHCD's zip, to be held as well")
    p.add_argument("--out", type=Path, metavar="FILE", help="where to write the record")
    p.add_argument("--check", type=Path, metavar="FILE", help="a record to compare with")
    options = p.parse_args()
    kernel = os.environ.get("OPENBLAS_CORETYPE")
    digests = held_bits(options.data)
    about = {"cpu": cpu_name(), "versions": versions(), "openblas_coretype": kernel}
    if options.out:
        make_folder(options.out.parent)
        write_json(options.out, {"digests": digests, **about, "git_commit": git_commit()})
    if not options.check:
        return 0
    before = json.loads(options.check.read_text(encoding="utf-8"))["digests"]
    changed = [name for name in digests if digests[name] != before.get(name)]
    for name in changed:
        print(f"changed: {name}: {before.get(name)} before, {digests[name]} now")
    print(f"{len(digests) - len(changed)} of {len(digests)} the same")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
