"""A short fuzz of every door with a fixed seed, and that it would notice what it looks for.

`python -m studies.fuzz` is the long one.
"""

import os
import pickle
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

if sys.platform != "linux":
    pytest.skip("watches processes by Linux's means", allow_module_level=True)

from fuzzing import attempt, containers, doors, images, payload, place, pool, requests, served
from fuzzing.case import Case
from fuzzing.outcome import Outcome, problems

CASES = 12  # of each door


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return place.build(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("door", [door for door in doors.DOORS if door != "records"])
def test_hostile_input_gets_nowhere(door, base):
    cases = [doors.make(1, number, base, [door]) for number in range(CASES)]
    cases = [replace(case, apart=False) for case in cases]
    outcomes = pool.outcomes(cases)
    assert len(outcomes) == CASES
    for case, outcome in zip(cases, outcomes, strict=True):
        assert not problems(case, outcome), (case.change, outcome)


def test_sound_input_is_taken(base):
    assert pool.refused_controls(base) == []


def test_a_case_is_the_same_wherever_it_is_made(base):
    for door in doors.DOORS:
        one, other = (doors.make(3, 5, base, [door]) for _ in range(2))
        assert one == other and Case.from_json(one.to_json()) == one


def fails() -> int:
    raise KeyError("x")


def says(text: str, status: int, to: int = 2) -> int:
    os.write(to, text.encode())
    return status


def leaves(path: str, status: int) -> int:
    Path(path).touch()
    return status


MISBEHAVIOURS = (
    (fails, "a traceback"),
    (lambda: 1, "exit status 1"),
    (lambda: 2, "0 lines of error"),
    (lambda: says("error: a\nerror: b\n", 2), "2 lines of error"),
    (lambda: says("result\n", 2, to=1), "something on standard output"),
    (lambda: says("error: \x1b[2J\n", 2), "control characters"),
    (lambda: says("Corrupt JPEG data\n", 0), "on standard error: Corrupt JPEG data"),
    (lambda: leaves("result.json", 2), "outside of OUT: result.json"),
    (lambda: leaves("out/.lock", 0), "left behind: out/.lock"),
    (lambda: leaves("out/half.json", 2), "of a run that failed: out/half.json"),
    (lambda: leaves("../../escaped.png", 0), "outside of its folder: a/b/escaped.png"),
    (lambda: leaves(f"{os.environ['TMP_ELSEWHERE']}/x", 0), "outside of its folder: open"),
    (lambda: pickle.loads(payload.pickles()[0]) and 0, "a pickle ran"),
    (lambda: os.system("true"), "os.system"),
)


def test_what_must_not_be_is_noticed(monkeypatch, tmp_path):
    monkeypatch.setenv("TMP_ELSEWHERE", str(tmp_path))
    monkeypatch.setattr(attempt, "start", lambda command, given: MISBEHAVIOURS[int(given[0])][0]())
    cases = [
        Case("image", "", "predict", (str(number),), {"out/x": b""}, "out")
        for number in range(len(MISBEHAVIOURS))
    ]
    outcomes = pool.outcomes(cases)
    for case, outcome, (_, word) in zip(cases, outcomes, MISBEHAVIOURS, strict=True):
        found = problems(case, outcome)
        assert any(word in each for each in found), (word, found)


def test_a_server_that_fails_is_noticed(monkeypatch):
    monkeypatch.setattr(served, "find_letters", lambda photo, reader: fails())
    request = requests.honest(images.seed(0))
    case = Case("demo", "", "demo", (), {"request": request})
    (outcome,) = pool.outcomes([case])
    assert outcome.status is None and "answers [500]" in outcome.err and problems(case, outcome)


def test_the_folder_where_one_stands_may_be_out():
    case = Case("command line", "", "train", (), out=".")
    assert problems(case, Outcome(0, files=["metrics.json"])) == []
    failed = Outcome(2, err="error: no", files=["checkpoints/step-1.npz", "model.npz"])
    assert problems(case, failed) == ["of a run that failed: model.npz"]


def test_memory_is_noticed():
    case = Case("image", "", "predict", ())
    assert problems(case, Outcome(0, memory=10**9 + 1)) == ["memory: 1,000,000,001 bytes"]
    assert problems(case, Outcome(0, memory=10**9)) == []


def test_a_worker_that_dies_or_hangs_is_noticed(monkeypatch):
    def make(seed, number, base, only):
        if number == 1:
            os._exit(9)
        if number == 2:
            time.sleep(60)
        return Case("command line", "", "audit", ("--help",))

    monkeypatch.setattr(doors, "make", make)
    monkeypatch.setattr(pool, "PATIENCE", 4.0)
    with closing(pool.findings(range(4), 0, 2)) as found:
        by_number = {each.number: each.problems for each in found}
    assert by_number[0] == by_number[3] == []
    assert by_number[1] == ["the process died with status 9"]
    assert by_number[2] == ["not over after 4 s"]


def test_a_case_that_fuzzing_itself_cannot_make_is_tried_once_more(monkeypatch, tmp_path):
    made = doors.make

    def make(seed, number, base, only):
        marks = sorted(tmp_path.iterdir())
        if (number == 1 and len(marks) < 1) or number == 2:
            (tmp_path / str(len(marks))).touch()
            raise MemoryError("no room")
        return made(seed, 3, base, only)

    monkeypatch.setattr(pool.doors, "make", make)
    found = {each.number: each.problems for each in pool.findings(range(1, 4), 0, 1)}
    assert found[1] == found[3] == []
    assert len(found[2]) == 1 and "fuzzing failed" in found[2][0] and "no room" in found[2][0]


def test_the_pickles_would_run(tmp_path, monkeypatch):
    """Else the canary would prove nothing."""
    monkeypatch.chdir(tmp_path)
    for each in payload.pickles():
        pickle.loads(each)
        left = tmp_path / payload.CANARY
        assert left.exists()
        left.rmdir() if left.is_dir() else left.unlink()


def test_changes_end_where_nothing_is_left():
    header, rng = {"only": {"one": 1}}, Random(3)
    changes = [containers._header(rng, header) for _ in range(200)]
    assert "nothing left" in changes and header == {}
