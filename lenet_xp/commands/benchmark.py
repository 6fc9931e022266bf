"""Measure speed against PyTorch, ONNX Runtime and the textbook version, in one run."""

import argparse
import sys
import tempfile
from pathlib import Path

from lenet_xp.commands.terminal import parser, whole_number
from lenet_xp.errors import InputError
from lenet_xp.files import make_folder, write_json, write_text

EXAMPLES = """\
  lenet-xp benchmark --quick
      under a minute, printed only
  pip install torch onnx onnxruntime && lenet-xp benchmark --out results/benchmarks
      everything, with table, JSON and picture
  lenet-xp benchmark --command-data amhcd_64.zip
      also time and memory of a whole training command on that data"""


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser(
        "benchmark",
        "Measure training and inference on the CPU against peers, interleaved.",
        EXAMPLES,
    )
    p.add_argument("--quick", action="store_true", help="few batch sizes and turns, under 60 s")
    p.add_argument("--threads", type=whole_number(1), metavar="N", help="default: all cores")
    p.add_argument("--out", type=Path, metavar="FOLDER", help="write table, JSON and picture there")
    p.add_argument(
        "--command-data",
        metavar="SOURCE",
        default="synthetic",
        help="data of the whole training command whose time and memory are taken",
    )
    return p.parse_args(arguments)


def benchmark(arguments: list[str] | None = None) -> None:
    """The command: see --help."""
    options = _options(arguments)
    from lenet_xp.benchmark.cpu import run_benchmark
    from lenet_xp.benchmark.memory import measure_command
    from lenet_xp.benchmark.table import draw, text_table
    from lenet_xp.parallel import usable_cores

    if options.out:
        make_folder(options.out)
    commands = []
    if not options.quick:
        commands.append(measure_command(_training_command(options.command_data)))
        if commands[0]["exit_status"]:
            raise InputError(
                f"--command-data {options.command_data}: training on it failed; "
                "see why with lenet-xp train --data"
            )
    record = run_benchmark(
        options.threads or usable_cores(),
        train_batches=(64,) if options.quick else (1, 16, 64, 256, 512),
        read_batches=(1, 256) if options.quick else (1, 16, 64, 256, 512),
        turns=6 if options.quick else 20,
        seconds=0.15 if options.quick else 0.25,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    record["commands"] = commands
    print(text_table(record), end="")
    if options.out:
        write_json(options.out / "cpu.json", record)
        write_text(options.out / "cpu.txt", text_table(record))
        draw(record, options.out / "cpu.png")


def _training_command(data: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "run")
    options = ["--data", data, "--recipe", "classic", "--no-cache", "--out", out]
    return ["-m", "lenet_xp", "train", *options]
