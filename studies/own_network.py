"""Run the ten lines of docs/own-network.md on MNIST, and keep what they give in results/.

The lines are taken from the page itself. The weights of the best of 20 epochs on validation are
kept; the test images are scored once, by the last line. Takes a few minutes on two cores.
"""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.commands.terminal import parser, run
from lenet_xp.errors import InputError
from lenet_xp.inference import worker_count
from lenet_xp.ops import get_ops
from lenet_xp.scores.intervals import wilson_interval
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import make_folder, write_json

PAGE = Path(__file__).resolve().parents[1] / "docs" / "own-network.md"
EXAMPLES = """\
  python -m studies.own_network --data mnist.npz
      mnist.json in results/own-network"""


def example() -> str:
    """The page's block that reads mnist.npz."""
    text = PAGE.read_text(encoding="utf-8")
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if "mnist.npz" in block)


def main(arguments: list[str] | None = None) -> None:
    """Run the command; see --help."""
    p = parser("python -m studies.own_network", __doc__, EXAMPLES)
    p.add_argument("--data", type=Path, default=Path("mnist.npz"), help="MNIST in Keras' layout")
    p.add_argument("--out", type=Path, default=Path("results/own-network"), help="for the record")
    options = p.parse_args(arguments)
    if not options.data.is_file():
        raise InputError(f"{options.data}: no such file; give MNIST's .npz file with --data")
    code = example()
    *lines, score = code.replace("mnist.npz", options.data.as_posix()).strip().splitlines()
    names: dict[str, Any] = {}
    exec("\n".join(lines), names)
    reader, mnist = names["reader"], names["mnist"]
    expression = score.removeprefix("print(").removesuffix(")")
    accuracy = float(eval(expression, names))
    count = len(mnist["y_test"])
    best = max(reader.history_, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
    record = {
        "code": code,
        "accuracy": accuracy,
        "accuracy_interval": wilson_interval(round(accuracy * count), count),
        "n_test": count,
        "parameters": int(np.size(reader.values_)),
        "best_epoch": best["epoch"],
        "best_val_accuracy": best["val_accuracy"],
        "history": reader.history_,
        "network": reader.network_,
        "threads": worker_count(get_ops("numpy"), None),
        "cpu": cpu_name(),
        "versions": versions(),
        "git_commit": git_commit(),
    }
    write_json(make_folder(options.out) / "mnist.json", record)
    print(f"{accuracy:.2%} of {count:,} test images with {record['parameters']:,} parameters")


if __name__ == "__main__":
    sys.exit(run(main))
