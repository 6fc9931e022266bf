"""Read letters from image files with a saved model."""

import argparse
import json
import sys
from collections import Counter
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.commands.terminal import (
    add_backend_options,
    add_model_option,
    choose_ops,
    parser,
    whole_number,
)
from lenet_xp.data.class_folders import is_image, scan
from lenet_xp.data.dataset import MAX_IMAGES
from lenet_xp.errors import InputError
from lenet_xp.inference import MANY
from lenet_xp.letters.ya_or_yar import shared_out
from lenet_xp.model_file import SHIPPED, SavedModel, load_model
from lenet_xp.pages.output import alternatives, as_dict, as_text, draw
from lenet_xp.pages.page import read_page
from lenet_xp.pictures.frame import DATASET_SIDE
from lenet_xp.pictures.image_file import MAX_PIXELS, SUFFIXES, read_image
from lenet_xp.pictures.many import LARGE_FILE, Admit, first_problem, prepare
from lenet_xp.pictures.preprocess import grey_levels
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.system.progress import progress_bar
from lenet_xp.system.text import printable

PROGRESS = 500  # images from which on it is reported
EXAMPLES = """\
  lenet-xp predict letter.png
      with the model that comes with the package
  lenet-xp predict photos/ --model runs/best/model.npz --top 5 --json
      a folder of images, with a model of your own, for a program to read
  lenet-xp predict --page letter.jpg --out read/
      a photo or scan of lines of separate letters"""


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser(
        "lenet-xp predict",
        "Read one letter, or with --page all letters, from each image.",
        EXAMPLES,
    )
    p.add_argument(
        "images",
        type=Path,
        nargs="+",
        metavar="IMAGE_OR_FOLDER",
        help="folders are searched; a .npz in front of them is taken for --model",
    )
    add_model_option(p, positional=False)
    p.add_argument(
        "--top", type=whole_number(1), default=3, metavar="K", help="readings to give (default: 3)"
    )
    p.add_argument(
        "--page", action="store_true", help="read lines of separate letters from each image"
    )
    p.add_argument(
        "--out", type=Path, metavar="FOLDER", help="with --page: annotated pictures and JSON files"
    )
    p.add_argument("--json", action="store_true", help="print the readings as JSON")
    p.add_argument("--skip-bad", action="store_true", help="leave out unreadable images, list them")
    add_backend_options(p)
    options = p.parse_args(arguments)
    if options.out is not None and not options.page:
        p.error("--out goes with --page")
    if options.images[0].suffix == ".npz" and options.model is SHIPPED:
        options.model = options.images.pop(0)
        if not options.images:
            p.error(f"{options.model} is a model; name the images to read with it, too")
    return options


def predict(arguments: list[str] | None = None) -> None:
    """The command: see --help."""
    options = _options(arguments)
    paths = _find(options.images)
    if options.backend == "auto" and len(paths) < MANY:
        options.backend = "numpy"  # has read them before a GPU is ready
    saved = load_model(options.model, choose_ops(options))
    if options.page:
        skipped = read_pages(paths, saved, options.out, options.json, options.top, options.skip_bad)
        files = paths[len(skipped) :]
    else:
        files, images, alone, skipped = _read(paths, saved, options.skip_bad)
    for file, reason in skipped:
        print(printable(f"skipped {file}: {reason}"), file=sys.stderr)
    if not files:
        raise InputError("none of the images could be read; see the lines above")
    if not options.page:
        probabilities = saved.probabilities(images, options.threads)
        probabilities[alone] = shared_out(probabilities[alone], None, saved.class_names)
        _show(files, probabilities, saved.class_names, options)


def _show(
    files: list[Path],
    probabilities: np.ndarray,
    class_names: tuple[str, ...],
    options: argparse.Namespace,
) -> None:
    """Print the readings of each file."""
    readings: list[dict[str, Any]] = [
        {"file": str(file), "readings": alternatives(row, class_names, options.top)}
        for file, row in zip(files, probabilities, strict=True)
    ]
    if options.json:
        lines = (json.dumps(reading, ensure_ascii=False) for reading in readings)
        print("[", ",\n".join(lines), "]", sep="\n")
        return
    names = [printable(reading["file"]) for reading in readings]
    width = max(map(len, names))
    for name, reading in zip(names, readings, strict=True):
        words = "   ".join(
            f"{r['glyph']} {r['name']} {r['probability']:6.2%}" for r in reading["readings"]
        )
        print(f"{name:<{width}}  {words}")


def _find(paths: list[Path]) -> list[Path]:
    """Every image file named or in a folder named, folders in sorted order."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            files = (name for name, status in scan(path, progress=True) if status is not None)
            inside = list(islice(filter(is_image, files), MAX_IMAGES + 1 - len(found)))
            if not inside:
                raise InputError(f"{path}: holds no image; give a folder of {_kinds()} files")
            found += [path / name for name in sorted(inside, key=lambda name: name.split("/"))]
        else:
            found.append(path)
        if len(found) > MAX_IMAGES:
            raise InputError(f"these are over {MAX_IMAGES:,} images; give fewer at a time")
    return found


def _kinds() -> str:
    return ", ".join(sorted(suffix.lstrip(".") for suffix in SUFFIXES))


def _read(
    paths: list[Path], saved: SavedModel, skip_bad: bool
) -> tuple[list[Path], np.ndarray, np.ndarray, list[tuple[Path, str]]]:
    """The files that can be read, their images (N, S, S) uint8, and what is wrong with others.

    Between them (N,) bool, which images are photos: there no line tells a letter's size.
    """
    alone = np.zeros(len(paths), bool)

    def picture(index: int, admit: Admit) -> np.ndarray:
        image = decoded(paths[index], admit)
        alone[index] = max(image.shape[:2]) > DATASET_SIDE
        return image

    def decoded(path: Path, admit: Admit) -> np.ndarray:
        with suppress(OSError):  # read_image says what is wrong
            if path.stat().st_size > LARGE_FILE:
                admit(MAX_PIXELS)
                return read_image(path)
        return read_image(path, admit)

    many = len(paths) > PROGRESS
    images, errors = prepare(len(paths), picture, saved.preprocessing, "reading", many)
    if errors and not skip_bad:
        raise InputError(first_problem(errors) if len(paths) > 1 else errors[0])
    good = [index for index in range(len(paths)) if index not in errors]
    skipped = [(paths[i], errors[i].removeprefix(f"{paths[i]}: ")) for i in sorted(errors)]
    return [paths[index] for index in good], images[good], alone[good], skipped


def read_pages(
    files: list[Path], saved: SavedModel, out: Path | None, as_json: bool, top: int, skip_bad: bool
) -> list[tuple[Path, str]]:
    """Read each file as a page, print what it says, and list those that could not be read.

    out: a folder for NAME.page.png, with a box around every letter, and NAME.page.json. Of two
    files of one name the second's are NAME-2.page.png and so on.
    """
    skipped, records = [], []
    with progress_bar(len(files), "pages", shown=len(files) > 10) as advance:
        for file, name in zip(files, _names(files), strict=True):
            try:
                picture = grey_levels(read_image(file))
            except InputError as error:
                if not skip_bad:
                    if len(files) > 1:
                        raise InputError(first_problem({0: str(error)})) from error
                    raise
                skipped.append((file, str(error).removeprefix(f"{file}: ")))
                continue
            found = read_page(picture, saved)
            record = {"file": str(file), **as_dict(found, saved.class_names, top)}
            if out is not None:
                folder = make_folder(out)
                draw(picture, found, saved.class_names, folder / f"{name}.page.png")
                write_json(folder / f"{name}.page.json", record)
            if as_json:
                records.append(record)
            else:
                print(printable(f"{file}: {len(found)} letter{'s' * (len(found) != 1)}"))
                for script in ("glyph", "latin") if found else ():
                    print(as_text(found, saved.class_names, script))
            advance(1)
    if as_json and records:
        print(json.dumps(records, indent=2, ensure_ascii=False))
    return skipped


def _names(files: list[Path]) -> list[str]:
    """A name for what is written of each file: its own, numbered from its second bearer on."""
    names: dict[str, None] = {}
    bearers: Counter[str] = Counter()
    for file in files:
        name = file.stem
        bearers[name] += 1
        while name in names:
            name = f"{file.stem}-{bearers[file.stem]}"
            bearers[file.stem] += name in names
        names[name] = None
    return list(names)
