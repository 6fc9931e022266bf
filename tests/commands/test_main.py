"""lenet-xp, the one command: what it lists, how it starts the others, what it says to a typo."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lenet_xp import __version__
from lenet_xp.commands import download, main, terminal

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def lenet_xp(monkeypatch, capsys):
    """A function that calls the entry point as a shell would: its status, output and errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["/usr/bin/lenet-xp", *arguments])
        capsys.readouterr()
        try:
            status = main.main()
        except SystemExit as left:  # argparse's way
            status = left.code
        return status, *capsys.readouterr()

    return call


def test_every_command_explains_itself(lenet_xp):
    commands = {path.stem for path in (ROOT / "lenet_xp" / "commands").glob("*.py")}
    assert set(main.COMMANDS) == commands - {"__init__", "main", "pictures", "terminal", "cluster"}
    for command in main.COMMANDS:
        status, out, _ = lenet_xp(command, "--help")
        assert status == 0
        assert out.startswith(f"usage: lenet-xp {command} ")
        assert f"lenet-xp {command}" in out.split("examples:\n")[1]
        assert "scripts/" not in out


def test_help_lists_all_commands_and_first_steps_that_exist(lenet_xp):
    status, out, err = lenet_xp("--help")
    assert (status, err) == (0, "") and lenet_xp() == (0, out, "")
    listed = re.findall(r"^  (\w+)  ", out.split("commands:\n")[1].split("\n\n")[0], re.M)
    assert listed == list(main.COMMANDS)
    steps = re.findall(r"^  lenet-xp (\w+)", out, re.M)
    assert steps and set(steps) <= set(main.COMMANDS)
    assert max(map(len, out.splitlines())) <= 100


def test_the_version_is_the_packages(lenet_xp):
    assert lenet_xp("--version") == (0, f"lenet-xp {__version__}\n", "")


@pytest.mark.parametrize(
    "word, meant",
    [
        ("trian", "lenet-xp train"),
        ("Evaluate", "lenet-xp evaluate"),
        (str(ROOT / "README.md"), "lenet-xp predict /"),
        ("qqq", "lenet-xp --help"),
        ("--data", "lenet-xp --help"),
        ("x" * 5000, "lenet-xp --help"),
        ("a\nb", "lenet-xp --help"),
    ],
)
def test_a_wrong_word_is_one_line_with_the_nearest(lenet_xp, word, meant):
    status, out, err = lenet_xp(word)
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("error: ") and f"try: {meant}" in line and len(line) < 300


def test_help_imports_neither_numpy_nor_the_commands():
    program = (
        "import sys; sys.argv[1:] = ['--help']; from lenet_xp.commands.main import main; main();"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'numpy', 'cv2'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("[]\n")


def test_reading_waits_for_nothing_of_training():
    program = (
        "import sys, lenet_xp.commands.predict;"
        "print([name for name in sys.modules if name.startswith('lenet_xp.training')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_module_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lenet_xp", "predict", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("usage: lenet-xp predict ")


@pytest.fixture
def kaggle(monkeypatch, tmp_path):
    """A stand-in for kagglehub that writes down what it was asked for."""
    asked = []

    def dataset_download(handle):
        asked.append(handle)
        return str(tmp_path / "amhcd")

    monkeypatch.setitem(
        sys.modules, "kagglehub", SimpleNamespace(dataset_download=dataset_download)
    )
    return asked


def test_download_says_terms_place_and_what_is_next(kaggle, tmp_path, capsys):
    assert terminal.run(download.download, []) == 0
    out, err = capsys.readouterr()
    assert kaggle == ["benaddym/amazigh-handwritten-character-database-amhcd"]
    assert "research and academic use" in err and kaggle[0] in err
    assert str(tmp_path / "amhcd") in out
    assert "next: lenet-xp train --data amhcd" in out


def test_download_as_json(kaggle, tmp_path, capsys):
    assert terminal.run(download.download, ["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == str(tmp_path / "amhcd")
    assert found["page"].endswith(kaggle[0]) and "2011" in found["terms"]


def test_a_failed_download_is_one_line_with_the_way_around(monkeypatch, capsys):
    def refuse(handle):
        raise ConnectionError("no route\nto host")

    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=refuse))
    assert terminal.run(download.download, []) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ") and "no route to host" in line and "browser" in line
