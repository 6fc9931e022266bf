"""Make the model that learned from generated letters alone, its record and its card.

Trains the recipe `distilled` on letters, print and pages that the package draws (about an hour on
2 cores). The model sees nothing of AMHCD; then it reads all of it. Writes
lenet_xp/models/generated.npz, generated.json beside it and docs/generated_model_card.md.
"""

import csv
import hashlib
import json
import shlex
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from lenet_xp.commands.evaluate import evaluate
from lenet_xp.commands.terminal import parser, path, run
from lenet_xp.commands.train import train
from lenet_xp.errors import InputError
from lenet_xp.model_file import MODELS
from lenet_xp.system.files import atomic_write, write_json, write_text

EXAMPLES = """\
  python -m studies.make_generated --amhcd amhcd_64.zip
      train, read AMHCD, write model, record and card
  python -m studies.make_generated --amhcd amhcd_64.zip --run runs/generated
      take a finished run of the same setting instead
  python -m studies.make_generated
      the card alone"""

ROOT = Path(__file__).resolve().parent.parent
MODEL = MODELS["generated"]
RECORD, CARD = MODEL.with_suffix(".json"), ROOT / "docs" / "generated_model_card.md"
SETTING = ["--data", "synthetic", "--samples", "800", "--recipe", "distilled", "--photos", "1"]
SETTING += ["--beside", "print:400", "--outliers", "5000", "--seed", "0"]
MADE_WITH = {"data": "synthetic", "samples_per_class": 800, "photos": 1, "outliers": 5000}
TEXT = Path(__file__).parent / "report" / "generated_model_card.md"


def _keep(folder: Path, amhcd: str) -> None:
    """Copy a run's model into the package and write its record."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    if metrics["recipe"] != "distilled" or not MADE_WITH.items() <= metrics["config"].items():
        raise InputError(f"{folder}: is a run of another setting than {shlex.join(SETTING)}")
    content = (folder / "model.npz").read_bytes()
    with atomic_write(MODEL) as file:
        file.write(content)
    with tempfile.TemporaryDirectory() as scores:
        evaluate([str(MODEL), "--data", amhcd, "--part", "all", "--out", scores])
        read = json.loads((Path(scores) / "scores.json").read_text(encoding="utf-8"))
        with (Path(scores) / "per_writer.csv").open(encoding="utf-8", newline="") as table:
            rows = [row for row in csv.DictReader(table) if int(row["writer"]) % 2]
        read["odd_writers"] = statistics.mean(float(row["accuracy"]) for row in rows)
    about = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    record = {
        "model": {"file": MODEL.name, **about},
        "data": {"name": "generated letters and print", "terms": "MIT, as this package"},
        "command": f"lenet-xp train {shlex.join(SETTING)}",
        "metrics": metrics,
        "amhcd": read,
    }
    write_json(RECORD, record)


def card(record: dict[str, Any]) -> str:
    """Return the card in Markdown."""
    metrics, read = record["metrics"], record["amhcd"]
    names = ("python", "numpy", "opencv-python-headless")
    low, high = read["accuracy_interval"]
    given = {
        **record["model"],
        **{name: metrics[name] for name in ("n_train", "n_test", "parameters", "temperature")},
        **{"record": RECORD.name, "command": record["command"], "threshold": metrics["threshold"]},
        "versions": ", ".join(f"{n} {v}" for n, v in metrics["versions"].items() if n in names),
        "commit": metrics["git_commit"][:12],
        **{"test": metrics["test_accuracy"], "images": read["images"], "amhcd": read["accuracy"]},
        **{"low": low, "high": high, "worst": read["worst_writer_accuracy"]},
        "odd": read["odd_writers"],
    }
    return TEXT.read_text(encoding="utf-8").format(**given)


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser("python -m studies.make_generated", __doc__, EXAMPLES)
    p.add_argument("--amhcd", metavar="FILE", help="the AMHCD zip or folder to read")
    p.add_argument("--run", type=path, metavar="FOLDER", help="a finished run of that setting")
    options = p.parse_args(arguments)
    if options.run and options.amhcd:
        _keep(options.run, options.amhcd)
    elif options.amhcd:
        with tempfile.TemporaryDirectory() as folder:
            train([*SETTING, "--out", f"{folder}/run"])
            _keep(Path(folder) / "run", options.amhcd)
    elif options.run:
        p.error("--run needs --amhcd")
    write_text(CARD, card(json.loads(RECORD.read_text(encoding="utf-8"))))
    print(f"{MODEL.relative_to(ROOT)}, {RECORD.name}, {CARD.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(run(main))
