"""The notebook runs from top to bottom, and is committed with outputs that show no AMHCD image."""

import builtins
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "lenet5_tifinagh.ipynb"

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell):
    return "".join(out.text for out in cell.outputs if out.output_type == "stream")


def pictures(cell):
    return [out for out in cell.outputs if "image/png" in out.get("data", {})]


def cell_with(notebook, text):
    (found,) = [cell for cell in code(notebook) if text in cell.source]
    return found


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook after a run on a few generated letters, by the script that makes it."""
    out = tmp_path_factory.mktemp("notebook") / "executed.ipynb"
    small = {"LENET_XP_SAMPLES": "15", "LENET_XP_EPOCHS": "1"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "studies.make_notebook",
            "--data",
            "synthetic",
            "--out",
            out,
        ],
        env={**os.environ, **small},
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return nbformat.read(out, as_version=4)


def test_every_cell_runs_and_the_journey_is_whole(executed, committed):
    counts = [cell.execution_count for cell in code(executed)]
    assert counts == list(range(1, len(counts) + 1))
    assert "495 images of 33 letters" in printed(cell_with(executed, "load_dataset("))
    assert "63,661" in printed(cell_with(executed, "model.summary()"))
    assert "epoch  1  loss" in printed(cell_with(executed, "result = fit("))
    assert printed(cell_with(executed, "in scores.per_class")).count("%") == 99
    drawn = [cell for cell in code(executed) if re.search(r"plots\.\w+\(", cell.source)]
    assert len(drawn) == 7
    shown = [cell for cell in drawn if pictures(cell)]
    assert [c for c in drawn if c not in shown] == [cell_with(executed, "plots.misclassified")]
    assert [cell.source for cell in executed.cells] == [cell.source for cell in committed.cells]


@pytest.fixture
def set_up(committed, monkeypatch, tmp_path):
    """A function that runs the set-up where lenet_xp is not installed; what it gives to %pip."""
    source = re.sub(
        r"%pip install (.*)", r"installed.append(f'\1')", cell_with(committed, "%pip").source
    )

    def run(folder=tmp_path, given=""):
        installed, real = [], builtins.__import__

        def import_module(name, *rest):
            if name == "lenet_xp" and not installed:
                raise ImportError(name)
            return real(name, *rest)

        monkeypatch.chdir(folder)
        with monkeypatch.context() as patch:
            patch.setattr(builtins, "__import__", import_module)
            names = {"installed": installed}
            exec(source.replace('SOURCE = ""', f"SOURCE = {given!r}"), names)
        assert "lenet_xp" in names
        return installed

    return run


def test_a_notebook_in_a_clone_installs_the_clone(set_up):
    assert set_up(ROOT / "notebooks") == set_up(ROOT) == [f'-q "{ROOT}"']


def test_a_notebook_alone_takes_an_uploaded_wheel_or_an_address(set_up, tmp_path):
    """As on Colab, where there is no clone."""
    with pytest.raises(ImportError, match=r"upload its wheel.*SOURCE"):
        set_up()
    assert set_up(given="git+https://host/x") == ['-q "git+https://host/x"']
    (tmp_path / "lenet_xp-0.2.0-py3-none-any.whl").touch()
    assert set_up() == [f'-q "{tmp_path / "lenet_xp-0.2.0-py3-none-any.whl"}"']
    assert set_up(given="git+https://host/x") == ['-q "git+https://host/x"']


@pytest.mark.parametrize(("spec", "data"), [(None, "synthetic"), ("found", "amhcd")])
def test_without_kagglehub_the_notebook_draws_its_own_letters(committed, monkeypatch, spec, data):
    monkeypatch.delenv("LENET_XP_DATA", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    names = {}
    exec(cell_with(committed, "LENET_XP_DATA").source, names)
    assert names["DATA"] == data


def test_the_committed_outputs_are_of_amhcd_and_show_none_of_it(committed):
    counts = [cell.execution_count for cell in code(committed)]
    assert counts == list(range(1, len(counts) + 1))
    assert "25,740 images" in printed(cell_with(committed, "load_dataset("))
    assert "generated letters" in printed(cell_with(committed, "plots.letter_sheet"))
    assert not pictures(cell_with(committed, "plots.misclassified"))
    for cell in code(committed):
        assert not [out for out in cell.outputs if out.output_type == "error"]
        assert not [out for out in cell.outputs if out.get("name") == "stderr"]
        assert "/tmp" not in printed(cell) and "/home" not in printed(cell)
    assert NOTEBOOK.stat().st_size < 2_000_000
