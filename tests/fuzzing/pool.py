"""Many cases in worker processes; one that crashes or hangs its worker is found out, too."""

import multiprocessing
import os
import tempfile
import time
import traceback
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from fuzzing import doors, place
from fuzzing.attempt import Attempts
from fuzzing.case import Case
from fuzzing.outcome import Outcome, problems
from lenet_xp.ops import BackendUnavailable, get_ops

PATIENCE = 60.0  # seconds for a case, on a machine that does other work besides
FAILED = "fuzzing failed"
RETIRED = 2000  # cases after which a worker makes room for a new one


@dataclass
class Finding:
    """A case, what came of it, and what was wrong with that."""

    number: int
    door: str
    outcome: Outcome
    problems: list[str]


class _Worker:
    """A process that runs the cases whose numbers it is sent."""

    def __init__(self, seed: int, only: list[str] | None):
        self.root = Path(tempfile.mkdtemp(prefix="lenet_xp-fuzz-"))
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, self.root, seed, only))
        self._process.start()
        other.close()
        self.number: int | None = None
        self.began, self.done = 0.0, 0

    def send(self, number: int) -> None:
        self.number, self.began = number, time.monotonic()
        self.done += 1
        self.pipe.send(number)

    def receive(self) -> Finding:
        """The finding of what it was sent, or what its end says of it."""
        number, self.number = self.number, None
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            words = f"the process died with status {self._process.exitcode}"
            return Finding(number, "unknown", Outcome(None), [words])

    def overdue(self) -> bool:
        return self.number is not None and time.monotonic() - self.began > PATIENCE

    def end(self) -> None:
        self._process.kill()  # the pipe's end would not reach it: later workers hold it open
        self._process.join()
        self.pipe.close()
        place.remove(self.root)


def _serve(pipe: Connection, root: Path, seed: int, only: list[str] | None) -> None:
    attempts = Attempts(root)
    while True:
        try:
            number = pipe.recv()
        except EOFError:
            os._exit(0)
        try:
            case = doors.make(seed, number, attempts.base, only)
            outcome = attempts.run(case)
            pipe.send(Finding(number, case.door, outcome, problems(case, outcome)))
        except (
            Exception
        ):  # of the fuzzing itself, such as a file that vanished while it was counted
            words = " ".join(traceback.format_exc().split())
            pipe.send(Finding(number, "unknown", Outcome(None), [f"{FAILED}: {words}"]))


def findings(
    numbers: range, seed: int, jobs: int, only: list[str] | None = None
) -> Generator[Finding, None, None]:
    """Run the cases of these numbers and yield the finding of each, as they end."""
    _look_for_cupy()
    waiting, again = iter(numbers), set[int]()
    workers = [_Worker(seed, only) for _ in range(jobs)]
    try:
        for worker in workers:
            _next(worker, waiting)
        while busy := {worker.pipe: worker for worker in workers if worker.number is not None}:
            ready = wait(list(busy), timeout=1.0)
            for pipe in ready:
                worker = busy[pipe]
                finding = worker.receive()
                dead = finding.outcome.status is None and finding.door == "unknown"
                if dead or worker.done >= RETIRED:
                    worker = _replaced(workers, worker, seed, only)
                if dead and FAILED in finding.problems[0] and finding.number not in again:
                    again.add(finding.number)  # once more, with the memory of a new worker
                    worker.send(finding.number)
                    continue
                _next(worker, waiting)
                yield finding
            for worker in [each for each in workers if each.overdue()]:
                number = worker.number
                worker = _replaced(workers, worker, seed, only)
                _next(worker, waiting)
                words = f"not over after {PATIENCE:.0f} s"
                yield Finding(number, "unknown", Outcome(None), [words])
    finally:
        for worker in workers:
            worker.end()


def _next(worker: _Worker, waiting: Iterator[int]) -> None:
    number = next(waiting, None)
    if number is not None:
        worker.send(number)


def _replaced(
    workers: list[_Worker], worker: _Worker, seed: int, only: list[str] | None
) -> _Worker:
    place_of = workers.index(worker)
    worker.end()
    workers[place_of] = _Worker(seed, only)
    return workers[place_of]


def _look_for_cupy() -> None:
    """Once, before there are workers: it starts programs to find libraries, and takes a second."""
    with suppress(BackendUnavailable):
        get_ops("cupy")


def outcomes(cases: list[Case]) -> list[Outcome]:
    """Some cases, one after another, in a worker of their own."""
    _look_for_cupy()
    context = multiprocessing.get_context("fork")
    pipe, other = context.Pipe()
    with tempfile.TemporaryDirectory(prefix="lenet_xp-fuzz-") as root:
        process = context.Process(target=_run_all, args=(other, Path(root), cases))
        process.start()
        other.close()
        found: list[Outcome] = []
        while len(found) < len(cases):
            if not pipe.poll(PATIENCE):
                found.append(Outcome(None, err=f"not over after {PATIENCE:.0f} s"))
                break
            try:
                found.append(pipe.recv())
            except EOFError:
                process.join()
                found.append(Outcome(process.exitcode, err="the process died"))
                break
        process.kill()
        process.join()
    return found


def _run_all(pipe: Connection, root: Path, cases: list[Case]) -> None:
    attempts = Attempts(root)
    for case in cases:
        pipe.send(attempts.run(case))


def refused_controls(base: Path) -> list[tuple[Case, Outcome]]:
    """Sound cases that were not taken; see `doors.controls`."""
    cases = doors.controls(base)
    return [
        (case, outcome)
        for case, outcome in zip(cases, outcomes(cases), strict=False)
        if outcome.status != 0 or problems(case, outcome)
    ]
