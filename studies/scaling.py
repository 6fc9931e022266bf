"""Measure how training grows: with the images of an epoch, the batch, and the ranks of MPI.

Each measurement is a whole `lenet-xp train` in processes of its own, so that its peak of memory is
that of the command. Run it alone on the machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lenet_xp.commands.terminal import parser, run, whole_number
from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letters
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.system.own_process import usable_cores

STREAMED = 31, 303, 3_031, 30_304, 90_910  # letters of each class: 1k, 10k, 100k, 1M, 3M images
BATCHES = 1, 16, 64, 256, 1024, 4096  # images
SAMPLES = 400  # letters of each class, for the batches
ENOUGH = 300  # letters of each class at batch 1, which takes long
MIB = 2**20
EXAMPLES = """\
  python -m studies.scaling --out results/scaling
      everything; half an hour on 2 cores, most of it for 3 million letters
  python -m studies.scaling --out results/scaling --only batches --repeat 3
      the batches alone, the rest of the record stays"""


def measured(arguments: list[str], ranks: int | None = None) -> dict[str, Any]:
    """Run a training; its seconds, its images a second, and the peak memory of its largest process.

    InputError where it fails.
    """
    starter = [] if ranks is None else ["mpiexec", "-n", str(ranks)]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [*starter, sys.executable, "-m", "lenet_xp", "train", *arguments]
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--no-plots", "--out", str(out)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        if status:
            raise InputError(f"{' '.join(command)}: failed; run it to see why")
        record = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    return {
        "images": record["n_train"],
        "seconds": seconds,
        "epoch_seconds": record["train_seconds"],
        "images_per_second": record["images_per_second"],
        "peak_mib": used.ru_maxrss * 1024 / MIB,
    }


def epochs() -> list[dict[str, Any]]:
    """An epoch over ever more generated letters."""
    rows = []
    for samples in STREAMED:
        how = ["--stream", "--samples", str(samples), "--recipe", "best", "--epochs", "1"]
        rows.append(measured(how))
        _tell(f"{rows[-1]['images']:,} images", rows[-1])
    return rows


def batches(repeat: int) -> list[dict[str, Any]]:
    """Each batch size on plain workers and on ranks, in turns; the best of each counts."""
    cores, rows = usable_cores(), []
    ways: dict[str, tuple[list[str], int | None]] = {
        "1 worker": (["--threads", "1"], None),
        f"{cores} workers": (["--threads", str(cores)], None),
        "1 rank": ([], 1),
        f"{cores} ranks": ([], cores),
    }
    for batch in BATCHES:
        how = ["--recipe", "best", "--epochs", "1", "--batch-size", str(batch)]
        how += ["--samples", str(SAMPLES if batch > 1 else ENOUGH)]
        turns = [{n: measured(how + own, k) for n, (own, k) in ways.items()} for _ in range(repeat)]
        for name in ways:
            best = max(
                (turn[name] for turn in turns), key=lambda row: float(row["images_per_second"])
            )
            rows.append({"batch": batch, "way": name, **best})
            _tell(f"batch {batch}, {name}", best)
    return rows


def _tell(what: str, row: dict[str, Any]) -> None:
    print(
        f"{what}: {row['epoch_seconds']:.1f} s, {row['images_per_second']:,.0f} images/s, "
        f"{row['peak_mib']:,.0f} MiB",
        flush=True,
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    options = _options(arguments)
    file = make_folder(options.out) / "scaling.json"
    record = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for name in options.only:
        rows = epochs() if name == "epochs" else batches(options.repeat)
        about = {"cpu": cpu_name(), "cores": usable_cores(), "letters": len(letters())}
        about |= {"versions": versions(), "git_commit": git_commit()}
        record[name] = {"rows": rows} | about
        write_json(file, record)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser("python -m studies.scaling", __doc__, EXAMPLES)
    p.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of scaling.json")
    p.add_argument(
        "--only",
        nargs="+",
        choices=("epochs", "batches"),
        default=["epochs", "batches"],
        help="measure these alone",
    )
    p.add_argument(
        "--repeat", type=whole_number(1), default=3, metavar="N", help="of batches (default: 3)"
    )
    return p.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run(main))
