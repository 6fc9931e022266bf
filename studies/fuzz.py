"""Give hostile input to every door of the package and check that each refuses it.

Broken image files, archives, arrays, models, checkpoints, records and command lines go through the
commands in worker processes under watch. tests/fuzzing/ has the parts. The exit status is 1 if
anything got through. Ctrl-C ends the cases early; the record then has those that were over.
"""

import argparse
import os
import shlex
import sys
from contextlib import closing
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy: workers are forked
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from fuzzing import doors, place, pool  # noqa: E402
from fuzzing.case import Case  # noqa: E402
from fuzzing.outcome import problems  # noqa: E402
from fuzzing.summary import Summary  # noqa: E402

from lenet_xp.commands.terminal import parser, run, whole_number  # noqa: E402
from lenet_xp.errors import InputError  # noqa: E402
from lenet_xp.system.files import make_folder, write_json, write_text  # noqa: E402
from lenet_xp.system.progress import progress_bar  # noqa: E402

EXAMPLES = """\
  python -m studies.fuzz --cases 1000
      a first impression, in less than a minute
  python -m studies.fuzz --cases 100000 --seed 0 --jobs 2 --out fuzz
      the long run, with its record in fuzz/
  python -m studies.fuzz --door zip --door npz --cases 5000 --seed 1
      two doors alone
  python -m studies.fuzz --repeat fuzz/case-00012345.json
      one failed case once more: what it is, and its outcome"""


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser("python -m studies.fuzz", __doc__, EXAMPLES)
    p.add_argument("--cases", type=whole_number(1), default=1000, metavar="N", help="how many")
    p.add_argument("--seed", type=whole_number(0), default=0, help="of the cases (default: 0)")
    p.add_argument("--first", type=whole_number(0), default=0, help="number of the first case")
    p.add_argument("--jobs", type=whole_number(1, 256), default=2, help="worker processes")
    p.add_argument("--door", action="append", choices=sorted(doors.DOORS), help="only this one")
    p.add_argument("--out", type=Path, default=Path("fuzz"), help="for record and failed cases")
    p.add_argument("--repeat", type=Path, metavar="FILE", help="run the case in this file again")
    options = p.parse_args(arguments)
    if _repeat(options.repeat) if options.repeat else _fuzz(options):
        sys.exit(1)


def _fuzz(options: argparse.Namespace) -> bool:
    """Run the cases and write their record; whether any failed."""
    out, summary = make_folder(options.out), Summary(options.seed)
    command = shlex.join(["python", "-m", "studies.fuzz", *sys.argv[1:]])
    base = place.build(out / "scratch")
    if refused := pool.refused_controls(base):
        for case, outcome in refused:
            what = outcome.err[-300:] or "; ".join(problems(case, outcome))
            print(f"{case.command} {case.arguments}: sound, but {what}", file=sys.stderr)
        place.remove(out / "scratch")
        return True
    stopped = None
    try:
        _run_cases(options, summary, base, out)
    except KeyboardInterrupt as error:
        stopped = error
    place.remove(out / "scratch")
    write_json(out / "fuzz.json", summary.record(command))
    write_text(out / "fuzz.txt", "\n".join(summary.lines()) + "\n")
    print("\n".join(summary.lines()))
    if stopped:
        raise stopped
    return bool(summary.failed)


def _run_cases(options: argparse.Namespace, summary: Summary, base: Path, out: Path) -> None:
    """Add each case's finding to the summary; keep the cases that failed in `out`."""
    numbers = range(options.first, options.first + options.cases)
    live = sys.stderr.isatty()
    with (
        closing(pool.findings(numbers, options.seed, options.jobs, options.door)) as found,
        progress_bar(options.cases, "fuzzing", live) as advance,
    ):
        for finding in found:
            summary.add(finding)
            advance(1)
            if not live and summary.cases % 5000 == 0:
                print(f"{summary.cases:,} cases, {len(summary.failed)} failed", file=sys.stderr)
            if finding.problems:
                _keep(options, finding, base, out)


def _keep(options: argparse.Namespace, finding: pool.Finding, base: Path, out: Path) -> None:
    case = doors.make(options.seed, finding.number, base, options.door)
    path = out / f"case-{finding.number:08d}.json"
    write_text(path, case.to_json())
    what = "; ".join(finding.problems)[:300]
    print(f"case {finding.number}, {case.door} ({case.change[:100]!r}): {what}", file=sys.stderr)
    print(f"  python -m studies.fuzz --repeat {path}", file=sys.stderr)


def _repeat(path: Path) -> bool:
    """Run one case and print its outcome; whether it failed."""
    try:
        case = Case.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path}: is no case of a fuzz run") from error
    (outcome,) = pool.outcomes([case])
    found = problems(case, outcome)
    print(f"{case.door}: {case.change!r}")
    print(f"lenet-xp {case.command} {shlex.join(case.arguments)!r}")
    print(f"status {outcome.status}, {outcome.seconds:.2f} s, {outcome.memory / 1e6:,.0f} MB")
    print(f"standard output: {outcome.out[:1000]!r}\nstandard error: {outcome.err[-4000:]}")
    print("problems: " + ("; ".join(found) or "none"))
    return bool(found)


if __name__ == "__main__":
    sys.exit(run(main))
