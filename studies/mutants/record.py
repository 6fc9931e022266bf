"""What became of the mutants: a line for each, then the record and the survivors by name."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lenet_xp.errors import InputError
from lenet_xp.system.text import text_table
from studies.mutants.rooms import Mutant
from studies.mutants.trial import KILLED, SURVIVED, TIMED_OUT, Outcome

Line = dict[str, Any]


class Log:
    """A file with a line of JSON for each mutant that was tried; the last of a mutant counts.

    A line that was cut short when the machine stopped is left out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[str, Line] = {}
        for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                line = json.loads(text)
                self.lines[line["digest"]] = line
            except (ValueError, LookupError, TypeError):
                continue

    def known(self, mutant: Mutant, tests: str) -> Line | None:
        """What became of this mutant; a survivor is known only for the same tests (a digest)."""
        line = self.lines.get(mutant.digest)
        return line if line and (line["status"] != SURVIVED or line["tests"] == tests) else None

    def add(self, mutant: Mutant, tests: str, outcome: Outcome) -> Line:
        """Append what became of a mutant; the line is on the disk before the next one is tried."""
        return self._append(
            {
                "digest": mutant.digest,
                "tests": tests,
                "room": mutant.room,
                "place": f"{mutant.file}:{mutant.line}",
                "before": mutant.before,
                "after": mutant.after,
                **outcome._asdict(),
            }
        )

    def add_sound(self, digest: str, test: str, seconds: float) -> Line:
        """Append how long a test file takes without a fault; digest: of it and all sources."""
        return self._append({"digest": digest, "sound": test, "seconds": seconds})

    def _append(self, line: Line) -> Line:
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write("\n" * self._cut_short() + json.dumps(line, ensure_ascii=False) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        self.lines[line["digest"]] = line
        return line

    def _cut_short(self) -> bool:
        if not self.path.exists() or not self.path.stat().st_size:
            return False
        with self.path.open("rb") as handle:
            handle.seek(-1, os.SEEK_END)
            return handle.read() != b"\n"


class Reasons:
    """Why a fault changes nothing that a test could notice: a JSON list of objects.

    Each has `file`, `before`, `after` and `reason`; the two texts are whole lines, blanks joined.
    """

    def __init__(self, path: Path) -> None:
        self._reasons: dict[tuple[str, str, str], str] = {}
        try:
            entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
            for each in entries:
                self._reasons[each["file"], each["before"], each["after"]] = each["reason"]
        except (ValueError, LookupError, TypeError) as error:
            raise InputError(f"{path}: is no list of file, before, after, reason") from error

    def of(self, line: Line) -> str | None:
        file = line["place"].rpartition(":")[0]
        return self._reasons.get((file, line["before"], line["after"]))


def summary(lines: Sequence[Line], reasons: Reasons) -> dict[str, Any]:
    """The numbers, in all and by room, and the survivors, each with its reason or None."""
    rooms = {line["room"]: [e for e in lines if e["room"] == line["room"]] for line in lines}
    survivors = [
        {key: line[key] for key in ("place", "before", "after")} | {"reason": reasons.of(line)}
        for line in sorted(lines, key=lambda line: str(line["place"]))
        if line["status"] == SURVIVED
    ]
    return {
        "all": _numbers(lines),
        "rooms": {room: _numbers(those) for room, those in sorted(rooms.items())},
        "without_reason": sum(each["reason"] is None for each in survivors),
        "survivors": survivors,
    }


def _numbers(lines: Sequence[Line]) -> dict[str, Any]:
    """A mutant that makes the tests take too long was noticed: it counts as killed."""
    counts = {status: 0 for status in (KILLED, TIMED_OUT, SURVIVED)}
    for line in lines:
        counts[line["status"]] += 1
    noticed = 1 - counts[SURVIVED] / len(lines) if lines else None
    return {"mutants": len(lines), **counts, "noticed": noticed}


def as_text(record: dict[str, Any]) -> str:
    """The summary for people."""
    rows = [
        (name, each["mutants"], each[KILLED], each[TIMED_OUT], each[SURVIVED], each["noticed"])
        for name, each in (*record["rooms"].items(), ("all", record["all"]))
        if each["mutants"]
    ]
    cells = [(*map(str, row[:-1]), f"{row[-1]:.1%}") for row in rows]
    header = ("room", "mutants", KILLED, TIMED_OUT, SURVIVED, "noticed")
    parts = [text_table(header, cells, left=[0]).rstrip()]
    for each in record["survivors"]:
        reason = each["reason"] or "NO REASON YET: a test is missing"
        parts.append(f"{each['place']}\n  - {each['before']}\n  + {each['after']}\n  {reason}")
    return "\n\n".join(parts) + "\n"
