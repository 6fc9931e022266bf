"""Faults are put where they belong and nowhere else, and the tests of a room decide on each."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from lenet_xp.errors import InputError
from studies.mutants import __main__ as study
from studies.mutants import rooms, trial
from studies.mutants.changes import changes
from studies.mutants.record import Log, Reasons, summary
from studies.mutants.rooms import ROOMS, Part

SOURCE = """LIMIT = 40  # pixels


def few(values: list[int]) -> int:
    if not values:
        raise ValueError(f"{LIMIT + 1} values are too few")
    return len([each for each in values if each < LIMIT])


def wait(values):
    while values.pop():
        pass
"""
TESTS = """from lenet_xp.data import few, wait

def test_few():
    assert few([0, 1, 50]) == 2

def test_wait():
    wait(Endless([0]))

class Endless(list):
    def pop(self):
        return super().pop() if self else 0
"""


def after(line: str) -> set[str]:
    """What a line of code may become; it stands in a function."""
    source = f"def f(a, b):\n    {line}\n".encode()
    return {each.lines(source)[2] for each in changes(source)}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x = a < b", {"x = a <= b"}),
        ("x = a is not b", {"x = a is b"}),
        ("x = (a + b) * b", {"x = (a - b) * b", "x = (a + b) / b"}),
        ("x = a // b", {"x = a * b"}),
        ("x = a and b", {"x = a or b"}),
        ("x = ~a", {"x = a"}),
        ("x = 3", {"x = 4", "x = 2"}),
        ("x = 100", {"x = 200", "x = 50"}),
        ("x = 0.5", {"x = 1.0", "x = 0.25"}),
        ("x = -1", {"x = -2", "x = -0"}),
        ("x = a.reshape(-1, 3)", {"x = a.reshape(-1, 4)", "x = a.reshape(-1, 2)"}),
        ("x = True", {"x = False"}),
        ("x = a[b:]", {"x = a[b + 1:]"}),
        (
            "x = a.min() + min(a)",
            {"x = a.max() + min(a)", "x = a.min() + max(a)", "x = a.min() - min(a)"},
        ),
        ("a.x = b", {"pass"}),
        ("a.append(b)", {"pass"}),
        ("a += b", {"pass", "a -= b"}),
        ("return a", {"return None"}),
        ("return None", set()),
        ("raise ValueError(1 + 2)", {"pass"}),
        ("x = InputError(1 + 2)", set()),
        ("assert a < 3", set()),
        ("x: list[int | None] = a", set()),
        ("x = f'{a + 1}' + 'b'", set()),
        ("x = zip(a, b, strict=True)", set()),
        ("x = 'a' + b  # 1 + 2", set()),
        (
            "x = a if b else 1",
            {"x = a if not (b) else 1", "x = a if b else 2", "x = a if b else 0"},
        ),
    ],
)
def test_what_a_line_is_changed_to(line, expected):
    found = {
        each.replace("(not (b))", "not (b)").replace("(b) + 1", "b + 1") for each in after(line)
    }
    assert found == expected


def test_docstrings_annotations_decorators_and_repr_are_left_alone():
    source = b"""@dataclass(frozen=True)
class A(B[1]):
    '''One + 2.'''

    def __repr__(self) -> "1 + 2":
        return 1 + 2
"""
    assert changes(source) == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_file_of_a_room_has_tests_that_are_there(room):
    found = rooms.sources(ROOT, room)
    assert found
    for file, tests in found.items():
        assert (ROOT / file).is_file() and tests
        assert all((ROOT / test).is_file() for test in tests) and len(set(tests)) == len(tests)
    for part in ROOMS[room]:
        for pattern in (*part.sources, *part.tests):
            assert list(ROOT.glob(pattern)), pattern


def test_a_sample_is_seeded_and_a_smaller_one_begins_it():
    found = rooms.mutants(ROOT, ["scores", "pages"])
    twenty = rooms.sample(ROOT, found, 20, 3)
    assert rooms.sample(ROOT, found[::-1], 5, 3) == twenty[:5]
    assert rooms.sample(ROOT, found, 20, 4) != twenty
    assert {each.room for each in twenty} == {"scores", "pages"}
    one = rooms.mutants(ROOT, ["scores", "pages"], ["lenet_xp/pages/lines.py"])
    assert {each.file for each in one} == {"lenet_xp/pages/lines.py"} and set(one) < set(found)
    with pytest.raises(InputError, match=r"--file lenet_xp/x.py: is no source"):
        rooms.mutants(ROOT, ["scores"], ["lenet_xp/x.py"])


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A tree of one small room with its tests."""
    root = tmp_path / "project"
    (root / "lenet_xp").mkdir(parents=True)
    (root / "tests").mkdir()
    (root / "lenet_xp" / "__init__.py").touch()
    (root / "lenet_xp" / "data.py").write_text(SOURCE)
    (root / "tests" / "test_data.py").write_text(TESTS)
    part = Part(("lenet_xp/data.py",), ("tests/test_*.py",))
    monkeypatch.setitem(ROOMS, "data", (part,))
    return root


def checked(tree, out, *more):
    given = ["--room", "data", "--count", "1000", "--limit", "4", "--out", str(out), *more]
    study.check(study.options(given), tree)
    return json.loads((out / "mutants.json").read_text())


def test_the_tests_decide_on_each_mutant_and_a_second_run_goes_on(tree, tmp_path, capsys):
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    out = tmp_path / "out"
    record = checked(tree, out, "--jobs", "2")
    assert before == {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    survivors = {each["after"] for each in record["survivors"]}
    assert survivors == {
        "LIMIT = 20",
        "pass",
        "return len([each for each in values if each <= LIMIT])",
    }
    numbers = record["all"]
    assert (numbers["mutants"], numbers["killed"], numbers["timed out"]) == (7, 3, 1)
    assert numbers["survived"] == len(record["survivors"]) == record["without_reason"]
    assert numbers["noticed"] == pytest.approx(1 - numbers["survived"] / numbers["mutants"])
    text = (out / "mutants.txt").read_text()
    assert "NO REASON YET" in text and "lenet_xp/data.py:1\n  - LIMIT = 40\n  + LIMIT = 20" in text

    lines = (out / "mutants.jsonl").read_text().splitlines()
    (out / "mutants.jsonl").write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:30])
    reason = {"file": "lenet_xp/data.py", "before": "LIMIT = 40", "after": "LIMIT = 20"}
    (out / "reasons.json").write_text(json.dumps([reason | {"reason": "nobody looks"}]))
    capsys.readouterr()
    again = checked(tree, out, "--jobs", "1")
    assert "1/1 " in capsys.readouterr().err  # the line that was cut short, and no other
    assert again["all"] == numbers and again["without_reason"] == record["without_reason"] - 1
    assert "nobody looks" in (out / "mutants.txt").read_text()

    # New tests: the survivors are tried again, and only they.
    with (tree / "tests" / "test_data.py").open("a") as handle:
        handle.write("\ndef test_limit():\n    assert few([39, 79]) == 1\n")
    better = checked(tree, out, "--jobs", "2")
    assert f"/{numbers['survived']} " in capsys.readouterr().err
    assert "LIMIT = 20" not in {each["after"] for each in better["survivors"]}
    assert better["all"]["noticed"] > numbers["noticed"]


def test_tests_that_fail_without_a_fault_are_named(tree, tmp_path):
    (tree / "tests" / "test_data.py").write_text("def test_bad():\n    assert 0\n")
    with pytest.raises(InputError, match=r"test_bad: fails without a fault"):
        checked(tree, tmp_path / "out")


def test_reasons_must_be_a_list_of_them(tmp_path):
    for text in ("{", "[1]", '[{"file": "a"}]'):
        (tmp_path / "reasons.json").write_text(text)
        with pytest.raises(InputError, match=r"reasons.json: is no list"):
            Reasons(tmp_path / "reasons.json")
    assert summary([], Reasons(tmp_path / "none.json"))["all"]["noticed"] is None


def test_a_survivor_is_known_for_its_tests_alone(tmp_path):
    (mutant, *_) = rooms.mutants(ROOT, ["scores"])
    log = Log(tmp_path / "log")
    log.add(mutant, "these", trial.Outcome(trial.SURVIVED, 1.0, None))
    log = Log(tmp_path / "log")
    assert (
        log.known(mutant, "these")["status"] == "survived" and log.known(mutant, "others") is None
    )
    log.add(mutant, "these", trial.Outcome(trial.KILLED, 1.0, "a test"))
    assert Log(tmp_path / "log").known(mutant, "others")["by"] == "a test"


def test_ctrl_c_ends_the_tests_and_leaves_a_record(tmp_path):
    command = [sys.executable, "-m", "studies.mutants", "--room", "scores", "--jobs", "1"]
    command += ["--file", "lenet_xp/scores/intervals.py", "--out", str(tmp_path / "out")]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
        # It is ignored in background jobs.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    log = tmp_path / "out" / "mutants.jsonl"
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up and not (log.exists() and log.read_text().count("\n") >= 2):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said.endswith("stopped by Ctrl-C\n")
    assert list(scratch.iterdir()) == []
    record = json.loads((tmp_path / "out" / "mutants.json").read_text())
    statuses = [json.loads(line).get("status") for line in log.read_text().splitlines()]
    assert record["all"]["mutants"] == sum(status is not None for status in statuses)
