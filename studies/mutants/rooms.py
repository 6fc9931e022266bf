"""The rooms of the package and the tests that stand for each, and a sample of their faults."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

from lenet_xp.errors import InputError
from studies.mutants.changes import Change, changes, compiles


class Part(NamedTuple):
    """Some sources of a room, and patterns of the tests that must notice a fault in them.

    Tests run in this order, so the quick ones that notice most stand in front.
    """

    sources: tuple[str, ...]
    tests: tuple[str, ...]


def _sources(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"lenet_xp/{folder}{name}.py" for name in names)


def _tests(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"tests/{folder}/test_{name}.py" for name in names)


_LAYERS = _tests("network", "losses", "optim", "layers", "fused", "model", "torch_references")
_OPS = _tests("ops", "overrides", "backends", "plans", "ops")
_WHOLE = _tests("ops", "contract", "recording")
_INK = _tests("pictures", "ink", "frame", "levels", "letter", "ruled_lines", "*")
_PAGES = _tests("pages", "lines", "output", "page", "*")
_TRAINING = _tests("training", "recipes", "training", "epoch_parity")
# A file belongs to the first part that names it or its folder.
ROOMS = {
    "network": (
        Part(_sources("", "schedules"), _tests("network", "schedules")),
        Part(
            _sources("", "layers", "losses", "optim", "model", "fused"),
            (*_LAYERS, *_tests("network", "model_file"), *_tests("training", "training")),
        ),
    ),
    "ops": (
        Part(("lenet_xp/ops/cuda",), (*_OPS, *_WHOLE, *_tests("ops", "*"))),
        Part(("lenet_xp/ops",), (*_OPS, *_LAYERS, *_WHOLE)),
    ),
    "training": (
        Part(
            ("lenet_xp/training",),
            (*_TRAINING, *_tests("system", "worker_processes"), *_tests("training", "*")),
        ),
    ),
    "data": (
        Part(_sources("data/", "augment"), _tests("data", "pen", "augment")),
        Part(_sources("data/", "splits", "writers"), _tests("data", "splits", "writers")),
        Part(
            ("lenet_xp/data",),
            (*_tests("data", "npz", "cache", "sources", "*"), *_tests("commands", "bad_input")),
        ),
    ),
    "pictures": (
        Part(_sources("pictures/", "from_numbers"), _tests("pictures", "features")),
        Part(("lenet_xp/pictures",), (*_INK, *_PAGES)),
    ),
    "pages": (Part(("lenet_xp/pages",), _PAGES),),
    "scores": (
        Part(_sources("scores/", "intervals"), _tests("scores", "intervals")),
        Part(("lenet_xp/scores",), _tests("scores", "groups", "metrics", "summary", "*")),
    ),
}
DEFAULT = ("network", "ops", "training", "data", "pictures", "pages")


@dataclass(frozen=True)
class Mutant:
    """A source file with one fault; see Change.lines for line, before and after."""

    room: str
    tests: tuple[str, ...]
    file: str
    change: Change
    line: int
    before: str
    after: str
    digest: str  # of the file and the change

    @classmethod
    def of(
        cls, room: str, tests: tuple[str, ...], file: str, source: bytes, change: Change
    ) -> Self:
        start, end, new = change
        digest = hashlib.blake2b(b"%d %d %b\n" % (start, end, new) + source, digest_size=12)
        digest.update(file.encode())
        return cls(room, tests, file, change, *change.lines(source), digest.hexdigest())


def sources(root: Path, room: str) -> dict[str, tuple[str, ...]]:
    """The source files of a room, each with its tests; first those that are named after it."""
    found: dict[str, tuple[str, ...]] = {}
    for part in ROOMS[room]:
        for name in part.sources:
            path = root / name
            for each in [path] if path.is_file() else sorted(path.rglob("*.py")):
                patterns = (f"tests/*/test_{each.stem}.py", *part.tests)
                tests = [test for pattern in patterns for test in sorted(root.glob(pattern))]
                found.setdefault(
                    _name(each, root), tuple(dict.fromkeys(_name(e, root) for e in tests))
                )
    return found


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def mutants(root: Path, rooms: Iterable[str], files: Iterable[str] = ()) -> list[Mutant]:
    """All mutants of some rooms, or of those files of them that are named."""
    found, wanted = [], set(files)
    for room in rooms:
        for file, tests in sources(root, room).items():
            if not wanted or file in wanted:
                source = (root / file).read_bytes()
                found += [Mutant.of(room, tests, file, source, each) for each in changes(source)]
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
