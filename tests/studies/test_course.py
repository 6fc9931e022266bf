"""The course: made from one source, run from top to bottom in both languages, and from a wheel."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import cuda_on_cpu
import pytest
from conftest import ROOT

from lenet_xp.errors import InputError
from studies.course import lessons
from studies.course.__main__ import main, texts

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

SAYS = {"en": ("✗ not yet", "✓ right"), "fr": ("✗ pas encore", "✓ juste")}
EXERCISES = {1: 4, 2: 5, 3: 4, 4: 4}
PICTURES = {1: 6, 2: 6, 3: 9, 4: 5}  # those of a check are drawn twice
STAND_IN = """
import sys
sys.path.insert(0, {!r})
import cupy_stand_in
sys.modules["cupy"] = cupy_stand_in.module()
"""
IN_ROOM = """
import sys, nbclient, nbformat
source, target = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
nbclient.NotebookClient(notebook, timeout=120).execute()
nbformat.write(notebook, target)
"""


def executed(cells, folder):
    """A notebook of these cells, (kind, text), after a run in a folder."""
    v4 = nbformat.v4
    make = {"code": v4.new_code_cell, "markdown": v4.new_markdown_cell}
    notebook = v4.new_notebook(cells=[make[kind](text) for kind, text in cells])
    where = {"metadata": {"path": folder}}
    client = nbclient.NotebookClient(notebook, timeout=120, resources=where)
    # Loops are slow under coverage, and pictures need the notebook's own way to show them.
    client.execute(env=environment("COV", "MPLBACKEND"))
    return notebook


def environment(*without):
    """The environment but for variables that begin so."""
    return {k: v for k, v in os.environ.items() if not k.startswith(without)}


def printed(notebook, stream="stdout"):
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    return "".join(out.text for out in outputs if out.get("name") == stream)


@pytest.mark.parametrize("language", lessons.LANGUAGES)
@pytest.mark.parametrize("number", lessons.NUMBERS)
def test_a_lesson_runs_and_each_check_knows_the_solution(number, language, tmp_path):
    """Every cell as a student meets it; after each check its solution, and the check again."""
    notebook = executed(lessons.cells(number, language, solved=True), tmp_path)
    found = re.findall("|".join(SAYS[language]), printed(notebook))
    assert found == [*SAYS[language]] * EXERCISES[number]
    assert printed(notebook, "stderr") == ""
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert sum("image/png" in out.get("data", {}) for out in outputs) == PICTURES[number]


def test_lesson_4_runs_on_a_gpus_arrays(tmp_path):
    """As where CuPy is; the stand-in is slow, so the networks stay as they were born."""
    if cuda_on_cpu.compiler() is None:
        pytest.skip("needs g++ on Linux to run the CUDA kernels on the CPU")
    cells = [("code", text) for kind, text in lessons.cells(4, "en") if kind == "code"]
    (place,) = [place for place, (_, text) in enumerate(cells) if "fit(net, recipe" in text]
    text = cells[place][1].replace("    fit(net, recipe, *parts, prepared[name], seed=0)\n", "")
    assert text != cells[place][1]
    cells[place] = (
        "code",
        text.replace("generate(52", "generate(2").replace("generate(13", "generate(1"),
    )
    notebook = executed([("code", STAND_IN.format(str(ROOT / "tests"))), *cells], tmp_path)
    assert re.search(r'get_ops\("cupy"\) .* \d+\.\d ms .* \de[-+]0?[06789]\b', printed(notebook))


def test_the_committed_files_are_what_the_source_makes(tmp_path, capsys):
    made = texts()
    assert len(made) == 10
    for name, text in made.items():
        assert (ROOT / "notebooks" / name).read_text(encoding="utf-8") == text, name
        assert not re.search(r"[⟦⟧]|^%% |@\w+@", text, re.MULTILINE), name
    main(["--out", str(tmp_path / "out")])
    for name, text in made.items():
        assert (tmp_path / "out" / name).read_text(encoding="utf-8") == text
    found = {path.relative_to(ROOT / "notebooks").as_posix() for path in ROOT.glob("notebooks/*/*")}
    assert found == made.keys()


def test_the_notebooks_are_valid_and_the_same_in_both_languages():
    for number in lessons.NUMBERS:
        ours, theirs = (lessons.notebook(number, each) for each in lessons.LANGUAGES)
        for each in (ours, theirs):
            nbformat.validate(nbformat.from_dict(each))
            assert not any(cell.get("outputs") for cell in each["cells"])
        kinds = [[cell["cell_type"] for cell in each["cells"]] for each in (ours, theirs)]
        assert kinds[0] == kinds[1]


def test_links_of_the_course_lead_somewhere():
    for name, text in texts().items():
        for link in re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", text):
            path, _, place = link.partition("#")
            target = ((ROOT / "notebooks" / name).parent / path).resolve()
            assert target.is_file(), link
            headings = re.findall(r"^## (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert not place or place in [each.lower().replace(" ", "-") for each in headings]


def test_a_solution_apart_from_its_check_is_refused(monkeypatch):
    blocks = [lessons.Block("check", "1.1", ""), lessons.Block("solution", "1.2", "")]
    monkeypatch.setattr(lessons, "blocks", lambda name: iter(blocks))
    with pytest.raises(InputError, match=r"solution 1\.2"):
        list(lessons.cells(1, "en", solved=True))


ELSEWHERE = environment("COV", "PYTHONPATH")  # without what leads to this clone


@pytest.mark.parametrize(("text", "why"), [("%% cod\nx", "kind %% cod"), ("x", "line such as")])
def test_a_lesson_of_another_form_is_refused(text, why, tmp_path, monkeypatch):
    monkeypatch.setattr(lessons, "HERE", tmp_path)
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons" / "1.md").write_text(text)
    with pytest.raises(InputError, match=rf"1\.md: .*{why}"):
        list(lessons.blocks("1"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The package's wheel; skipped where pip cannot get setuptools."""
    source, out = (tmp_path_factory.mktemp(name) for name in ("source", "wheel"))
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "lenet_xp", source / "lenet_xp", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", out, source]
    done = subprocess.run(command, capture_output=True, text=True, env=ELSEWHERE)
    if "requirement setuptools" in done.stderr:
        pytest.skip("pip cannot get setuptools here")
    assert done.returncode == 0, done.stderr
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture
def room(tmp_path):
    """The Python of an environment that has all but lenet_xp."""
    venv.create(tmp_path / "room", symlinks=True)
    home = {"base": str(tmp_path / "room"), "platbase": str(tmp_path / "room")}
    inside = Path(sysconfig.get_path("purelib", "venv", vars=home))
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for each in Path(folder).iterdir():
            if not each.name.lower().startswith(("lenet", "__editable__")):
                (inside / each.name).symlink_to(each)
    return tmp_path / "room" / "bin" / "python"


@pytest.mark.parametrize("beside", [True, False], ids=["wheel beside it", "SOURCE"])
def test_a_notebook_installs_the_package_from_one_variable(wheel, room, tmp_path, beside):
    """As on Colab, where the wheel is uploaded beside it, and on Kaggle, where SOURCE names it."""
    notebook = lessons.notebook(1, "fr")
    text = "".join(notebook["cells"][2]["source"])
    assert text.startswith('SOURCE = ""')
    if beside:
        shutil.copy(wheel, tmp_path)
        del notebook["cells"][4:]  # the preparation alone
    else:
        text = text.replace('SOURCE = ""', f"SOURCE = {str(wheel)!r}", 1)
    last = {"cell_type": "code", "id": "last", "metadata": {}, "outputs": []}
    last |= {"execution_count": None, "source": "print(lenet_xp.__file__)"}
    notebook["cells"][2]["source"] = text
    notebook["cells"].append(last)
    nbformat.write(nbformat.from_dict(notebook), tmp_path / "1.ipynb")
    done = subprocess.run(
        [room, "-c", IN_ROOM, "1.ipynb", "done.ipynb"],
        env=ELSEWHERE | {"PIP_NO_INDEX": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    done = nbformat.read(tmp_path / "done.ipynb", as_version=4)
    place = Path(printed(done).splitlines()[-1])
    assert place.is_relative_to(tmp_path / "room") and place.name == "__init__.py"
