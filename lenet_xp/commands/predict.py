"""Read letters from image files with a saved model."""

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lenet_xp.commands.terminal import (
    add_backend_options,
    add_model_option,
    choose_ops,
    parser,
    whole_number,
)
from lenet_xp.data.account import LeftOut, told
from lenet_xp.data.dataset import MAX_IMAGES
from lenet_xp.data.folder import pictures_in
from lenet_xp.errors import InputError
from lenet_xp.inference import MIN_IN_PROCESSES
from lenet_xp.model_file import SHIPPED, load_model
from lenet_xp.pictures.image_file import read_image
from lenet_xp.pictures.many import first_problem
from lenet_xp.pictures.preprocess import grey_levels
from lenet_xp.reader import Reader
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.system.progress import progress_bar
from lenet_xp.system.streams import say
from lenet_xp.system.text import printable

JSON_VERSION = 1
JSON_FIELDS = """\
with --json: {"version": 1, "results": [...], "skipped": [...]}
  results: for each image its file; blank, true where it holds no ink; readings, the likeliest
      first, each with name, glyph, latin and probability
  with --page: for each image its file; blank, true where it holds no letter; text and latin;
      certain_from, a probability; letters, each with line and position from 0, space_before, box
      in pixels, uncertain, readings
  skipped: file and reason of what folders hold and is no image that is read, and with
      --skip-bad of each unreadable image"""
EXAMPLES = """\
  lenet-xp predict letter.png
      with the model that comes with the package
  lenet-xp predict photos/ --model runs/best/model.npz --top 5 --json
      a folder of images, with a model of your own, for a program to read
  lenet-xp predict --page letter.jpg --out read/
      a photo or scan of lines of separate letters"""


def _options(arguments: list[str] | None) -> argparse.Namespace:
    about = "Read one letter, or with --page all letters, from each image."
    p = parser("lenet-xp predict", about, f"{EXAMPLES}\n\n{JSON_FIELDS}")
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
    """The command: see --help, which also lists the fields of --json."""
    options = _options(arguments)
    files, left_out = _find(options.images, options.skip_bad)
    if left_out:
        say(printable(told(left_out, len(files))))
    options.left_out = [{"file": file, "reason": why} for file, why in left_out]
    if options.backend == "auto" and len(files) < MIN_IN_PROCESSES:
        options.backend = "numpy"  # NumPy reads them before a GPU is ready
    reader = Reader(load_model(options.model, choose_ops(options)))
    (_read_pages if options.page else _read_letters)(files, reader, options)


def _read_letters(files: list[Path], reader: Reader, options: argparse.Namespace) -> None:
    """Print what each file is read as."""
    readings, problems = reader.try_many(files, options.threads, options.top, progress=True)
    if problems and not options.skip_bad:
        raise InputError(first_problem(problems) if len(files) > 1 else problems[0])
    skipped = [_skipped(files[place], problems[place]) for place in sorted(problems)]
    good = [file for place, file in enumerate(files) if place not in problems]
    _report_skipped(skipped, good)
    if options.json:
        results = (
            {"file": str(file), "blank": reading.blank, "readings": reading.best()}
            for file, reading in zip(good, readings, strict=True)
        )
        _print_json(results, [*options.left_out, *skipped])
        return
    names = [printable(str(file)) for file in good]
    width = max(map(len, names))
    for name, reading in zip(names, readings, strict=True):
        words = "   ".join(
            f"{each.glyph} {each.name} {each.probability:6.2%}" for each in reading.alternatives
        )
        print(f"{name:<{width}}  {words or '(no ink)'}")


def _print_json(results: Iterable[dict[str, Any]], skipped: list[dict[str, str]]) -> None:
    """Print one object, with each result on a line of its own."""
    print(f'{{"version": {JSON_VERSION}, "results": [')
    print(",\n".join(json.dumps(each, ensure_ascii=False) for each in results))
    print(f'], "skipped": {json.dumps(skipped, ensure_ascii=False)}}}')


def _skipped(file: Path, problem: str) -> dict[str, str]:
    return {"file": str(file), "reason": problem.removeprefix(f"{file}: ")}


def _report_skipped(skipped: list[dict[str, str]], good: list[Path]) -> None:
    """Name what was left out on standard error; InputError where nothing is left."""
    for each in skipped:
        say(printable(f"skipped {each['file']}: {each['reason']}"))
    if not good:
        raise InputError("none of the images could be read; see the lines above")


def _find(paths: list[Path], skip_bad: bool = False) -> tuple[list[Path], list[LeftOut]]:
    """The image files named or in a folder named, these in sorted order; and what is left out.

    InputError for a folder in which none is found, unless it is skipped for others.
    """
    found: list[Path] = []
    left_out: list[LeftOut] = []
    for path in paths:
        if path.is_dir():
            try:
                inside, others = pictures_in(path, MAX_IMAGES + 1 - len(found))
            except InputError as error:
                if not skip_bad:
                    raise
                inside, others = [], [("", str(error).removeprefix(f"{path}: "))]
            left_out += [(str(path / name), why) for name, why in others]
            found += [path / name for name in inside]
            if not (inside or skip_bad):
                more = f" ({told(others, 0)})" if others else ""
                raise InputError(f"{path}: holds no image{more}; give a folder of image files")
            if not (inside or others):
                left_out.append((str(path), "holds no image"))
        else:
            found.append(path)
        if len(found) > MAX_IMAGES:
            raise InputError(f"these are over {MAX_IMAGES:,} images; give fewer at a time")
    if not found:
        raise InputError(f"there is no image ({told(left_out, 0)}); give image files")
    return found, left_out


def _read_pages(files: list[Path], reader: Reader, options: argparse.Namespace) -> None:
    """Read each file as a page and print what it says; with --out also write it.

    Each file NAME gives NAME.page.png, with a box around every letter, and NAME.page.json. If two
    files have one name, the second one gives NAME-2.page.png, and so on.
    """
    skipped, records, good = [], [], []
    with progress_bar(len(files), "pages", shown=len(files) > 10) as advance:
        for file, name in zip(files, _names(files), strict=True):
            try:
                picture = grey_levels(read_image(file))
            except InputError as error:
                if not options.skip_bad:
                    problem = first_problem({0: str(error)}) if len(files) > 1 else str(error)
                    raise InputError(problem) from error
                skipped.append(_skipped(file, str(error)))
                continue
            page = reader.read_page(picture)
            good.append(file)
            record = {"file": str(file), **page.as_dict(options.top)}
            if options.out is not None:
                folder = make_folder(options.out)
                page.draw(picture, folder / f"{name}.page.png")
                write_json(folder / f"{name}.page.json", record)
            if options.json:
                records.append(record)
            else:
                count = len(page.letters)
                print(printable(f"{file}: {count} letter{'s' * (count != 1)}"))
                if count:
                    print(page.text, page.latin, sep="\n")
            advance(1)
    _report_skipped(skipped, good)
    if options.json:
        _print_json(records, [*options.left_out, *skipped])


def _names(files: list[Path]) -> list[str]:
    """A name for what is written of each file: its own, numbered from its second bearer on."""
    names: dict[str, None] = {}
    bearers: Counter[str] = Counter()
    for file in files:
        name = file.stem
        while name in names:
            bearers[file.stem] += 1
            name = f"{file.stem}-{bearers[file.stem] + 1}"
        names[name] = None
    return list(names)
