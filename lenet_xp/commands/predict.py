"""Read letters from image files with a saved model."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.commands import terminal
from lenet_xp.data.account import LeftOut, remarks_on, told
from lenet_xp.data.dataset import MAX_IMAGES
from lenet_xp.data.folder import MAX_ENTRIES, pictures_in
from lenet_xp.errors import InputError
from lenet_xp.inference import MIN_IN_PROCESSES
from lenet_xp.letters.alternatives import Reading
from lenet_xp.model_file import SHIPPED, load_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.image_file import MAX_BYTES, ImageFile
from lenet_xp.pictures.many import first_problem
from lenet_xp.reader import Picture, Reader
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.system.progress import progress_bar
from lenet_xp.system.streams import say
from lenet_xp.system.text import printable

JSON_VERSION = 1
JSON_FIELDS = """\
with --json: {"version": 1, "results": [...], "skipped": [...]}
  results: for each image its file; pages, the number of its pages or frames (the first is read);
      blank, true where it holds no ink; none_of_these, true where its ink is no letter that the
      model knows; readings, the likeliest first, each with name, glyph, latin and probability
  with --page: for each page its file; page, from 1, of pages; blank, true where it holds no
      letter; text and latin; certain_from, a probability; letters, each with line and position from
      0, space_before, box in pixels, uncertain, none_of_these, readings
  skipped: file and reason of each file in a folder that is not read; with --skip-bad also of each
      unreadable image"""
EXAMPLES = """\
  lenet-xp predict letter.png
      with the model that comes with the package
  lenet-xp predict photos/ --model runs/best/model.npz --top 5 --json
      a folder of images, with a model of your own, for a program to read
  lenet-xp predict --page letter.jpg --out read/
      a photo or scan of lines of separate letters
  lenet-xp predict - < letter.png
      standard input
  lenet-xp predict --page scans/ --cluster local --out read/
      a great many, by workers of Dask: read/readings.jsonl; --resume goes on after a stop"""

STANDARD_INPUT = Path("-")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    about = "Read one letter, or with --page all letters, from each image."
    p = terminal.parser("lenet-xp predict", about, f"{EXAMPLES}\n\n{JSON_FIELDS}")
    add = p.add_argument
    add(
        "images",
        type=Path,
        nargs="+",
        metavar="IMAGE_OR_FOLDER",
        help="folders are searched; - is standard input; a .npz in front is taken for --model",
    )
    terminal.add_model_option(p, positional=False)
    number = terminal.whole_number(1)
    add("--top", type=number, default=3, metavar="K", help="readings to give (default: 3)")
    add("--page", action="store_true", help="read lines of separate letters from each page")
    add(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="with --page: annotated pictures and JSON files; with --cluster: readings.jsonl",
    )
    add(
        "--cluster",
        metavar="ADDRESS",
        help="read with the workers of the Dask scheduler there, or local, with one for each core, "
        "on NumPy; unreadable files are listed among the readings",
    )
    add("--resume", action="store_true", help="with --cluster: go on behind the last line in --out")
    add("--json", action="store_true", help="print the readings as JSON")
    add("--skip-bad", action="store_true", help="leave out unreadable images, list them")
    terminal.add_backend_options(p)
    options = p.parse_args(arguments)
    if options.out is not None and not (options.page or options.cluster):
        p.error("--out goes with --page or --cluster")
    if options.cluster and options.out is None:
        p.error("--cluster needs --out")
    if options.resume and not options.cluster:
        p.error("--resume goes with --cluster")
    if options.images[0].suffix == ".npz" and options.model is SHIPPED:
        options.model = options.images.pop(0)
        if not options.images:
            p.error(f"{options.model} is a model; name the images to read with it, too")
    return options


def predict(arguments: list[str] | None = None) -> None:
    """The command: see --help, which also lists the fields of --json."""
    options = _options(arguments)
    most = MAX_ENTRIES if options.cluster else MAX_IMAGES
    files, left_out = _find(options.images, options.skip_bad, most)
    if left_out:
        say(printable(told(left_out, len(files))))
    options.left_out = [{"file": file, "reason": why} for file, why in left_out]
    if options.backend == "auto" and len(files) < MIN_IN_PROCESSES:
        options.backend = "numpy"  # NumPy reads them before a GPU is ready
    if options.cluster:
        _read_on_cluster(files, options)
        return
    reader = Reader(load_model(options.model, terminal.choose_ops(options)))
    (_read_pages if options.page else _read_letters)(files, reader, options)


def _read_on_cluster(files: list[Path], options: argparse.Namespace) -> None:
    from lenet_xp.commands.cluster import read_on_cluster  # it imports from here

    if STANDARD_INPUT in files:
        raise InputError("standard input cannot be read on a cluster; give files")
    if options.backend not in ("auto", "numpy") or options.dtype != "float32" or options.threads:
        raise InputError(
            "--cluster: a worker reads with NumPy in float32 on one core; leave out --backend, "
            "--dtype and --threads"
        )
    counts = read_on_cluster(files, load_model(options.model, get_ops("numpy")), options)
    if options.json:
        terminal.print_json(counts)
    else:
        bad = counts["unreadable"]
        print(f"{counts['read']:,} read, {bad:,} unreadable; in {options.out / 'readings.jsonl'}")


def _read_letters(files: list[Path], reader: Reader, options: argparse.Namespace) -> None:
    """Print what each file is read as."""
    pictures = _pictures(files)
    readings, problems = reader.try_many(pictures, options.threads, options.top, progress=True)
    if problems and not options.skip_bad:
        raise InputError(first_problem(problems) if len(files) > 1 else problems[0])
    names = [_name(file) for file in files]
    reasons = {i: problems[i].removeprefix(f"{names[i]}: ") for i in sorted(problems)}
    skipped = [{"file": names[i], "reason": reason} for i, reason in reasons.items()]
    good = [name for place, name in enumerate(names) if place not in problems]
    _report_skipped(skipped, len(good))
    several: list[str] = []
    blanks: list[bool] = []

    def noted() -> Iterator[tuple[str, Reading]]:
        for name, reading in zip(good, readings, strict=True):
            several.extend([name] * (reading.pages > 1))
            blanks.append(reading.blank)
            yield name, reading

    if options.json:
        results = ({"file": name} | reading.as_dict() for name, reading in noted())
        _print_json(results, [*options.left_out, *skipped])
    else:
        width = max(len(printable(name)) for name in good)
        for name, reading in noted():
            named = [(a.glyph * (a.glyph != a.name), a) for a in reading.alternatives]
            answers = [f"{glyph} {a.name} {a.probability:6.2%}".strip() for glyph, a in named]
            refused = ["(none of these letters)"] * reading.refused
            words = "   ".join(refused + answers) or "(no ink)"
            print(f"{printable(name):<{width}}  {words}")
    for line in remarks_on([], several):
        say(printable(f"{line}; --page reads pages"))
    _report_blanks(blanks, len(files))


def _pictures(files: list[Path]) -> list[Picture]:
    """Files as a reader takes them: paths, and the bytes of standard input."""
    if files.count(STANDARD_INPUT) > 1:
        raise InputError("standard input can be read once; give - once")
    return [_standard_input() if file == STANDARD_INPUT else file for file in files]


def _standard_input() -> ImageFile:
    name = _name(STANDARD_INPUT)
    how = "give an image, as in lenet-xp predict - < letter.png"
    closed = sys.stdin is None or sys.stdin.closed
    if closed or sys.stdin.isatty():
        raise InputError(f"{name}: is {'closed' if closed else 'a terminal'}; {how}")
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}); {how}") from error
    if len(data) > MAX_BYTES:
        raise InputError(f"{name}: has over {MAX_BYTES >> 20} MiB; give a smaller image")
    return ImageFile(data, name)


def _name(file: Path) -> str:
    return "standard input" if file == STANDARD_INPUT else str(file)


def _report_blanks(blanks: list[bool], files: int) -> None:
    """Say that nothing was read, where no picture of several holds ink."""
    if files > 1 and all(blanks):
        say(f"none of the {len(blanks)} images that could be read holds ink")


def _print_json(results: Iterable[dict[str, Any]], skipped: list[dict[str, str]]) -> None:
    """Print one object, with each result on a line of its own."""
    print(f'{{"version": {JSON_VERSION}, "results": [')
    print(",\n".join(json.dumps(each, ensure_ascii=False) for each in results))
    print(f'], "skipped": {json.dumps(skipped, ensure_ascii=False)}}}')


def _report_skipped(skipped: list[dict[str, str]], good: int) -> None:
    """Name what was left out on standard error; InputError where nothing is left."""
    for each in skipped:
        say(printable(f"skipped {each['file']}: {each['reason']}"))
    if not good:
        raise InputError("none of the images could be read; see the lines above")


def _find(paths: list[Path], skip_bad: bool, most: int) -> tuple[list[Path], list[LeftOut]]:
    """The image files named or in a folder named, these in order; and what is left out there.

    InputError for a folder in which none is found, unless it is skipped for others, and for more
    than `most` images.
    """
    found: list[Path] = []
    left_out: list[LeftOut] = []
    for path in paths:
        if path.is_dir():
            try:
                inside, others = pictures_in(path, most + 1 - len(found))
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
        if len(found) > most:
            raise InputError(f"these are over {most:,} images; give fewer at a time")
    if not found:
        raise InputError(f"there is no image ({told(left_out, 0)}); give image files")
    return found, left_out


def _read_pages(files: list[Path], reader: Reader, options: argparse.Namespace) -> None:
    """Read each page of each file and print what it says; with --out also write it.

    Each file NAME gives NAME.page.png, with a box around every letter, and NAME.page.json; of
    several pages NAME.page1.png and so on. A second file of that name gives NAME-2.page.png.
    """
    skipped, records, blanks = [], [], []
    with progress_bar(len(files), "pages", shown=len(files) > 10) as advance:
        for file, picture, stem in zip(files, _pictures(files), _names(files), strict=True):
            for number, pages, grey in pages_of(file, picture, not options.skip_bad):
                several = pages > 1
                name = f"{_name(file)} page {number} of {pages}" if several else _name(file)
                if isinstance(grey, str):
                    if not options.skip_bad:
                        problem, alone = f"{name}: {grey}", len(files) == 1 and not several
                        raise InputError(problem if alone else first_problem({0: problem}))
                    skipped.append({"file": name, "reason": grey})
                    continue
                page = reader.read_page(grey)
                blanks.append(page.blank)
                place = {"file": _name(file), "page": number, "pages": pages}
                record = place | page.as_dict(options.top)
                if options.out is not None:
                    folder = make_folder(options.out)
                    target = f"{stem}.page{number if several else ''}"
                    page.draw(grey, folder / f"{target}.png")
                    write_json(folder / f"{target}.json", record)
                if options.json:
                    records.append(record)
                    continue
                count = len(page.letters)
                print(printable(f"{name}: {count} letter{'s' * (count != 1)}"))
                if count:
                    print(page.text, page.latin, sep="\n")
            advance(1)
    _report_skipped(skipped, len(blanks))
    if options.json:
        _print_json(records, [*options.left_out, *skipped])
    _report_blanks(blanks, len(blanks) + len(skipped))


def pages_of(
    file: Path, picture: Picture, whole: bool
) -> Iterator[tuple[int, int, np.ndarray | str]]:
    """Each page of a file: its number from 1, how many there are, its grey levels or problem.

    whole: where a page of several has a problem, give that page alone.
    """
    name = _name(file)
    try:
        image = picture if isinstance(picture, ImageFile) else ImageFile.open(file)
        image.check_pages()
    except InputError as error:
        yield 1, 1, str(error).removeprefix(f"{name}: ")
        return
    for trial in [True] * (whole and image.pages > 1) + [False]:
        for number in range(image.pages):
            try:
                grey: np.ndarray | str = image.grey(number)
            except InputError as error:
                grey = str(error).removeprefix(f"{name}: ")
            if not trial or isinstance(grey, str):
                yield number + 1, image.pages, grey


def _names(files: list[Path]) -> list[str]:
    """A name for what is written of each file: its own, numbered from its second bearer on."""
    names: dict[str, None] = {}
    bearers: Counter[str] = Counter()
    for file in files:
        name = stem = _name(file) if file == STANDARD_INPUT else file.stem
        while name in names:
            bearers[stem] += 1
            name = f"{stem}-{bearers[stem] + 1}"
        names[name] = None
    return list(names)
