"""The script for a first session on a GPU runs through on the stand-in, and reports what fails."""

import json
import runpy
import sys
from importlib.util import find_spec

import pytest
from conftest import ROOT

from lenet_xp import parallel
from lenet_xp.benchmark import gpu, gpu_times

SCRIPT = str(ROOT / "scripts" / "gpu_check.py")


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", [SCRIPT, "--small", *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(SCRIPT, run_name="__main__")
    return ended.value.code


def test_every_part_runs_on_the_stand_in(stand_in, monkeypatch, tmp_path):
    monkeypatch.setattr(parallel, "AT_ONCE", 6)  # images; two steps, for the stand-in is slow
    parts = [*gpu.CHECKS, *gpu_times.TIMES]
    if find_spec("torch") is None:  # a peer, never needed
        parts.remove("torch_steps")
    assert run(monkeypatch, "--out", str(tmp_path), "--only", *parts) == 0
    outcome = json.loads((tmp_path / "gpu_check.json").read_text())
    assert set(outcome) == set(parts)
    assert all(outcome["determinism"][key] for key in outcome["determinism"] if "bit" in key)
    for key, value in outcome["gradients"].items():
        limit = 1e-12 if "float64" in key else 1e-4
        assert key == "part_seconds" or float(value.split()[0]) < limit
    log = (tmp_path / "gpu_check.log").read_text()
    assert all(f"{name}:\n" in log for name in parts) and "failed: nothing" in log


def test_a_part_that_fails_hides_no_other(monkeypatch, tmp_path):
    def fail(sizes):
        raise RuntimeError("no such kernel")

    parts = {"first": fail, "second": lambda sizes: {"value": 3}}
    lines = []
    outcome = gpu.run_parts(parts, gpu.SMALL, 60, lines.append)
    assert outcome["first"]["error"] == "RuntimeError: no such kernel"
    assert outcome["second"]["value"] == 3 and "    value: 3" in lines
    late = gpu.run_parts({"late": fail}, gpu.SMALL, -1, lines.append)
    assert "left out" in late["late"]["error"]
