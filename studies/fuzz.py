"""Give every door of the package hostile input and see that none of it gets anywhere.

Image files, archives, arrays, models, checkpoints, records and command lines, each broken in its
own way, go through the commands in worker processes under watch. tests/fuzzing/ has the parts.
"""

import argparse
import os
import shlex
import sys
from contextlib import closing, suppress
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy: workers are forked
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from fuzzing import doors, place, pool  # noqa: E402
from fuzzing.case import Case  # noqa: E402
from fuzzing.judge import problems  # noqa: E402
from fuzzing.summary import Summary  # noqa: E402

from lenet_xp.commands.terminal import whole_number  # noqa: E402
from lenet_xp.system.files import make_folder, write_json, write_text  # noqa: E402
from lenet_xp.system.progress import progress_bar  # noqa: E402

EXAMPLES = """\
examples:
  python studies/fuzz.py --cases 1000
      a first impression, in well under a minute
  python studies/fuzz.py --cases 100000 --seed 0 --jobs 2 --out fuzz
      the long one, with a record of it in fuzz/
  python studies/fuzz.py --door zip --door npz --cases 5000 --seed 1
      two doors alone
  python studies/fuzz.py --repeat fuzz/case-00012345.json
      one case that failed, once more: what it is, and what comes of it"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Fuzz every door of the package; exit status 1 if anything got through.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cases", type=whole_number(1), default=1000, metavar="N")
    parser.add_argument("--seed", type=whole_number(0), default=0)
    parser.add_argument("--first", type=whole_number(0), default=0, help="number of the first case")
    parser.add_argument("--jobs", type=whole_number(1, 256), default=2, help="worker processes")
    parser.add_argument("--door", action="append", choices=sorted(doors.DOORS), help="this alone")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), help="for record and failures")
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="run the case kept there")
    options = parser.parse_args()
    return _repeat(options.repeat) if options.repeat else _fuzz(options)


def _fuzz(options: argparse.Namespace) -> int:
    out, summary = make_folder(options.out), Summary(options.seed)
    command = shlex.join(["python", "studies/fuzz.py", *sys.argv[1:]])
    numbers = range(options.first, options.first + options.cases)
    base = place.build(out / "scratch")
    if refused := pool.refused_controls(base):
        for case, outcome in refused:
            what = outcome.err[-300:] or "; ".join(problems(case, outcome))
            print(f"{case.command} {case.arguments}: sound, but {what}", file=sys.stderr)
        place.remove(out / "scratch")
        return 1
    with (
        suppress(KeyboardInterrupt),  # the record then says how many there were
        closing(pool.findings(numbers, options.seed, options.jobs, options.door)) as found,
        progress_bar(options.cases, "fuzzing", sys.stderr.isatty()) as advance,
    ):
        for finding in found:
            summary.add(finding)
            advance(1)
            if not sys.stderr.isatty() and summary.cases % 5000 == 0:
                print(f"{summary.cases:,} cases, {len(summary.failed)} failed", file=sys.stderr)
            if finding.problems:
                _keep(options, finding, base, out)
    place.remove(out / "scratch")
    write_json(out / "fuzz.json", summary.record(command))
    write_text(out / "fuzz.txt", "\n".join(summary.lines()) + "\n")
    print("\n".join(summary.lines()))
    return 1 if summary.failed else 0


def _keep(options: argparse.Namespace, finding: pool.Finding, base: Path, out: Path) -> None:
    case = doors.make(options.seed, finding.number, base, options.door)
    path = out / f"case-{finding.number:08d}.json"
    write_text(path, case.to_json())
    what = "; ".join(finding.problems)[:300]
    print(f"case {finding.number}, {case.door} ({case.change[:100]!r}): {what}", file=sys.stderr)
    print(f"  python studies/fuzz.py --repeat {path}", file=sys.stderr)


def _repeat(path: Path) -> int:
    case = Case.from_json(path.read_text())
    (outcome,) = pool.outcomes([case])
    found = problems(case, outcome)
    print(f"{case.door}: {case.change!r}")
    print(f"lenet-xp {case.command} {shlex.join(case.arguments)!r}")
    print(f"status {outcome.status}, {outcome.seconds:.2f} s, {outcome.memory / 1e6:,.0f} MB")
    print(f"standard output: {outcome.out[:1000]!r}\nstandard error: {outcome.err[-4000:]}")
    print("problems: " + ("; ".join(found) or "none"))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
