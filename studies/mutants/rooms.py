"""The rooms of the package and the tests that stand for each, and a sample of their faults."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

from lenet_xp.errors import InputError
from studies.mutants.changes import Change, changes, compiles


@dataclass(frozen=True)
class Room:
    """Where a room's sources are and which tests must notice a fault in them, quick ones first."""

    sources: tuple[str, ...]
    tests: tuple[str, ...]


def _tests(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"tests/{folder}/test_{name}.py" for name in names)


_LAYERS = _tests("network", "schedules", "losses", "optim", "layers", "model", "fused")
ROOMS = {
    "network": Room(
        tuple(
            f"lenet_xp/{name}.py"
            for name in ("layers", "losses", "optim", "schedules", "model", "fused")
        ),
        (
            *_LAYERS,
            *_tests("network", "torch_references", "model_file", "classifier"),
            *_tests("training", "training"),
        ),
    ),
    "ops": Room(
        ("lenet_xp/ops",),
        (
            *_tests("ops", "overrides", "backends", "ops"),
            *_LAYERS,
            *_tests("ops", "contract", "recording", "cuda_build"),
        ),
    ),
    "training": Room(
        ("lenet_xp/training",), _tests("training", "training", "epoch_parity", "resume")
    ),
    "data": Room(
        ("lenet_xp/data",),
        (
            *_tests("data", "pen", "augment", "cache", "sources", "splits", "audit", "writers"),
            *_tests("commands", "bad_input"),
        ),
    ),
    "pictures": Room(
        ("lenet_xp/pictures",),
        (
            *_tests("pictures", "features", "image_file", "rules", "quiet", "preprocess"),
            *_tests("pages", "pages"),
        ),
    ),
    "pages": Room(("lenet_xp/pages",), _tests("pages", "pages")),
    "scores": Room(
        ("lenet_xp/scores",),
        _tests(
            "scores",
            *("intervals", "groups", "metrics", "summary", "rejection", "tables", "calibration"),
            "cost",
        ),
    ),
}
DEFAULT = ("network", "ops", "training", "data", "pictures", "pages")


@dataclass(frozen=True)
class Mutant:
    """A source file with one fault; see Change.lines for line, before and after."""

    room: str
    file: str
    change: Change
    line: int
    before: str
    after: str
    digest: str  # of the file and the change

    @classmethod
    def of(cls, room: str, file: str, source: bytes, change: Change) -> Self:
        start, end, new = change
        digest = hashlib.blake2b(b"%d %d %b\n" % (start, end, new) + source, digest_size=12)
        digest.update(file.encode())
        return cls(room, file, change, *change.lines(source), digest.hexdigest())

    @property
    def tests(self) -> list[str]:
        """The room's tests; first those that are named after the file or its folder."""
        stem = Path(self.file).stem
        return sorted(ROOMS[self.room].tests, key=lambda test: f"test_{stem}" not in test)


def sources(root: Path, room: str) -> Iterator[Path]:
    """The source files of a room, sorted."""
    for name in ROOMS[room].sources:
        path = root / name
        yield from [path] if path.is_file() else sorted(path.rglob("*.py"))


def mutants(root: Path, rooms: Iterable[str], files: Iterable[str] = ()) -> list[Mutant]:
    """All mutants of some rooms, or of those files of them that are named."""
    found, wanted = [], set(files)
    for room in rooms:
        for path in sources(root, room):
            file = path.relative_to(root).as_posix()
            if not wanted or file in wanted:
                source = path.read_bytes()
                found += [Mutant.of(room, file, source, each) for each in changes(source)]
    if missing := wanted - {each.file for each in found}:
        raise InputError(f"--file {min(missing)}: is no source of these rooms; see --room")
    return found


def sample(root: Path, found: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """At most `count` mutants that compile, drawn at random.

    The draw goes by the text of a mutant's line, so a change of one file leaves the other files'
    mutants in the sample, and a smaller sample is the beginning of a larger one.
    """
    seen: dict[tuple[str, str, str], int] = {}
    ranks = []
    for each in found:
        name = (each.file, each.before, each.after)
        seen[name] = seen.get(name, 0) + 1
        ranks.append(hashlib.blake2b(repr((seed, name, seen[name])).encode()).digest())
    order = (found[place] for place in sorted(range(len(found)), key=ranks.__getitem__))
    valid = (e for e in order if compiles(e.change.applied((root / e.file).read_bytes())))
    return list(islice(valid, count))
