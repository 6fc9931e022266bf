"""The study of the library as a guest: its count of faults can be trusted."""

import json
import sys

import pytest

from lenet_xp.commands import terminal
from lenet_xp.system.processes import can_start
from studies import guest

pytestmark = pytest.mark.skipif(not can_start(), reason="needs worker processes")


def counted(monkeypatch, capsys, program, rounds):
    monkeypatch.setattr(guest, "HOST", program)
    monkeypatch.setattr(guest, "SILENCE", 2.0)
    with pytest.raises(SystemExit):
        terminal.run(guest.main, ["--rounds", str(rounds)])
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_round_without_faults_is_recorded(tmp_path, capsys):
    assert terminal.run(guest.main, ["--rounds", "2", "--out", str(tmp_path)]) == 0
    name = f"python-{sys.version_info.major}.{sys.version_info.minor}.json"
    record = json.loads((tmp_path / name).read_text())
    assert record["rounds"] == 2 and record["log_lines"] > 0
    assert set(record["faults"].values()) == {0}


def test_a_host_that_says_nothing_hangs(monkeypatch, capsys):
    assert counted(monkeypatch, capsys, "import time; time.sleep(60)", 2)["hangs"] == 2


def test_other_bits_and_lost_lines_are_counted(monkeypatch, capsys):
    program = """
import json, sys
print("line 0", file=sys.stderr)
print(json.dumps({"round": 0, "other": ["fit", "read"]}))
print(json.dumps({"lines": 3, "expected": []}))
"""
    faults = counted(monkeypatch, capsys, program, 1)
    assert faults == {"hangs": 0, "other_bits": 2, "lost_lines": 2, "failed_hosts": 0}


def test_a_host_that_fails_is_counted(monkeypatch, capsys):
    assert counted(monkeypatch, capsys, "raise SystemExit(3)", 1)["failed_hosts"] == 1
