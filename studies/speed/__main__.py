"""Measure speed beside PyTorch, ONNX Runtime and the textbook version, on a CPU or a GPU."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from lenet_xp.commands.terminal import parser, run, whole_number
from lenet_xp.errors import InputError
from lenet_xp.system.files import make_folder, write_json, write_text

EXAMPLES = """\
  python -m studies.speed --quick
      under a minute, printed only
  pip install torch jax onnx onnxruntime && python -m studies.speed --out results/benchmarks
      everything, with table, JSON and picture
  python -m studies.speed --command-data amhcd_64.zip
      time and memory of a whole training command on that data as well
  python -m studies.speed --gpu --command-data amhcd_64.zip --out results/benchmarks
      on a CUDA GPU, beside PyTorch on it, and the time until 97.13 % of AMHCD are read"""

RACE_SECONDS = 120  # time limit of the race in a process of its own


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser(
        "python -m studies.speed",
        __doc__,
        EXAMPLES,
    )
    p.add_argument("--quick", action="store_true", help="few batch sizes and turns, under 60 s")
    p.add_argument("--gpu", action="store_true", help="on the CUDA GPU instead of the CPU")
    p.add_argument("--threads", type=whole_number(1), metavar="N", help="default: all cores")
    p.add_argument("--out", type=Path, metavar="FOLDER", help="write table, JSON and picture there")
    p.add_argument(
        "--command-data",
        metavar="SOURCE",
        default="synthetic",
        help="data of the whole training command that is measured; with --gpu, the AMHCD "
        "archive to train on there",
    )
    return p.parse_args(arguments)


def benchmark(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    options = _options(arguments)
    if options.out:
        make_folder(options.out)
    lines: list[str] = []

    def log(text: str) -> None:
        print(text, file=sys.stderr, flush=True)
        lines.append(text)
        if options.gpu and options.out:
            write_text(options.out / "gpu.log", "\n".join(lines) + "\n")

    (_on_gpu if options.gpu else _on_cpu)(options, log)


def _on_gpu(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from lenet_xp.ops import get_ops
    from studies.speed import gpu_amhcd
    from studies.speed.gpu_speed import run_gpu_benchmark
    from studies.speed.gpu_table import amhcd_lines, gpu_table

    record = run_gpu_benchmark(
        (64, 1024) if options.quick else (64, 256, 1024, 4096),
        turns=6 if options.quick else 20,
        seconds=0.05 if options.quick else 0.25,
        log=log,
        compiled=not options.quick,
    )
    if options.command_data != "synthetic":
        found = gpu_amhcd.measure(options.command_data, get_ops("cupy"))
        found["cold"] = gpu_amhcd.cold_race(options.command_data, RACE_SECONDS)
        record["amhcd"] = found
        for line in amhcd_lines(found):
            log(line)
    print(gpu_table(record), end="")
    if options.out:
        write_json(options.out / "gpu.json", record)
        write_text(options.out / "gpu.txt", gpu_table(record))


def _on_cpu(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from lenet_xp.system.own_process import usable_cores
    from studies.speed.cpu import run_benchmark
    from studies.speed.memory import measure_command
    from studies.speed.table import draw, text_table

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
        log=log,
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


if __name__ == "__main__":
    sys.exit(run(benchmark))
