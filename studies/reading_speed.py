"""Make results/reading/: time and memory of whole `predict` commands.

They read one picture of a data set's size, one photo of 12 megapixels, and folders of 10,000
pictures as PNG and as JPEG, all generated. The commands take turns; their median times are
recorded, and those of the processors, which other work disturbs less. Takes about a minute.
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.commands.terminal import parser, run, whole_number
from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.system.opencv import cv2
from studies.speed.memory import measure_command

EXAMPLES = """\
  python -m studies.reading_speed
      speed.json in results/reading
  python -m studies.reading_speed --turns 1 --out /tmp/reading
      for a look"""

PICTURES = 10_000  # in a folder
PHOTO = (3000, 4000)  # pixels: height and width
RATE = "images_a_second"


def _make(folder: Path) -> dict[str, Path]:
    """Write the pictures; their file or folder by a name for each."""
    images = generate(PICTURES // len(letters()) + 1, seed=0)[0][:PICTURES]
    for suffix in ("png", "jpeg"):
        make_folder(folder / suffix)
        for number, image in enumerate(images):
            cv2.imwrite(str(folder / suffix / f"{number:05d}.{suffix}"), image)
    cv2.imwrite(str(folder / "letter.png"), images[-1])
    photo = np.random.default_rng(0).normal(200, 4, PHOTO)
    photo *= np.linspace(0.7, 1, PHOTO[1])  # light from the right
    letter = cv2.resize(images[-1], (1200, 1200), interpolation=cv2.INTER_CUBIC)
    photo[900:2100, 1500:2700] *= letter / 255
    cv2.imwrite(str(folder / "photo.jpeg"), photo.clip(0, 255).astype(np.uint8))
    return {
        "one letter of 64x64 pixels": folder / "letter.png",
        "one photo of 12 megapixels": folder / "photo.jpeg",
        f"a folder of {PICTURES:,} PNGs of 64x64": folder / "png",
        f"a folder of {PICTURES:,} JPEGs of 64x64": folder / "jpeg",
    }


def _measured(path: Path) -> dict[str, Any]:
    command = ["-m", "lenet_xp", "predict", "--json", "--backend", "numpy", str(path)]
    measured = measure_command(command)
    if measured["exit_status"]:
        raise InputError(f"predict ended with status {measured['exit_status']}")
    return measured


def _summary(runs: list[dict[str, Any]], pictures: int | None) -> dict[str, Any]:
    """The record of one command over its turns. pictures: how many a folder has."""
    seconds = statistics.median(run["seconds"] for run in runs)
    return {
        "command": runs[0]["command"],
        "seconds": seconds,
        "cpu_seconds": statistics.median(run["cpu_seconds"] for run in runs),
        "fastest_seconds": min(run["seconds"] for run in runs),
        "peak_megabytes": max(run["peak_megabytes"] for run in runs),
        **({RATE: pictures / seconds} if pictures else {}),
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser("python -m studies.reading_speed", __doc__, EXAMPLES)
    p.add_argument(
        "--turns", type=whole_number(1), default=7, metavar="N", help="of each command (default: 7)"
    )
    p.add_argument(
        "--out",
        type=Path,
        default=Path("results/reading"),
        metavar="FOLDER",
        help="(default: results/reading)",
    )
    options = p.parse_args(arguments)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        places = _make(Path(folder))
        turns = [
            {name: _measured(path) for name, path in places.items()} for _ in range(options.turns)
        ]
    commands = {
        name: _summary([turn[name] for turn in turns], None if path.suffix else PICTURES)
        for name, path in places.items()
    }
    for name, found in commands.items():
        rate = f", {found[RATE]:,.0f} images/s" if RATE in found else ""
        times = f"{found['seconds']:.2f} s, {found['cpu_seconds']:.2f} s of processors"
        print(f"{name}: {times}, {found['peak_megabytes']:.0f} MB{rate}")
    record = {
        "commands": commands,
        "turns": options.turns,
        "load_average_before": load,
        "cores": os.cpu_count(),
        "cpu": cpu_name(),
        "versions": versions(),
        "git_commit": git_commit(),
        "command": "python -m studies.reading_speed",
    }
    write_json(make_folder(options.out) / "speed.json", record)


if __name__ == "__main__":
    sys.exit(run(main))
