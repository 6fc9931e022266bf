"""Every study runs from a clone as `python -m studies.NAME`, with the manners of a command."""

import argparse
import re
import runpy
import subprocess
import sys

import pytest
from conftest import ROOT

from lenet_xp.errors import InputError
from studies.__main__ import studies

STUDIES = sorted(studies())
pytestmark = pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")


@pytest.fixture
def status_of(monkeypatch):
    """A function that runs a study in this process and returns its exit status."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # a study may set it

    def run(name: str, *arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(f"studies.{name}", run_name="__main__", alter_sys=True)
        return ended.value.code

    return run


def test_the_studies_are_those_of_the_folder():
    files = {path.stem for path in (ROOT / "studies").glob("*.py")} - {"__init__", "__main__"}
    packages = {"course", "effects", "mutants", "page_check", "report", "search", "speed"}
    assert set(STUDIES) == files | packages


@pytest.mark.parametrize("name", STUDIES)
def test_help_has_options_and_examples(name, status_of, capsys):
    assert status_of(name, "--help") == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m studies.{name} ")
    examples = text.split("\nexamples:\n")[1]
    assert re.search(rf"^  .*python -m studies\.{name}\b", examples, re.MULTILINE)


@pytest.mark.parametrize("name", STUDIES)
def test_bad_input_is_one_line_and_ctrl_c_ends_a_study(name, status_of, capsys, monkeypatch):
    def failing(error):
        def parse_args(self, arguments=None):
            raise error

        monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)

    failing(InputError("x.zip: is broken"))
    assert status_of(name) == 2
    assert capsys.readouterr().err == "error: x.zip: is broken\n"
    failing(KeyboardInterrupt())
    assert status_of(name) == 130


def test_the_list_has_a_line_for_each_study():
    done = subprocess.run(
        [sys.executable, "-m", "studies"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0 and not done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[2] for line in lines] == [f"studies.{name}" for name in STUDIES]
    for line in lines:
        assert len(line) <= 130 and re.search(r"  [A-Z][^\n]+\.$", line), line
