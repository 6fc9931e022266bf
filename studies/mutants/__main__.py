"""Put small faults into the package, one at a time, and count those that no test notices.

Only the tests of a fault's room run, on a copy of the tree. Each outcome is written at once, and
the same command goes on where one was stopped; survivors are tried again when the tests have
changed. Why a fault changes nothing that a test could notice stands in OUT/reasons.json.
"""

import argparse
import hashlib
import queue
import sys
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path

from lenet_xp.commands.terminal import parser, run, whole_number
from lenet_xp.errors import InputError
from lenet_xp.system.environment import git_commit, versions
from lenet_xp.system.files import make_folder, write_json, write_text
from studies.mutants.record import Log, Reasons, as_text, summary
from studies.mutants.rooms import DEFAULT, ROOMS, Mutant, mutants, sample
from studies.mutants.trial import SURVIVED, Outcome, Tree, copy_of

Tests = tuple[str, ...]
TESTS = "tests/*.py"  # what the tests of all rooms share
PATIENCE = 3600  # seconds: for the tests without a fault
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = """\
  python -m studies.mutants --count 200 --seed 7 --out results/mutants
      200 faults of all rooms, with the record in results/mutants
  python -m studies.mutants --room data --room pages --count 20 --seed 1
      a few of two rooms
  python -m studies.mutants --file lenet_xp/data/splits.py --count 1000
      all faults of one file"""


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    check(options(arguments), ROOT)


def options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser("python -m studies.mutants", __doc__, EXAMPLES)
    p.add_argument("--count", type=whole_number(1), default=60, metavar="N", help="(default: 60)")
    p.add_argument("--seed", type=whole_number(0), default=0, help="of the sample (default: 0)")
    p.add_argument(
        "--room", action="append", choices=ROOMS, help=f"repeatable; default: {', '.join(DEFAULT)}"
    )
    p.add_argument("--file", action="append", metavar="PATH", help="only this source; repeatable")
    p.add_argument("--jobs", type=whole_number(1, 64), default=2, help="at a time (default: 2)")
    p.add_argument(
        "--limit",
        type=whole_number(1),
        default=120,
        metavar="SECONDS",
        help="of a mutant's tests, or three times their time without a fault if that is more",
    )
    p.add_argument("--out", type=Path, default=Path("mutants"), help="for the record")
    return p.parse_args(arguments)


def check(given: argparse.Namespace, root: Path) -> None:
    """Try the sample of mutants that is not known yet; write the record of those that are."""
    found = mutants(root, given.room or DEFAULT, given.file or ())
    chosen = sample(root, found, given.count, given.seed)
    out = make_folder(given.out)
    log, reasons = Log(out / "mutants.jsonl"), Reasons(out / "reasons.json")
    digests = {each.tests: digest(root, TESTS, *each.tests) for each in chosen}
    try:
        unknown = [each for each in chosen if not log.known(each, digests[each.tests])]
        _try(unknown, digests, log, reasons, given.limit, given.jobs, root)
    finally:
        lines = [line for each in chosen if (line := log.known(each, digests[each.tests]))]
        record = {"seed": given.seed, "count": given.count, "possible": len(found)}
        record |= {"versions": versions(), "git_commit": git_commit(), **summary(lines, reasons)}
        write_json(out / "mutants.json", record)
        write_text(out / "mutants.txt", as_text(record))
    print(as_text(record), end="")


def digest(root: Path, *patterns: str) -> str:
    """A digest of all files of the tree that fit one of the patterns."""
    hashed = hashlib.blake2b(digest_size=12)
    for path in sorted({path for pattern in patterns for path in root.glob(pattern)}):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()


def _try(
    unknown: list[Mutant],
    digests: dict[Tests, str],
    log: Log,
    reasons: Reasons,
    limit: int,
    jobs: int,
    root: Path,
) -> None:
    """Judge mutants, each as soon as a copy of the tree is free, and log what became of them."""
    with ExitStack() as stack:
        trees = [stack.enter_context(copy_of(root)) for _ in range(min(jobs, len(unknown)))]
        limits = {tests: float(limit) for tests in {each.tests for each in unknown}}
        for tests in limits:
            sound = sum(_sound(trees[0], test, log) for test in tests)
            limits[tests] = max(3 * sound, limit)
        free: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        for tree in trees:
            free.put(tree)

        def judged(mutant: Mutant) -> Outcome:
            tree = free.get()
            try:
                return tree.judge(mutant, limits[mutant.tests])
            finally:
                free.put(tree)

        pool = ThreadPoolExecutor(max(len(trees), 1))
        try:
            running: dict[Future[Outcome], Mutant] = {pool.submit(judged, e): e for e in unknown}
            for number, ended in enumerate(as_completed(running), 1):
                mutant, outcome = running[ended], ended.result()
                line = log.add(mutant, digests[mutant.tests], outcome)
                said = f"{number}/{len(unknown)} {outcome.seconds:5.1f} s {outcome.status:9} "
                said += f"{line['place']}: {mutant.after}"
                if outcome.status == SURVIVED:
                    said += f"\n    before: {mutant.before}\n    {reasons.of(line) or 'no reason'}"
                print(said, file=sys.stderr, flush=True)
        finally:  # Ctrl-C too: nothing begins, and what runs is ended
            pool.shutdown(wait=False, cancel_futures=True)
            for tree in trees:
                tree.stop()
            pool.shutdown()


def _sound(tree: Tree, test: str, log: Log) -> float:
    """The seconds that a test file takes without a fault; it must pass, or it would kill all."""
    name = digest(tree.root, "lenet_xp/**/*.py", TESTS, test)
    if name not in log.lines:
        outcome = tree.test([test], PATIENCE)
        print(f"{outcome.seconds:5.1f} s without a fault: {test}", file=sys.stderr, flush=True)
        if outcome.status != SURVIVED:
            raise InputError(f"{outcome.by or test}: fails without a fault; mend it first")
        log.add_sound(name, test, outcome.seconds)
    return float(log.lines[name]["seconds"])


if __name__ == "__main__":
    sys.exit(run(main))
