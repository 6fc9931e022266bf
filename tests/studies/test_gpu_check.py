"""The script for a first session on a GPU: every part runs on the stand-in, and what fails hides
nothing."""

import fcntl
import json
import runpy
import subprocess
import sys
import time
from contextlib import suppress

import cupy_stand_in
import pytest
from conftest import ROOT

from lenet_xp.ops.cuda.cupy_ops import CupyOps
from studies.speed import gpu, gpu_speed, gpu_times, measure

SCRIPT = str(ROOT / "studies" / "gpu_check.py")

ARRAYS_ALONE = """
from numpy import *
from numpy import array as asnumpy

class RawModule:
    def __init__(self, code, options): pass
    def get_function(self, name):
        return lambda grid, block, given: matmul(given[0], given[1], out=given[3])
"""
# A part whose own process waits for another, which holds a lock
HANGING = """
import fcntl, subprocess, sys, time
if "--part" in sys.argv:
    subprocess.run([sys.executable, __file__])
with open({held!r}, "w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("so far\\nand no further", file=sys.stderr, flush=True)
    time.sleep(60)
"""


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", [SCRIPT, *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(SCRIPT, run_name="__main__")
    return ended.value.code


@pytest.fixture
def outcome_of(stand_in, monkeypatch, capsys):
    """Runs one part on the stand-in; its outcome."""
    # The stand-in is slow: two steps of an image at once, each thing timed by one call
    monkeypatch.setattr(CupyOps, "images_per_launch", 2)
    monkeypatch.setattr(measure, "_warm_up", lambda contender, seconds: 1)
    monkeypatch.setattr(gpu_times, "COPIES", 3)
    monkeypatch.setattr(gpu_speed.gpu_peers, "missing", lambda: "not here")

    def outcome(name: str) -> dict:
        assert run(monkeypatch, "--small", "--part", name) == 0
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return outcome


def test_gradients_are_those_of_float64(outcome_of):
    for key, value in outcome_of("gradients").items():
        assert float(value.split()[0]) < (1e-12 if "float64" in key else 1e-4)


def test_runs_follow_numpy_and_repeat(outcome_of):
    found = outcome_of("parity")
    assert len(found) == 12 and all(float(value) < 1e-3 for value in found.values())
    assert list(outcome_of("determinism").values()) == [True, True]
    from_host, again = outcome_of("augmentation").values()
    assert again is True and float(from_host) < 0.3  # Adam's first steps, a grey level apart


def test_times_are_taken_and_shares_counted(outcome_of):
    assert outcome_of("device")["float32_peak_tflops"] == pytest.approx(66.9, abs=0.1)
    found = outcome_of("speed")
    assert "error" not in found and found["absent"] == {"PyTorch": "not here"}
    (training,), (reading,) = found["training"], found["inference"]
    assert training["kernels"] == 9 and training["batches_a_launch"] == 2
    assert reading["kernels"] == 7 and reading["batches_a_launch"] == 1
    assert any("9 kernels, 2 batches to a graph" in line for line in found["text"])


@pytest.mark.parametrize("name", ("learning", "kernels", "graphs_of_one_kernel", "host_side"))
def test_every_other_part_runs(outcome_of, name):
    found = outcome_of(name)
    assert found and "error" not in found


def test_what_is_counted_is_what_moves(stand_in):
    """Of one dense layer's launch: weights, input, bias and output, each once."""
    from studies.speed.gpu_ours import RecordedKernels

    ops = CupyOps(graph=False)
    ops._kernels = RecordedKernels(ops.xp, "float32")
    ops.dense(ops.zeros((5, 7)), ops.zeros((7, 3)), ops.zeros((5,)), None)
    (launch,) = ops._kernels.launches
    assert launch.traffic == 4 * (5 * 7 + 7 * 3 + 5 + 5 * 3)
    before = cupy_stand_in.state.launches
    launch.again()
    ops.synchronize()
    assert cupy_stand_in.state.launches == before + 2


def test_a_part_that_fails_or_hangs_hides_no_other(monkeypatch, tmp_path):
    """Here a CuPy that knows arrays alone: in its own process, with its own words."""
    (tmp_path / "cupy.py").write_text(ARRAYS_ALONE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "studies.gpu_check",
            "--small",
            "--out",
            str(tmp_path),
            "--only",
            "device",
            "amhcd",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 1 and "failed: device" in done.stdout
    found = json.loads((tmp_path / "gpu_check.json").read_text())
    assert found["device"]["error"].startswith("AttributeError: ")
    assert found["amhcd"]["left out"] == "give the archive with --amhcd"
    assert "failed: device" in (tmp_path / "gpu_check.log").read_text()


def test_without_a_gpu_one_line_says_why(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    out = tmp_path / "report"
    done = subprocess.run(
        [sys.executable, "-m", "studies.gpu_check", "--out", out],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2 and not done.stdout and not out.exists()
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: CuPy cannot be imported (ImportError: not here)")


def test_a_part_that_takes_too_long_is_ended_with_what_it_started(tmp_path):
    held, part = tmp_path / "held", tmp_path / "part.py"
    part.write_text(HANGING.format(held=str(held)))
    in_a_process = runpy.run_path(SCRIPT)["in_a_process"]
    in_a_process.__globals__["PROGRAM"] = [str(part)]
    found = in_a_process("kernels", 3, [])
    assert found["error"] == "not over after 3 s" and found["traceback"][-1] == "and no further"
    with open(held) as file:
        for _ in range(100):  # a process that is killed lets go a moment later
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(0.1)
    pytest.fail("the process that the part started lives on")


def test_what_explains_a_step_comes_before_what_takes_long():
    order = list(runpy.run_path(SCRIPT)["parts"]())
    first = order[: order.index("parity")]
    assert {"device", "gradients", "graphs_of_one_kernel", "host_side"} <= set(first)


def test_numpy_forks_before_cuda_begins(stand_in, monkeypatch):
    made = []
    for cls in (gpu.CupyOps, gpu.NumpyOps):
        monkeypatch.setattr(
            gpu, cls.__name__, lambda *dtype, cls=cls: made.append(cls.name) or cls(*dtype)
        )
    gpu.parity(gpu.SMALL)
    assert made == ["numpy"] * 8 + ["cupy"] * 4


def test_parts_share_the_time_there_is():
    kept, lines, given = [], [], []

    def run_one(name: str, seconds: float) -> dict:
        given.append(seconds)
        return {"value": 3} if name == "first" else {"error": "E", "traceback": ["a", "b"]}

    limits = {"first": 1e9, "second": 7.0}
    outcome = gpu.run_parts(limits, run_one, 60, lines.append, lambda all_: kept.append(list(all_)))
    assert kept == [["first"], ["first", "second"]]
    assert given[0] <= 60 and given[1] == 7.0
    assert "    value: 3" in lines and "    b" in lines
    late = gpu.run_parts(limits, run_one, 1, lines.append, lambda all_: None)
    assert "left out" in late["first"]["error"] and outcome["second"]["error"] == "E"


def test_a_part_that_is_not_there_is_named(monkeypatch, capsys):
    assert run(monkeypatch, "--only", "speling") == 2
    assert "no part 'speling'; there are device, gradients" in capsys.readouterr().err
