"""The ways into the package, and a hostile case for each from a seed and a number."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from fuzzing import arrays, containers, images, options, place, records, requests, tables, zips
from fuzzing.case import Case
from fuzzing.mutate import mutated

APART = 1 / 500  # of the cases run in a process of their own, as a user would start them
NUMPY = ("--backend", "numpy", "--threads", "1")
MODEL = "../base/model.npz"
NAMES = (
    "a\x1b[2Jb",
    "a\nerror: b",
    "\u202ex",
    "-x",
    "--json",
    "ⵣ",
    "a b",
    "x" * 200,
    os.fsdecode(b"\xff"),
)


def _image(rng: Random, base: Path) -> Case:
    suffix, data, words = images.hostile(rng)
    name = "x"
    if rng.random() < 0.03:
        name = rng.choice(NAMES)
    file = f"./{name}{suffix}" if rng.random() < 0.9 else "."
    shown = rng.choice(((), (), (), ("--json",), ("--skip-bad",), ("--top", "1")))
    arguments = (file, "--model", MODEL, *NUMPY, *shown)
    return Case("image", words, "predict", arguments, {f"{name}{suffix}": data})


def _page(rng: Random, base: Path) -> Case:
    """A hostile image file, or a whole page of odd marks, read as lines of letters."""
    suffix, data, words = images.hostile(rng) if rng.random() < 0.6 else images.page(rng)
    shown = rng.choice(((), ("--json",), ("--skip-bad",), ("--skip-bad", "--json")))
    out = rng.choice(((), ("--out", "out")))
    arguments = ("--page", f"./x{suffix}", "--model", MODEL, *NUMPY, *shown, *out)
    return Case("page", words, "predict", arguments, {f"x{suffix}": data}, "out")


def _folder(rng: Random, base: Path) -> Case:
    files = {name.decode(): data for name, data in zips.letters()}
    words = ""
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice(list(files))
        suffix, data, change = images.hostile(rng)
        if rng.random() < 0.15:
            name = f"{rng.choice((*NAMES, 'ya', 'ya/ya', 'other/ya', '.hidden'))}/x{suffix}"
        files[name] = data
        words += f"{name[:30]!r}: {change}; "
    files = {f"data/{name}": data for name, data in files.items()}
    return Case("folder", words, *_of_data(rng, "data"), files)


def _of_data(rng: Random, data: str) -> tuple[str, tuple[str, ...]]:
    """A command that reads a data source."""
    drawn = rng.random()
    cache = () if rng.random() < 0.3 else ("--no-cache",)
    if drawn < 0.7:
        return "audit", ("--data", data, *cache, *(("--json",) if drawn < 0.1 else ()))
    skip = ("--skip-bad",) if rng.random() < 0.4 else ()
    if drawn < 0.95:
        part = rng.choice(("all", "all", "test"))
        return "evaluate", (MODEL, "--data", data, "--part", part, *NUMPY, *cache, *skip)
    train = "--epochs", "1", "--no-plots", "--out", "out"
    return "train", ("--data", data, *train, *NUMPY, *cache, *skip)


def _source(door: str, suffix: str, hostile: Callable[[Random], tuple[bytes, str]]):
    def make(rng: Random, base: Path) -> Case:
        data, words = hostile(rng)
        command, arguments = _of_data(rng, f"x{suffix}")
        out = "out" if command == "train" else None
        return Case(door, words, command, arguments, {f"x{suffix}": data}, out)

    return make


def _table(rng: Random, base: Path) -> Case:
    """A table in a folder of its own."""
    files, words = tables.labels(rng)
    command, arguments = _of_data(rng, "data/x.csv")
    files = {f"data/{name}": data for name, data in files.items()}
    return Case("table", words, command, arguments, files, "out" if command == "train" else None)


def _model(rng: Random, base: Path) -> Case:
    if rng.random() < 0.03:
        data, words = containers.pickled(rng), "a pickle"
    else:
        data, words = containers.hostile(rng, place.model(base))
    drawn, files = rng.random(), {"m.npz": data}
    if drawn < 0.8:
        letter = "../base/letters/ya/ya_0.jpeg"
        return Case("model", words, "predict", (letter, "--model", "m.npz", *NUMPY), files)
    if drawn < 0.93:
        data = "--data", "../base/letters", "--part", "all", "--no-cache"
        return Case("model", words, "evaluate", ("m.npz", *data, *NUMPY), files)
    to = "out.safetensors" if drawn < 0.98 else "out.onnx"
    return Case("model", words, "export", ("m.npz", "--to", to), files, to)


def _checkpoint(rng: Random, base: Path) -> Case:
    """A run to go on with, whose newest checkpoints are not what was written."""
    kept = dict(place.checkpoints(base))
    words = []
    for name in list(kept)[::-1][: rng.choice((1, 1, 1, 2, 3))]:
        kept[name], change = containers.hostile(rng, kept[name])
        words.append(f"{name}: {change}")
    if rng.random() < 0.1:
        odd = rng.choice(("step-.npz", "step-9999999999.npz", "step-x.npz", "step-\x1b[2J.npz"))
        kept[odd] = rng.choice((b"", b"PK", rng.choice(list(kept.values()))))
        words.append(f"another named {odd!r}")
    files = {f"out/checkpoints/{name}": data for name, data in kept.items()}
    arguments = "--resume", "out", "--data", "../base/letters"
    return Case("checkpoint", "; ".join(words), "train", arguments, files, "out")


def _cache(rng: Random, base: Path) -> Case:
    """A copy kept of the letters that is not what was kept."""
    data, words = arrays.hostile(rng) if rng.random() < 0.5 else mutated(rng, b"PK\3\4" * 50)
    if rng.random() < 0.4:
        data, words = records.cached(rng)
    arguments = "--data", "../base/letters", *(("--json",) if rng.random() < 0.2 else ())
    return Case("cache", words, "audit", arguments, {f"cache/{place.cached(base)}": data})


def _command_line(rng: Random, base: Path) -> Case:
    command, arguments, words = options.hostile(rng)
    return Case("command line", words, command, arguments, {}, options.out(arguments))


def _records(rng: Random, base: Path) -> Case:
    files, words = records.hostile(rng)
    arguments = "--results", "results", "--out", "out/report.md"
    return Case("records", words, "report", arguments, files, "out")


def _search(rng: Random, base: Path) -> Case:
    """A search of data that are not AMHCD, beside a record that is none."""
    suffix, hostile = rng.choice(((".zip", zips.hostile), (".npz", arrays.hostile)))
    data, words = hostile(rng)
    files = {f"x{suffix}": data}
    if rng.random() < 0.5:
        files["out/search.json"], more = records.searched(rng, f"x{suffix}")
        words = f"{words}; record: {more}"
    cache = () if rng.random() < 0.3 else ("--no-cache",)
    arguments = ("--data", f"x{suffix}", "--out", "out", "--workers", "1", *cache)
    return Case("search", words, "search", arguments, files, "out")


def _demo(rng: Random, base: Path) -> Case:
    request, words = requests.hostile(rng)
    return Case("demo", words, "demo", (), {"request": request})


# How many of a thousand cases come to each door, but for the last four, which came later.
DOORS: dict[str, tuple[int, Callable[[Random, Path], Case]]] = {
    "image": (520, _image),
    "folder": (50, _folder),
    "zip": (130, _source("zip", ".zip", zips.hostile)),
    "npz": (110, _source("npz", ".npz", arrays.hostile)),
    "model": (90, _model),
    "checkpoint": (15, _checkpoint),
    "cache": (15, _cache),
    "command line": (68, _command_line),
    "records": (2, _records),
    "page": (40, _page),
    "search": (15, _search),
    "demo": (60, _demo),
    "table": (60, _table),
}


def controls(base: Path) -> list[Case]:
    """Cases with nothing hostile about them, through every door of files: all must be taken.

    Without them a package that refuses everything would pass.
    """
    letter, data = "../base/letters/ya/ya_0.jpeg", ("--data", "../base/letters")
    found = [
        Case("image", str(kind), "predict", ("x", "--model", MODEL, *NUMPY), {"x": images.seed(n)})
        for n, kind in enumerate(images.KINDS)
        if kind[1] != "F"
    ]
    folder = {f"data/{name.decode()}": content for name, content in zips.letters()}
    kept = {f"out/checkpoints/{name}": each for name, each in place.checkpoints(base).items()}
    return [
        *found,
        Case("folder", "", "audit", ("--data", "data"), folder),
        Case("zip", "", "audit", ("--data", "x.zip"), {"x.zip": zips.honest()}),
        Case("npz", "", "audit", ("--data", "../base/letters.npz")),
        Case("model", "", "predict", (letter, "--model", "m", *NUMPY), {"m": place.model(base)}),
        Case("model", "", "evaluate", (MODEL, *data, "--part", "all", *NUMPY)),
        Case("page", "", "predict", ("--page", letter, "--model", MODEL, *NUMPY)),
        Case("demo", "", "demo", (), {"request": requests.honest(images.seed(0))}),
        Case("checkpoint", "", "train", ("--resume", "out", *data), kept, "out"),
        *(Case("command line", "", name, each[0]) for name, each in options.sound()),
    ]


def make(seed: int, number: int, base: Path, only: list[str] | None = None) -> Case:
    """The case of a seed and a number, the same whenever and wherever it is made."""
    rng = Random(f"{seed}/{number}")
    known = {name: each for name, each in DOORS.items() if not only or name in only}
    weights = [weight for weight, _ in known.values()]
    door = rng.choices(list(known), weights)[0]
    apart = rng.random() < APART
    case = known[door][1](rng, base)
    return Case(**{**vars(case), "apart": apart})
