"""Kill ranks of MPI and workers of Dask, real processes, and see that nothing is lost.

A training on ranks is killed and resumed on another number of ranks, again and again: its model
must have the bits of one that nobody disturbed. Readings of letters and of pages on a cluster lose
workers: each file must have one line, in order, with the plain command's reading.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.commands.cluster import READINGS
from lenet_xp.commands.terminal import parser, run, whole_number
from lenet_xp.errors import InputError
from lenet_xp.letters.synthetic import generate
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.system.opencv import cv2
from studies.page_check.letters import Letters
from studies.page_check.lines import draw_pages

RANKS = 2, 3, 4  # on which a killed training goes on, in turn
PATIENCE = 120  # seconds: for a training to write a checkpoint, and to end
LETTERS = 310  # of each class: 10,230 letters, and enough for PAGES
PAGES = 200
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
EXAMPLES = """\
  python -m studies.kills --out results/scaling
      20 ranks and 20 workers are killed; kills.json in results/scaling"""


def _ranks(count: int, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = ["mpiexec", "-n", str(count), sys.executable, "-m", "lenet_xp", "train", *arguments]
    pipes: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, **pipes)


def _processes_of(starter: int) -> list[int]:
    """The ranks that a process has started, by what MPICH tells them."""
    parents: dict[int, int] = {}
    ranks = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(each.name)] = int((each / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if "PMI_RANK=" in (each / "environ").read_text():
                ranks.append(int(each.name))
        except OSError:  # it has ended, or is somebody else's
            continue

    def starters(process: int) -> Iterator[int]:
        while process in parents:
            yield (process := parents[process])

    return [rank for rank in ranks if starter in starters(rank)]


def killed_ranks(kills: int, folder: Path, rng: np.random.Generator) -> dict[str, Any]:
    """Kill random ranks of a training, and resume it each time."""
    options = ["--samples", "60", "--recipe", "best", "--epochs", str(4 + 2 * kills), "--no-plots"]
    options += ["--checkpoint-every", "0.3"]
    _finished(_ranks(1, folder, *options, "--out", "whole"))
    arguments, done = [*options, "--out", "run"], 0
    checkpoints = folder / "run" / "checkpoints"
    while done < kills:
        process, seen = (
            _ranks(RANKS[done % len(RANKS)], folder, *arguments),
            set(checkpoints.glob("step-*")),
        )
        until = time.monotonic() + PATIENCE
        while not set(checkpoints.glob("step-*")) - seen:  # so that each life takes it further
            if process.poll() is not None or time.monotonic() > until:
                raise InputError(f"the training ended by itself: {process.communicate()[1][-300:]}")
            time.sleep(0.05)
        os.kill(int(rng.choice(_processes_of(process.pid))), 9)
        process.communicate(timeout=PATIENCE)
        arguments, done = ["--resume", "run"], done + 1
        print(f"rank killed {done} of {kills}", flush=True)
    _finished(_ranks(2, folder, *arguments))
    digests = [
        hashlib.sha256((folder / name / "model.npz").read_bytes()).hexdigest()
        for name in ("whole", "run")
    ]
    return {"killed": done, "equal_bits": digests[0] == digests[1], "sha256": digests}


def _finished(process: subprocess.Popen[str]) -> None:
    _, words = process.communicate(timeout=10 * PATIENCE)
    if process.returncode:
        raise InputError(f"a training failed: {words[-300:]}")


@contextmanager
def _cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The address of a scheduler, and two workers."""
    place = folder / "scheduler.json"
    how = ["--port", "0", "--scheduler-file", str(place), "--host", "127.0.0.1", "--no-dashboard"]
    running = [_dask("scheduler", *how)]
    try:
        while not (place.exists() and place.read_text(encoding="utf-8").endswith("}")):
            time.sleep(0.05)
        address = json.loads(place.read_text(encoding="utf-8"))["address"]
        workers = [_worker(address), _worker(address)]
        running = [*running, *workers]
        yield address, workers
    finally:
        for process in [*running, *workers]:
            process.kill()
            process.wait()


def _dask(part: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{part}", *arguments]
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=ENVIRONMENT, **quiet)


def _worker(address: str) -> subprocess.Popen[bytes]:
    return _dask("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard")


def killed_workers(kills: int, folder: Path) -> dict[str, Any]:
    """Kill workers in turn while a cluster reads letters and pages, and read those again."""
    images, labels = generate(LETTERS)
    alone = _written(folder / "letters", images)
    given = Letters(images, labels, np.zeros(len(labels), np.int64))
    pages = _written(folder / "pages", (page for page, *_ in draw_pages(given, PAGES, 0)))
    with _cluster(folder) as (address, workers):
        return {
            "letters": _read_again(kills, [str(alone)], address, workers),
            "pages": _read_again(kills, ["--page", str(pages)], address, workers),
        }


def _written(folder: Path, pictures: Iterable[np.ndarray]) -> Path:
    make_folder(folder)
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{number:05}.png"), picture)
    return folder


def _read_again(
    kills: int, pictures: list[str], address: str, workers: list[subprocess.Popen[bytes]]
) -> dict[str, Any]:
    """Read pictures while workers are left to kill; how many readings differ from a plain one.

    A run that gives up, for the same part met four killed workers, is resumed.
    """
    command = [sys.executable, "-m", "lenet_xp", "predict", *pictures, "--json"]
    plain = subprocess.run(command, capture_output=True, check=True, env=ENVIRONMENT)
    wanted, found = json.loads(plain.stdout)["results"], {"killed": 0, "readings": 0, "resumed": 0}
    differ = 0
    while found["killed"] < kills:
        with tempfile.TemporaryDirectory() as out:
            own = [*command, "--cluster", address, "--out", out, "--resume"]
            while _stopped(own, Path(out) / READINGS, workers, found, kills):
                found["resumed"] += 1
            lines = (Path(out) / READINGS).read_text(encoding="utf-8").splitlines()
        found["readings"] += 1
        differ += _as_plain(lines) != wanted
    return found | {"files": len(wanted), "readings_that_differ": differ}


def _stopped(
    command: list[str],
    lines: Path,
    workers: list[subprocess.Popen[bytes]],
    found: dict[str, int],
    kills: int,
) -> bool:
    """Run a reading, and kill a worker whenever it has got further; whether it gave up."""
    before = seen = lines.stat().st_size if lines.exists() else 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    while process.poll() is None:
        time.sleep(0.05)
        size = lines.stat().st_size if lines.exists() else 0
        if size > seen and found["killed"] < kills:
            seen, place = size, found["killed"] % 2
            workers[place].kill()
            workers[place].wait()
            workers[place] = _worker(command[command.index("--cluster") + 1])
            found["killed"] += 1
            print(f"worker killed {found['killed']} of {kills}", flush=True)
    if process.returncode and seen == before:
        raise InputError(f"{' '.join(command)}: failed; run it to see why")
    return process.returncode != 0


def _as_plain(lines: list[str]) -> list[dict[str, Any]]:
    """Lines of a cluster as the results of a plain command, which has one for each page."""
    results = []
    for line in map(json.loads, lines):
        pages = line["pages"]  # of a letter's file, their number
        own = pages if isinstance(pages, list) else [{"pages": pages}]
        results += [line | {"pages": len(own)} | page for page in own]
    return results


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    options = _options(arguments)
    record: dict[str, Any] = {"cpu": cpu_name(), "versions": versions(), "git_commit": git_commit()}
    with tempfile.TemporaryDirectory() as name:
        rng = np.random.default_rng(options.seed)
        record["ranks"] = killed_ranks(options.kills, Path(name), rng)
        record["workers"] = killed_workers(options.kills, Path(name))
    write_json(make_folder(options.out) / "kills.json", record)
    print(json.dumps({name: record[name] for name in ("ranks", "workers")}, indent=2))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser("python -m studies.kills", __doc__, EXAMPLES)
    p.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of kills.json")
    p.add_argument("--kills", type=whole_number(1), default=20, metavar="N", help="(default: 20)")
    p.add_argument("--seed", type=whole_number(0), default=0, help="of the ranks that are chosen")
    return p.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run(main))
