"""Make the model that comes with the package, its record and its card.

Trains the recipe `distilled` on AMHCD without the writers of fold 0, on each letter as it is and as
it is cut out of a drawn page, and beside them on generated print, hands and what is no letter (an
hour on 2 cores). Writes lenet_xp/models/letters.npz, letters.json beside it and
docs/model_card.md.
"""

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path

from lenet_xp.commands.terminal import parser, run
from lenet_xp.commands.train import train
from lenet_xp.errors import InputError
from lenet_xp.model_file import SHIPPED
from lenet_xp.system.files import atomic_write, write_json, write_text
from studies.report.card import model_record, render_card
from studies.report.records import Records

EXAMPLES = """\
  python -m studies.make_model --amhcd amhcd_64.zip
      train and write model, record and card
  python -m studies.make_model --run runs/shipped
      take a finished run of the same setting instead
  python -m studies.make_model
      the card alone, after a change of its text or of results/"""

ROOT = Path(__file__).resolve().parent.parent
SETTING = ["--recipe", "distilled", "--photos", "1", "--beside", "print:400", "synthetic:300"]
SETTING += ["--outliers", "5000", "--split", "writer", "--fold", "0", "--seed", "0"]
MADE_WITH = {"photos": 1, "beside": ["print:400", "synthetic:300"], "outliers": 5000}
CARD, RECORD = ROOT / "docs" / "model_card.md", SHIPPED.with_suffix(".json")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser("python -m studies.make_model", __doc__, EXAMPLES)
    source = p.add_mutually_exclusive_group()
    source.add_argument("--amhcd", metavar="FILE", help="the AMHCD zip or folder to train on")
    source.add_argument("--run", type=Path, metavar="FOLDER", help="a finished run of that setting")
    return p.parse_args(arguments)


def _keep(run_folder: Path) -> None:
    """Copy a run's model into the package and write its record."""
    model, metrics = run_folder / "model.npz", run_folder / "metrics.json"
    if not (model.is_file() and metrics.is_file()):
        raise InputError(f"{run_folder}: no finished run is there")
    found = json.loads(metrics.read_text(encoding="utf-8"))
    setting = [found.get(name) for name in ("recipe", "split", "fold", "seed", "config")]
    if setting[:4] != ["distilled", "writer", 0, 0] or not MADE_WITH.items() <= setting[4].items():
        raise InputError(f"{run_folder}: is a run of another setting than {shlex.join(SETTING)}")
    with atomic_write(SHIPPED) as file:
        file.write(model.read_bytes())
    command = f"lenet-xp train --data {found['config']['data']} {shlex.join(SETTING)}"
    write_json(RECORD, model_record(SHIPPED, run_folder, command))


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    options = _options(arguments)
    if options.amhcd:
        with tempfile.TemporaryDirectory() as folder:
            train(["--data", options.amhcd, *SETTING, "--out", f"{folder}/run"])
            _keep(Path(folder) / "run")
    elif options.run:
        _keep(options.run)
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    write_text(CARD, render_card(record, Records(ROOT / "results")))
    print(f"{SHIPPED.relative_to(ROOT)}, {RECORD.name}, {CARD.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(run(main))
