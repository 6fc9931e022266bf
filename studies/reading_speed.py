"""Make results/reading/: how long `predict` takes from start to end, and how much memory.

    python studies/reading_speed.py

One picture of a data set's size, one photo of 12 megapixels, and folders of 10,000 pictures as PNG
and as JPEG, all generated. The commands take turns; medians are given.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

import numpy as np

from lenet_xp.commands.terminal import whole_number
from lenet_xp.errors import InputError
from lenet_xp.letters.synthetic import generate
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.system.opencv import cv2
from studies.speed.memory import measure_command

MANY = 10_000
PHOTO = (3000, 4000)  # height and width in pixels
RATE = "images_a_second"


def _make(folder: Path) -> dict[str, Path]:
    """What is to be read, by name."""
    images = generate(MANY // 33 + 1, seed=0)[0][:MANY]
    for suffix in ("png", "jpeg"):
        make_folder(folder / suffix)
        for number, image in enumerate(images):
            cv2.imwrite(str(folder / suffix / f"{number:05d}.{suffix}"), image)
    cv2.imwrite(str(folder / "letter.png"), images[-1])
    photo = np.random.default_rng(0).normal(200, 4, PHOTO)
    photo *= np.linspace(0.7, 1, PHOTO[1])  # the light comes from the right
    letter = cv2.resize(images[-1], (1200, 1200), interpolation=cv2.INTER_CUBIC)
    photo[900:2100, 1500:2700] *= letter / 255
    cv2.imwrite(str(folder / "photo.jpeg"), photo.clip(0, 255).astype(np.uint8))
    return {
        "one letter of 64x64 pixels": folder / "letter.png",
        "one photo of 12 megapixels": folder / "photo.jpeg",
        f"a folder of {MANY:,} PNGs of 64x64": folder / "png",
        f"a folder of {MANY:,} JPEGs of 64x64": folder / "jpeg",
    }


def _measured(path: Path) -> dict:
    run = measure_command(["-m", "lenet_xp", "predict", "--json", "--backend", "numpy", str(path)])
    if run["exit_status"]:
        raise InputError(f"predict ended with status {run['exit_status']}")
    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure whole predict commands.", epilog="takes about a minute"
    )
    parser.add_argument("--turns", type=whole_number(1), default=7, metavar="N")
    parser.add_argument("--out", type=Path, default=Path("results/reading"), metavar="FOLDER")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        places = _make(Path(folder))
        turns = [
            {name: _measured(path) for name, path in places.items()} for _ in range(options.turns)
        ]
    commands = {}
    for name, path in places.items():
        runs = [turn[name] for turn in turns]
        seconds = statistics.median(run["seconds"] for run in runs)
        commands[name] = {
            "command": runs[0]["command"],
            "seconds": seconds,
            "fastest_seconds": min(run["seconds"] for run in runs),
            "peak_megabytes": max(run["peak_megabytes"] for run in runs),
            **({RATE: MANY / seconds} if not path.suffix else {}),
        }
        rate = commands[name].get(RATE)
        print(f"{name}: {seconds:.2f} s, {commands[name]['peak_megabytes']:.0f} MB", end="")
        print(f", {rate:,.0f} images/s" if rate else "")
    record = {
        "commands": commands,
        "turns": options.turns,
        "load_average_before": load,
        "cores": os.cpu_count(),
        "cpu": cpu_name(),
        "versions": versions(),
        "git_commit": git_commit(),
        "command": "python studies/reading_speed.py",
    }
    write_json(make_folder(options.out) / "speed.json", record)


if __name__ == "__main__":
    main()
