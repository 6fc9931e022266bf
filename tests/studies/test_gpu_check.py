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
from cuda_on_cpu import KERNEL

from lenet_xp.ops.cuda.cupy_ops import CupyOps
from lenet_xp.ops.cuda.kernels import Kernels
from studies.speed import gpu, gpu_sanitizer, gpu_speed, gpu_times, measure
from studies.speed.gpu_floors import FLOORS, floor_table

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


def rows(outcome: dict) -> dict[str, str]:
    """What the table says of each measured title."""
    lines = list(floor_table(outcome))[1:]
    found = {floor.title: line for floor, line in zip(FLOORS, lines, strict=True)}
    assert all(line.startswith(title) for title, line in found.items())
    return {title: line.rsplit("  ", 1)[1] for title, line in found.items() if " - " not in line}


def test_gradients_are_those_of_float64(outcome_of):
    found = outcome_of("gradients")
    for key, value in found.items():
        assert float(value.split()[0]) < (1e-12 if "float64" in key else 1e-4)
    assert rows({"gradients": found}) == {"gradients: distance from float64": "aim reached"}


def test_runs_follow_numpy_and_repeat(outcome_of):
    found = outcome_of("parity")
    assert len(found) == 12 and all(float(value) < 1e-3 for value in found.values())
    reached = rows({"parity": found})
    assert reached.pop("an epoch of best: error over NumPy's own")
    names = "20 steps: distance from NumPy", "an epoch of classic: the same"
    assert reached == dict.fromkeys(names, "aim reached")
    repeated = outcome_of("determinism")
    assert list(repeated.values()) == 6 * [True]
    assert rows({"determinism": repeated}) == {"runs without equal bits": "aim reached"}
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
    assert list(rows({"speed": found})) == ["a step of 64 images, us"]


@pytest.mark.parametrize(
    ("name", "floors"),
    (("learning", 0), ("kernels", 0), ("graphs_of_one_kernel", 1), ("host_side", 2)),
)
def test_every_other_part_runs(outcome_of, name, floors):
    found = outcome_of(name)
    assert found and "error" not in found
    assert len(rows({name: found})) == floors


def test_the_documentation_has_the_same_floors():
    text = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    for title, least, aim, _ in FLOORS:
        assert f"| {title} | {least:.3g} | {aim:.3g} |" in text


def run_of(seconds: float, accuracy: float = 0.98) -> dict:
    """What AMHCD's part says of a recipe."""
    again = {"train_seconds": seconds, "epoch_seconds": [1.0, seconds, seconds]}
    return {"again": again | {"test_accuracy": accuracy}}


def test_the_table_says_what_is_reached_and_what_is_not():
    peers = {"PyTorch eager": 30.0, "PyTorch CUDA graph": 1.4}
    contenders = {name: {"lenet_xp_is_faster_by": times} for name, times in peers.items()}
    contenders["lenet_xp"] = {"microseconds": 46.0}
    outcome = {
        "device": {"name": "a card"},
        "speed": {"training": [{"contenders": contenders}]},
        "amhcd": {"classic": run_of(0.0151), "race": run_of(0.05), "best": run_of(4.9)},
        "racecheck": {"findings": 2},
        "memcheck": {"error": "no word"},
        "determinism": {"two runs agree to the bit": False},
    }
    assert next(floor_table(outcome)).startswith("on a card ")
    assert rows(outcome) == {
        "a step of 64 images, us": "reached",
        "times as fast as PyTorch, eager": "aim reached",
        "times as fast as PyTorch's CUDA graph": "missed",
        "an epoch of AMHCD without distortion, ms": "missed",
        "60 epochs of best on AMHCD, s": "reached",
        "training until 97.13% of AMHCD are read, s": "aim reached",
        "runs without equal bits": "missed",
        "findings of racecheck": "missed",
    }
    outcome["amhcd"]["race"] = run_of(0.05, accuracy=0.97)
    assert rows(outcome)["training until 97.13% of AMHCD are read, s"] == "missed"


SANITIZER = """#!/bin/sh
echo "========= COMPUTE-SANITIZER $*"
shift {given}
"$@" || exit 3
echo "========= {words}"
"""


@pytest.mark.parametrize(
    ("tool", "words", "findings"),
    (
        ("memcheck", "ERROR SUMMARY: 0 errors", 0),
        ("synccheck", "ERROR SUMMARY: 12 errors", 12),
        ("racecheck", "RACECHECK SUMMARY: 3 hazards displayed (1 error, 2 warnings)", 3),
        ("memcheck", "Error: device not supported", None),
    ),
)
def test_the_sanitizer_is_run_and_counted(tool, words, findings, monkeypatch, tmp_path):
    """Here a program in its place, which runs what it is given as it does."""
    program = tmp_path / "compute-sanitizer"
    program.write_text(SANITIZER.format(given=4 if tool == "memcheck" else 2, words=words))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(gpu_sanitizer, "PROGRAM", ["-c", f"print('{gpu_sanitizer.ENDED}')"])
    found = gpu_sanitizer.sanitizer(tool)(gpu.SMALL)
    assert found.get("findings") == findings and ("error" in found) == (findings != 0)
    monkeypatch.setattr(gpu_sanitizer, "PROGRAM", ["-c", "print('too little')"])
    assert "error" in gpu_sanitizer.sanitizer(tool)(gpu.SMALL)


def test_without_the_sanitizer_its_parts_are_left_out(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpu_sanitizer, "USUAL", tmp_path / "none")
    assert list(gpu_sanitizer.sanitizer("racecheck")(gpu.SMALL)) == ["left out"]


def test_what_the_sanitizer_sees_is_every_kernel(stand_in, monkeypatch, capsys):
    """But for two, whose parts it sees in others, and those of layers that are not fused."""
    launched, run = set(), Kernels.run
    monkeypatch.setattr(
        Kernels, "run", lambda own, launch: launched.add(launch.name) or run(own, launch)
    )
    monkeypatch.setattr(gpu_sanitizer, "IMAGES", 1)
    gpu_sanitizer.run_all()
    texts = [path.read_text() for path in (ROOT / "lenet_xp" / "ops" / "cuda").glob("*.cu")]
    kernels = {name for text in texts for name, _ in KERNEL.findall(text)}
    plain = {"matmul", "sum_rows", "activation_forward", "activation_backward"}
    assert kernels - launched == {"dense_backward_below", "soft_cross_entropy"} | plain
    assert capsys.readouterr().out.splitlines() == [gpu_sanitizer.ENDED]


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
    log = (tmp_path / "gpu_check.log").read_text()
    assert log == done.stdout and "failed: device" in log
    if "left out" in found["amhcd"]:  # there is no archive in this clone
        assert "left out: amhcd\n" in log
    assert "a step of 64 images, us" in log


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
    script = runpy.run_path(SCRIPT)
    order = list(script["PARTS"])
    assert order[:2] == ["device", "gradients"]
    first = order[: order.index("parity")]
    assert {"graphs_of_one_kernel", "host_side", "speed", "amhcd"} <= set(first)
    assert script["SECONDS"] + gpu.MIN_SECONDS < 240


def test_what_a_part_has_found_by_its_end_counts():
    in_a_process = runpy.run_path(SCRIPT)["in_a_process"]
    part = 'import time; print(\'{"first": 1}\\n{"second": 2}\', flush=True); time.sleep(60)'
    in_a_process.__globals__["PROGRAM"] = ["-c", part]
    found = in_a_process("amhcd", 3, [])
    assert found.pop("traceback") == [] and found == {"second": 2, "error": "not over after 3 s"}


def test_a_check_that_is_stopped_ends_with_what_it_has(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text(
        ARRAYS_ALONE + 'import sys, time\nif "kernels" in sys.argv: time.sleep(60)\n'
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = [sys.executable, "-m", "studies.gpu_check", "--small", "--out", str(tmp_path)]
    command += ["--only", "device", "kernels"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        while "part_seconds" not in process.stdout.readline():
            assert process.poll() is None
        process.terminate()
        rest = process.stdout.read()
    assert process.returncode == 143 and rest.count("not measured") == len(FLOORS)
    assert (tmp_path / "gpu_check.log").read_text().endswith(rest)
    assert list(json.loads((tmp_path / "gpu_check.json").read_text())) == ["device"]


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
    assert late["first"]["left out"] == "the 1 s for all parts were over"
    assert outcome["second"]["error"] == "E" and "error" not in late["first"]


def test_the_end_of_all_time_is_no_fault_of_a_part():
    def ended(name: str, seconds: float) -> dict:
        return {"value": 3, "error": f"{gpu.NOT_OVER} {seconds:.0f} s"}

    limits = {"short": 7.0, "long": 1e9}
    outcome = gpu.run_parts(limits, ended, 60, lambda line: None, lambda all_: None)
    assert outcome["short"]["error"] == "not over after 7 s" and "left out" not in outcome["short"]
    assert "error" not in outcome["long"] and outcome["long"]["value"] == 3
    assert outcome["long"]["left out"] == "the 60 s for all parts were over"


def test_a_part_that_is_not_there_is_named(monkeypatch, capsys):
    assert run(monkeypatch, "--only", "speling") == 2
    assert "no part 'speling'; there are device, gradients" in capsys.readouterr().err
    assert run(monkeypatch, "--amhcd", "none.zip") == 2
    assert capsys.readouterr().err == "error: --amhcd none.zip: no such file\n"
