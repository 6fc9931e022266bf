"""Search options of the recipe `best` on training writers only, and record every run."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from lenet_xp.commands.terminal import (
    add_data_option,
    made_folder,
    parser,
    run,
    whole_number,
)
from lenet_xp.data.sources import load_dataset
from lenet_xp.errors import InputError
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import write_json, write_text
from lenet_xp.system.own_process import usable_cores
from lenet_xp.system.progress import LinesAndBar
from lenet_xp.system.text import text_table
from lenet_xp.training.plan import MAX_THREADS
from lenet_xp.training.recipes import BEST, MOST_EPOCHS, Recipe
from studies.cluster import add_cluster_option, trainings_on
from studies.search.design import OPTIONS
from studies.search.run import Row, is_row
from studies.search.run import search as searched

EXAMPLES = """\
  python -m studies.search --data amhcd_64.zip --out results/search
      the effect of each option on inner folds of writers
  python -m studies.search --data amhcd_64.zip --out results/search --workers 2
      two runs at a time; the same command resumes a search that was stopped"""


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser(
        "python -m studies.search",
        __doc__,
        EXAMPLES,
    )
    add_data_option(p, None)
    p.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the record")
    p.add_argument(
        "--epochs", type=whole_number(1, MOST_EPOCHS), metavar="N", help="instead of the recipe's"
    )
    p.add_argument("--seed", type=whole_number(0), default=0, help="of weights and batches")
    p.add_argument(
        "--workers",
        type=whole_number(1, MAX_THREADS),
        default=usable_cores(),
        metavar="N",
        help="runs at a time, of one core each (default: all cores that the process may use)",
    )
    add_cluster_option(p)
    p.add_argument("--json", action="store_true", help="print the outcome as JSON")
    return p.parse_args(arguments)


def search(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    options = _options(arguments)
    with made_folder(options.out):
        outcome = _searched(options)
    table = _table(outcome)
    write_text(options.out / "search.txt", table)
    from studies.plots.search import option_effects  # matplotlib is slow to import

    option_effects(outcome, options.out / "search.png")
    print(json.dumps(outcome, indent=2) + "\n" if options.json else table, end="")


def _searched(options: argparse.Namespace) -> dict[str, Any]:
    """The outcome; the record is written after every run."""
    file = options.out / "search.json"
    present = BEST.with_options(epochs=options.epochs)
    plan = {
        "data": Path(options.data).name,
        "present": present.to_dict(),
        "options": OPTIONS,
        "seed": options.seed,
    }
    known = _rows_of(file, plan)
    dataset = load_dataset(options.data, skip_bad=options.skip_bad, cache=options.cache)
    record = plan | {"device": cpu_name(), "versions": versions(), "git_commit": git_commit()}
    with trainings_on(options.cluster), _RunLines() as lines:

        def after_row(rows: list[Row], total: int) -> None:
            write_json(file, record | {"rows": rows})
            lines.row(rows, total)

        rows, outcome = searched(dataset, present, options.seed, options.workers, known, after_row)
    write_json(file, record | {"rows": rows, "outcome": outcome})
    return outcome


def _rows_of(file: Path, plan: dict[str, Any]) -> list[Row]:
    """The rows of a search that was stopped; InputError if it had other settings."""
    if not file.exists():
        return []
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        present = Recipe.from_dict(found["present"]).to_dict()  # older ones name other fields
        same = {name: found[name] for name in plan} | {"present": present} == json.loads(
            json.dumps(plan)
        )
        rows = [row for row in found["rows"] if is_row(row)]
        if len(rows) < len(found["rows"]):
            raise ValueError("rows of another shape")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: is no record of a search; choose another --out") from error
    if not same:
        raise InputError(f"{file}: holds a search of other settings; choose another --out")
    return rows


class _RunLines(LinesAndBar):
    """The progress of the search: a bar on a terminal, a line per run elsewhere."""

    def row(self, rows: list[Row], total: int) -> None:
        """Show one more run, the last of the rows."""
        done, row = len(rows), rows[-1]
        words = f"{', '.join(row['options']) or 'present'}: {row['accuracy']:.2%}"
        self.move("search", done, total, "runs", words, start=done - 1)
        if not self.live:
            self.say(f"run {done}/{total}  validating {row['validating']}  {words}")


def _table(outcome: dict[str, Any]) -> str:
    """Effects in hundredths of a percentage point: a line an option, a column an outer fold."""
    columns = [*outcome["folds"], outcome["all"]]
    rows = [
        (
            name,
            *(
                f"{1e4 * each['effects'][name]:+.1f}{'*' if name in each['options'] else ' '}"
                for each in columns
            ),
            "yes" if name in outcome["taken"] else "no",
        )
        for name in OPTIONS
    ]
    rows.append(("standard error", *(f"{1e4 * each['error']:.1f} " for each in columns), ""))
    header = ("option", *(f"blind to {each['fold']}" for each in outcome["folds"]), "all", "taken")
    return (
        "effect on validation accuracy in hundredths of a percentage point; * above 2 errors\n"
        + text_table(header, rows, left=(0,))
    )


if __name__ == "__main__":
    sys.exit(run(search))
