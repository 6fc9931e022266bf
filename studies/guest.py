"""Fit and read as a guest in a program with busy threads, a thousand times over, and count faults.

The host multiplies matrices, reads pictures and writes a log in threads of its own. At the same
time its main thread and one more fit a network and read 5,000 images, by turns. Counted are hangs,
fits and readings with other bits than alone, and lines of the log that did not arrive. The exit
status is 1 if there are any.
"""

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from lenet_xp.commands.terminal import parser, run, whole_number
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.system.progress import LinesAndBar

EXAMPLES = """\
  python -m studies.guest --rounds 20
      a first impression, in half a minute
  python -m studies.guest --rounds 1000 --out results/guest
      the record, a file for each version of Python"""

ROOT = Path(__file__).resolve().parent.parent
SILENCE = 120.0  # seconds: without a sign of life a host hangs

# A round is a fit and a reading of 5,000 images at once, one of them in the main thread.
HOST = """
import hashlib, json, logging, os, sys, threading, time
import numpy as np
import lenet_xp
from lenet_xp.letters.synthetic import generate
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.training.recipes import CLASSIC

first, last = int(sys.argv[1]), int(sys.argv[2])
pictures, labels = generate(10, seed=0)
images = np.ascontiguousarray(pictures[:, 16:48, 16:48])
many = np.tile(images, (16, 1, 1))[:5000]
recipe = CLASSIC.with_options(epochs=1, batch_size=36)  # BLAS sums it otherwise on more threads
reader = lenet_xp.load_model()

def digest(values):
    return hashlib.sha256(values.tobytes()).hexdigest()

def fit():
    model = lenet_xp.LeNet5(ops=get_ops("numpy"))
    part = images, labels
    lenet_xp.fit(model, recipe, part, part, Preprocessing(), threads=2)
    return digest(model.values)

def read():
    return digest(reader.saved.probabilities(many, threads=2))

def at_once(here, there):
    found = []
    thread = threading.Thread(target=lambda: found.append(there()))
    thread.start()
    first = here()
    thread.join()
    return first, found[0]

def multiply():
    a = np.ones((200, 200))
    while not over.is_set():
        a @ a
        time.sleep(0.01)

def look():
    other = lenet_xp.load_model()
    while not over.is_set():
        other.read_many(files)
        time.sleep(0.02)

def write():
    log, number = logging.getLogger("host"), 0
    while not over.is_set():
        log.warning("line %d", number)
        number += 1
        time.sleep(0.005)
    lines.append(number)

import cv2
files = [f"{number}.{kind}" for number in range(4) for kind in ("png", "jpg")]
for number, name in enumerate(files):
    cv2.imwrite(name, np.kron(pictures[number], np.ones((4, 4), np.uint8)))
expected, over, lines = (fit(), read()), threading.Event(), []
logging.basicConfig(format="%(message)s")
busy = [threading.Thread(target=each) for each in (multiply, look, write)]
for thread in busy:
    thread.start()
for number in range(first, last):
    found = at_once(fit, read) if number % 2 else at_once(read, fit)[::-1]
    other = [name for name, bits, own in zip(("fit", "read"), found, expected) if bits != own]
    print(json.dumps({"round": number, "other": other}), flush=True)
over.set()
for thread in busy:
    thread.join()
print(json.dumps({"lines": lines[0], "expected": expected}), flush=True)
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser("python -m studies.guest", __doc__, EXAMPLES)
    p.add_argument("--rounds", type=whole_number(1), default=100, help="fits and readings")
    p.add_argument("--out", type=Path, metavar="FOLDER", help="where to write the record")
    options = p.parse_args(arguments)
    record = _rounds(options)
    print(json.dumps(record["faults"]))
    if options.out:
        name = f"python-{sys.version_info.major}.{sys.version_info.minor}.json"
        write_json(make_folder(options.out) / name, record)
    if any(record["faults"].values()):
        sys.exit(1)


def _rounds(options: argparse.Namespace) -> dict[str, Any]:
    """Run all rounds; a host that hangs is killed, and another one goes on with the next round."""
    started, done, lines = time.monotonic(), 0, 0
    faults = {"hangs": 0, "other_bits": 0, "lost_lines": 0, "failed_hosts": 0}
    with tempfile.TemporaryDirectory() as folder, LinesAndBar() as bar:
        while done < options.rounds:
            log = Path(folder) / "log"
            with log.open("wb") as errors:
                host = _start(done, options.rounds, folder, errors)
                said = _said(host)
                while (line := _next(said)) is not None:
                    if "round" in line:
                        done = line["round"] + 1
                        faults["other_bits"] += len(line["other"])
                        bar.move("rounds", done, options.rounds, "rounds", "")
                    else:
                        arrived = log.read_text(encoding="utf-8").count("line ")
                        faults["lost_lines"] += line["lines"] - arrived
                        lines += line["lines"]
                if host.poll() is None:
                    host.kill()
                    faults["hangs"] += 1
                    done += 1
                elif host.wait():
                    faults["failed_hosts"] += 1
                    bar.say(log.read_text(encoding="utf-8")[-2000:])
                    done += 1
    return {
        "rounds": options.rounds,
        "faults": faults,
        "log_lines": lines,
        "seconds": time.monotonic() - started,
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "versions": versions(),
        "git_commit": git_commit(),
    }


def _start(first: int, last: int, folder: str, errors: Any) -> "subprocess.Popen[str]":
    # Two threads for the matrix library, whatever a command has set for itself
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "2"}
    return subprocess.Popen(
        [sys.executable, "-c", HOST, str(first), str(last)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )


def _said(host: "subprocess.Popen[str]") -> "queue.SimpleQueue[str | None]":
    """The lines that a host prints, and None at their end."""
    said: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def listen() -> None:
        for line in host.stdout or ():
            said.put(line)
        host.wait()
        said.put(None)

    threading.Thread(target=listen, daemon=True).start()
    return said


def _next(said: "queue.SimpleQueue[str | None]") -> dict[str, Any] | None:
    """What a host says next; None if it has ended or says nothing any more."""
    try:
        line = said.get(timeout=SILENCE)
    except queue.Empty:
        return None
    found: dict[str, Any] | None = json.loads(line) if line else None
    return found


if __name__ == "__main__":
    sys.exit(run(main))
