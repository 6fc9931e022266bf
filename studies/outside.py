"""Letters from outside: how they are read, how sure the reader is, and what it refuses.

The material is for validation, and none of it is in the repository: two data sets of other people's
hands and letters of printed designs (see docs/reading.md).
"""

import argparse
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from lenet_xp import load_model
from lenet_xp.commands.terminal import parser, path, run
from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import ImageFile
from lenet_xp.reader import Reader
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import make_folder, write_json, write_text
from lenet_xp.system.text import text_table

EXAMPLES = """\
  python -m studies.outside ../shared/data/outside --out results/outside
      read all of it with the shipped model
  python -m studies.outside ../shared/data/outside --model runs/best/model.npz --out outside
      with a model of your own"""

SURE = 0.9  # probability: readings of at least this are called sure
RING = {"ya": "ring", "yar": "ring"}  # alone in a picture, the two are one
BORDERED = ("w07", "w08", "w12", "w13", "w14", "w15")  # sheets with borders of cells
ORNAMENTAL = ("d02", "d04", "d08")  # designs

# Name, archive, and which of its files by their stems.
KINDS: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("drawn on a canvas, 28 px", "canvas_28px_330.zip", lambda stem: True),
    ("scanned sheets, all", "bencharef_sheets_00_15.zip", lambda stem: True),
    (
        "scanned sheets without borders of cells",
        "bencharef_sheets_00_15.zip",
        lambda stem: not stem.startswith(BORDERED),
    ),
    (
        "print, nine plain designs",
        "printed_letters_12_designs.zip",
        lambda stem: not stem.startswith(ORNAMENTAL),
    ),
    (
        "print, three ornamental designs",
        "printed_letters_12_designs.zip",
        lambda stem: stem.startswith(ORNAMENTAL),
    ),
)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser("python -m studies.outside", __doc__, EXAMPLES)
    p.add_argument("folder", type=path, help="where the archives lie")
    p.add_argument("--model", type=path, metavar="FILE", help="default: the model that comes along")
    p.add_argument("--out", type=path, required=True, metavar="FOLDER", help="for table and record")
    return p.parse_args(arguments)


def pictures(archive: Path, chosen: Callable[[str], bool]) -> Iterator[tuple[str, ImageFile]]:
    """The class and the file of each chosen picture of an archive of class folders."""
    with zipfile.ZipFile(archive) as file:
        for name in sorted(file.namelist()):
            place = Path(name)
            if place.suffix in (".png", ".jpg", ".jpeg") and chosen(place.stem):
                yield place.parent.name, ImageFile(file.read(name), name)


def score(reader: Reader, archive: Path, chosen: Callable[[str], bool]) -> dict[str, float]:
    """How the pictures of one kind are read."""
    names, files = zip(*pictures(archive, chosen), strict=True)
    right, sure, refused = [], [], []
    for name, reading in zip(names, reader.read_many(files, 1), strict=True):
        wanted = RING.get(name, name)
        likelihoods: dict[str, float] = {}
        for each in reading.alternatives:
            kind = RING.get(each.name, each.name)
            likelihoods[kind] = likelihoods.get(kind, 0.0) + each.probability
        best = max(likelihoods, key=lambda kind: likelihoods[kind], default="")
        right.append(best == wanted)
        sure.append(likelihoods.get(best, 0.0) >= SURE and not reading.refused)
        refused.append(reading.refused)
    hits, certain = np.array(right), np.array(sure)
    return {
        "pictures": len(files),
        "right": float(hits.mean()),
        "sure": float(certain.mean()),
        "wrong_among_sure": float((~hits[certain]).mean()) if certain.any() else 0.0,
        "refused": float(np.mean(refused)),
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    options = _options(arguments)
    reader = load_model(options.model)
    scores = {}
    for kind, archive, chosen in KINDS:
        if not (options.folder / archive).is_file():
            raise InputError(f"{options.folder}: there is no {archive}; give the folder of outside")
        scores[kind] = score(reader, options.folder / archive, chosen)
    rows = [
        (kind, f"{each['pictures']:,}", *(f"{each[name]:.2%}" for name in list(each)[1:]))
        for kind, each in scores.items()
    ]
    header = ("letters", "pictures", "right", f"sure ({SURE:.0%})", "wrong of these", "refused")
    table = text_table(header, rows, left=(0,))
    print(table, end="")
    folder = make_folder(options.out)
    write_text(folder / "letters.txt", table)
    record = {"scores": scores, "model": "shipped" if options.model is None else "given"}
    about = {"versions": versions(), "cpu": cpu_name(), "git_commit": git_commit()}
    write_json(folder / "letters.json", record | about)


if __name__ == "__main__":
    sys.exit(run(main))
