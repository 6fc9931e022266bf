"""The outcome of a case, and its problems.

A command may refuse hostile input in one line, or accept it and leave a result. Everything else is
a problem: a traceback, a crash, another exit status, files outside of OUT, half a file, foreign
code run, more than a gigabyte of memory, control characters on a terminal.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from fuzzing.case import Case

MAX_MEMORY = 10**9  # bytes
MAX_LINE = 4000  # characters of an error
# Lines that may precede an error on standard error: progress, and warnings by design.
DESIGNED = re.compile(
    r".*: [\d,]+ images$|.* parameters; .*|epoch +\d+/\d+ .*|skipped .*|split .*|"
    r"left out .*|no ink in .*|none of the .* holds ink|colours are read as grey levels.*|"
    r"few images: .*|.* read right by a network without them|the model knows .* classes; .*|"
    r"only the first page is read .*|not scored: .*|class .* has no test image|"
    r"(searching|reading) .* \.\.\.|"
    r"going on after step .*|checkpoint .* is damaged \(.*\); falling back to the one before|"
    r"WARNING: (running on NumPy|validation accuracy fell|training goes on|the training ran away|"
    r"hardly anything was learned|not all pictures could be drawn).*|"
    r"WARNING: .* has learned from images .*|--beside .*; left out|"
    r"AMHCD from https://.*|It is free .*|.* academic .*"
)
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


@dataclass
class Outcome:
    """The outcome of a case.

    status: exit status, None if the process died. files: new ones in its folder. escaped: new ones
    elsewhere. memory: peak of the process in bytes.
    """

    status: int | None
    out: str = ""
    err: str = ""
    files: list[str] = field(default_factory=list)
    escaped: list[str] = field(default_factory=list)
    seconds: float = 0.0
    memory: int = 0


def problems(case: Case, outcome: Outcome) -> list[str]:
    """Return a sentence for each problem."""
    found = [f"outside of its folder: {each}" for each in outcome.escaped]
    if outcome.status not in (0, 2):
        found.append(f"exit status {outcome.status}")
    if "Traceback" in outcome.err:
        found.append("a traceback")
    if outcome.memory > MAX_MEMORY or "out of memory" in outcome.err:
        found.append(f"memory: {outcome.memory:,} bytes")
    if _CONTROLS.search(outcome.err) or _CONTROLS.search(outcome.out):
        found.append("control characters in the output")
    return [*found, *_words(case, outcome), *_results(case, outcome)]


def _words(case: Case, outcome: Outcome) -> list[str]:
    lines = outcome.err.splitlines()
    errors = [line for line in lines if re.match(r"error: |[\w. /-]+: error: ", line)]
    others = [line for line in lines if line not in errors and not DESIGNED.fullmatch(line)]
    found = [f"on standard error: {line[:200]}" for line in others]
    if outcome.status == 2 and (len(errors) != 1 or lines[-1] != errors[0]):
        found.append(f"{len(errors)} lines of error, not one at the end")
    if outcome.status == 0 and errors:
        found.append("an error, but status 0")
    if outcome.status == 2 and outcome.out:
        found.append("an error, but something on standard output")
    if any(line.startswith("error: ") and len(line) > MAX_LINE for line in errors):
        found.append("an error of many words")
    return found


def _results(case: Case, outcome: Outcome) -> list[str]:
    """The problems with files; after a failure, any new file is one."""
    found = []
    for name in outcome.files:
        path = Path(name)
        out = Path(case.out or "")
        beside = {out.with_suffix(""), out.with_suffix(".json")} if out.name else set()
        # A report has a folder for pictures beside it, with its name, and an export a .json.
        inside = case.out and (path in out.parents or ({out} | beside) & {path, *path.parents})
        if path.parts[0] == "cache":
            continue
        if path.suffix == ".tmp" or path.name == ".lock":
            found.append(f"left behind: {name}")
        elif not inside:
            found.append(f"outside of OUT: {name}")
        elif outcome.status != 0 and not _kept(case, name):
            found.append(f"of a run that failed: {name}")
    return found


def _kept(case: Case, name: str) -> bool:
    """Whether a run that fails may keep the file: a checkpoint, to resume from."""
    return case.command == "train" and (Path(case.out or "") / "checkpoints").as_posix() in name
