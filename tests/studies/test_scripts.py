"""The scripts themselves, as a user starts them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lenet_xp.commands import main

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = tuple(main.COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_system_library_of_opencv_is_one_line(command, tmp_path):
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object')")
    outcome = subprocess.run(
        [sys.executable, "-m", "lenet_xp", command, "--help"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert outcome.returncode == 2
    assert outcome.stdout == ""
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("error: ")
    assert "libgl1" in line and "opencv-python-headless" in line


def test_the_demos_picture_without_selenium_is_one_line(tmp_path):
    (tmp_path / "selenium.py").write_text("raise ImportError(\"No module named 'selenium'\")")
    outcome = subprocess.run(
        [sys.executable, "-m", "studies.demo_picture"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert outcome.returncode == 2 and outcome.stdout == ""
    (line,) = outcome.stderr.splitlines()
    assert line == "error: No module named 'selenium'; pip install '.[test]'"
