"""The summary of a run of many cases, as JSON and in lines."""

from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version

from fuzzing.outcome import MAX_MEMORY
from fuzzing.pool import Finding
from lenet_xp.system.environment import cpu_name, git_commit, versions


@dataclass
class Summary:
    """Counts of the cases so far; memory in bytes."""

    seed: int
    cases: int = 0
    failed: list[int] = field(default_factory=list)
    by_door: dict[str, int] = field(default_factory=Counter)
    by_status: dict[str, int] = field(default_factory=Counter)
    by_door_and_status: dict[str, int] = field(default_factory=Counter)
    tracebacks: int = 0
    outside_out: int = 0
    peak_memory: int = 0
    peak_memory_case: int | None = None
    longest_seconds: float = 0.0
    longest_case: int | None = None
    seconds_in_cases: float = 0.0

    def add(self, finding: Finding) -> None:
        outcome = finding.outcome
        self.cases += 1
        self.by_door[finding.door] += 1
        self.by_status[str(outcome.status)] += 1
        self.by_door_and_status[f"{finding.door}, {outcome.status}"] += 1
        self.tracebacks += "Traceback" in outcome.err
        self.outside_out += any("outside of" in each for each in finding.problems)
        self.seconds_in_cases += outcome.seconds
        if finding.problems:
            self.failed.append(finding.number)
        if outcome.memory > self.peak_memory:
            self.peak_memory, self.peak_memory_case = outcome.memory, finding.number
        if outcome.seconds > self.longest_seconds:
            self.longest_seconds, self.longest_case = outcome.seconds, finding.number

    def record(self, command: str) -> dict:
        """The content of fuzz.json."""
        record = dict(vars(self))
        for name in ("by_door", "by_status", "by_door_and_status"):
            record[name] = dict(sorted(record[name].items()))
        record["failed"] = sorted(self.failed)
        return {
            "command": command,
            **record,
            "memory_allowed": MAX_MEMORY,
            "versions": versions() | {"pillow": version("pillow")},
            "cpu": cpu_name(),
            "git_commit": git_commit(),
        }

    def lines(self) -> list[str]:
        """For people."""
        statuses = ", ".join(f"{n:,} with {s}" for s, n in sorted(self.by_status.items()))
        head = f"{self.cases:,} hostile inputs, seed {self.seed}: {statuses}"
        doors = [f"  {name:<14}{count:>9,}" for name, count in sorted(self.by_door.items())]
        return [
            head,
            *doors,
            f"tracebacks: {self.tracebacks}",
            f"files outside OUT: {self.outside_out}",
            f"cases with any problem: {len(self.failed)}",
            f"peak memory of a process: {self.peak_memory / 1e6:,.0f} MB "
            f"(case {self.peak_memory_case})",
            f"longest case: {self.longest_seconds:.2f} s (case {self.longest_case})",
        ]
