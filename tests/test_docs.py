"""README and documentation: sizes, links, commands and options that exist, examples that run."""

import contextlib
import functools
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commandline import files_in

import lenet_xp
from lenet_xp import plots
from lenet_xp.commands import main
from lenet_xp.scores.summary import Scores

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.fr.md")
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
)
OLD = "CHANGELOG.md"  # it names commands that are gone


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def code_blocks(text, language):
    """The fenced blocks of a language; "" for those of none."""
    return [block for named, block in FENCED.findall(text) if named == language]


def indented(text):
    """The lines of indented code blocks."""
    return re.findall(r"^    (\S.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("name", READMES)
def test_a_readme_is_short_and_leads_to_the_layers_early(name):
    text = text_of(name)
    assert len(text.encode()) <= 6000
    lines = text.splitlines()
    places = [
        next(number for number, line in enumerate(lines, 1) if f"lenet_xp/{module}.py" in line)
        for module in ("layers", "losses", "optim", "schedules", "model", "fused")
    ]
    assert places == sorted(places) and places[-1] <= 60


def test_the_gate_finds_the_line_that_runs_the_tests():
    first = next(line for line in text_of("README.md").splitlines() if "python -m pytest" in line)
    assert first.startswith("    python3 -m venv .venv-test && ") and "'.[test]'" in first


def test_both_readmes_have_the_same_code_and_figures():
    ours, theirs = map(text_of, READMES)
    assert indented(ours) == indented(theirs)
    assert code_blocks(ours, "python") == code_blocks(theirs, "python")
    figures = re.findall(r"\*\*([\d.]+) %\*\*(?: ± ([\d.]+))?", ours)
    french = re.findall(r"\*\*([\d,]+) %\*\*(?: ± ([\d,]+))?", theirs)
    assert figures == [tuple(each.replace(",", ".") for each in pair) for pair in french]
    assert len(figures) == 4


def test_the_figures_of_the_readme_are_in_the_table_of_figures():
    figures = text_of("docs/figures.md")
    for figure in re.findall(r"\*\*[\d.]+ %\*\*(?: ± [\d.]+)?", text_of("README.md")):
        assert figure in figures


def unfenced(text):
    """A page without its fenced blocks."""
    return FENCED.sub("", text)


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name):
    for link in re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", unfenced(text_of(name))):
        path, _, place = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        assert not place or f"#{place}" in anchors(target.read_text(encoding="utf-8")), link


def anchors(text):
    """The addresses of the headings, as GitHub and MkDocs make them of plain words."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {"#" + re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}


def command_lines(text):
    """Every command of ours in code, as words, and options that stand alone in code."""
    text = unfenced(text)
    spans = re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", text)
    for line in (*indented(text), *spans):
        for part in re.split(r"&&|\|", line):
            if not re.match(r"\s*(\S*lenet-xp |\S*python3? |predict |train |--)", part):
                continue
            words = shlex.split(part)
            first = Path(words[0]).name
            if first == "lenet-xp":
                yield tuple(words[1:])
            elif words[1:2] == ["-m"] and words[2] == "lenet_xp":
                yield tuple(words[3:])
            elif words[1:2] == ["-m"] and words[2].startswith("studies."):
                yield tuple(words[2:])
            elif len(words) > 1 and words[1].startswith("scripts/"):
                assert (ROOT / words[1]).is_file(), words[1]
                yield (Path(words[1]).stem, *words[2:])
            elif first in main.COMMANDS or first.startswith("--"):
                yield tuple(words)


@functools.cache
def options_of(command):
    """The options that a command's usage names, and their other names."""
    if command.startswith("studies."):
        asked = [sys.executable, "-m", command, "--help"]
        done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        shown = done.stdout
    else:
        assert command in main.COMMANDS, command
        with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit):
            main.start(command, ["--help"])
        shown = out.getvalue()
    usage, _, rest = shown.partition("\n\n")
    named = [usage, *re.findall(r"^  (--.*?)(?:  |$)", rest, re.MULTILINE)]
    return set(re.findall(r"--[a-z][a-z0-9-]+", " ".join(named))) | {"--help"}


@pytest.mark.parametrize("name", [name for name in PAGES if name != OLD])
def test_every_command_and_option_exists(name):
    lines = [words for words in command_lines(text_of(name)) if words]
    studies = {words[0] for words in lines if words[0].startswith("studies.")}
    some = set().union({"--version"}, *map(options_of, (*main.COMMANDS, *studies)))
    for words in lines:
        named = {word for word in words if word.startswith("--")}
        known = some if words[0].startswith("--") else options_of(words[0])
        assert named <= known, words


def test_the_documentation_names_every_command():
    named = {words[0] for words in command_lines(text_of("docs/commands.md")) if words}
    assert set(main.COMMANDS) <= named


@pytest.mark.parametrize("name", (*READMES, "docs/reading.md"))
def test_the_first_command_prints_what_the_text_says(name, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    lines = indented(text_of(name))
    place = next(n for n, line in enumerate(lines) if line.endswith("predict docs/letter.png"))
    assert main.start("predict", ["docs/letter.png"]) == 0
    assert capsys.readouterr().out == lines[place + 1] + "\n"


def run_example(code, capsys, **names):
    capsys.readouterr()
    exec(code, names)
    return capsys.readouterr().out


@pytest.mark.parametrize("name", READMES)
def test_the_readmes_example_prints_what_it_says(name, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    text = text_of(name)
    (example,) = code_blocks(text, "python")
    said = re.match(r"\s*\w+ `([^`]+)`", text.partition(example + "```")[2])
    assert run_example(example, capsys) == said[1] + "\n"


def test_the_example_of_reading_prints_what_it_says(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    text = text_of("docs/reading.md")
    (example,) = code_blocks(text, "python")
    (said,) = code_blocks(text.partition(example)[2].partition("```")[2], "")
    assert run_example(example, capsys) == said


def test_the_examples_of_training_run(capsys, monkeypatch, tmp_path):
    pictures, diagrams, scikit, layers = code_blocks(text_of("docs/training.md"), "python")
    rng = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    scores = Scores(np.arange(20) % 3, rng.dirichlet((1, 1, 1), 20), ("ya", "yab", "yaz"))
    run_example(pictures, capsys)
    assert (tmp_path / "maps.png").stat().st_size > 10_000
    run_example(diagrams, capsys, scores=scores, plots=plots)
    shown = run_example(
        scikit.replace("n_jobs=2", "n_jobs=1"),
        capsys,
        images=rng.integers(0, 256, (60, 32, 32), np.uint8),
        names=np.array(["ya", "yab", "yaz"] * 20),
        writers=np.arange(60) % 5,
        others=rng.integers(0, 256, (2, 32, 32), np.uint8),
    )
    assert len(shown.strip("[]\n").split()) == 5
    shown = run_example(layers, capsys)
    assert "63,661" in shown and shown.endswith("(33, 8)\n")


def test_the_examples_of_looking_inside_run(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    text = text_of("docs/inside.md")
    checked, gradient, picture, soft = code_blocks(text, "python")
    (said,) = code_blocks(text, "")
    table = [line.split() for line in run_example(checked, capsys).splitlines()]
    assert [row[::2] for row in table] == [line.split()[::2] for line in said.splitlines()]
    assert run_example(gradient, capsys) == "(1, 1, 32, 32)\n"
    run_example(gradient + picture + "assert figure.axes\n", capsys)
    assert run_example(soft, capsys) == "(8,) (33, 8)\n"


def test_a_network_of_ones_own_in_ten_minutes(tmp_path, monkeypatch, capsys):
    text = text_of("docs/own-network.md")
    layers, training, keeping, mnist = code_blocks(text, "python")
    shutil.copy(ROOT / "docs" / "letter.png", tmp_path)
    monkeypatch.chdir(tmp_path)
    (summary,) = code_blocks(text, "")
    shown = run_example(layers + training + keeping, capsys)
    assert shown.startswith(summary)
    accuracy, letter = re.fullmatch(
        r"validation accuracy (\d+)%\n(\w+)\n", shown[len(summary) :]
    ).groups()
    assert int(accuracy) > 60 and letter in lenet_xp.load_model().class_names
    assert main.start("predict", ["--model", "mine.npz", "letter.png"]) == 0

    (recipe,) = code_blocks(text, "toml")
    Path("small.toml").write_text(recipe)
    for line in indented(unfenced(text)):
        command, *words = shlex.split(line.removeprefix("lenet-xp "))
        assert main.start(command, [*words, *["--no-plots"] * (command == "train")]) == 0, line
    assert files_in(tmp_path / "runs") and (tmp_path / "small.onnx").exists()

    rng = np.random.default_rng(0)
    digits = {
        f"{name}_{part}": rng.integers(0, 10 if name == "y" else 256, shape, np.uint8)
        for part, count in (("train", 60), ("test", 10))
        for name, shape in (("x", (count, 28, 28)), ("y", (count,)))
    }
    np.savez("mnist.npz", **digits)
    score = run_example(mnist.replace("epochs=20", "epochs=1"), capsys)
    assert 0 <= float(score) <= 1


def test_ones_own_letters_in_ten_minutes(tmp_path, monkeypatch, capsys):
    text = text_of("docs/own-letters.md")
    pictures, using, scikit = code_blocks(text, "python")
    monkeypatch.chdir(tmp_path)
    run_example(pictures, capsys)
    assert {path.name for path in Path("mine").iterdir()} == {"house", "yab", "yaz", "yi"}
    lines = list(indented(unfenced(text)))
    assert [line.split()[1] for line in lines] == ["train", "predict", "evaluate", "audit"]
    for line in lines:
        command, *words = shlex.split(line.removeprefix("lenet-xp "))
        assert main.start(command, [*words, *["--no-plots"] * (command == "train")]) == 0, line
        if command == "predict":
            assert capsys.readouterr().out.count("house") > 17
    assert run_example(using, capsys) == "house\n"
    assert Path("doubts/doubtful.csv").is_file()
    assert int(run_example(scikit, capsys).partition("%")[0]) > 80


def keys_of(value):
    """The names in nested JSON, without the values."""
    if isinstance(value, dict):
        return {name: keys_of(each) for name, each in value.items()}
    return [keys_of(each) for each in value[:1]] if isinstance(value, list) else None


def test_the_json_of_predict_is_as_documented(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    text = text_of("docs/reading.md")
    (example,) = code_blocks(text, "json")
    assert main.start("predict", ["docs/letter.png", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert keys_of(found) == keys_of(json.loads(example)) and found["version"] == 1
    assert main.start("predict", ["--page", "docs/letter.png", "--json"]) == 0
    (page,) = json.loads(capsys.readouterr().out)["results"]
    for name in (*page, *page["letters"][0], *page["letters"][0]["box"]):
        assert f"`{name}`" in text, name


def test_the_changes_begin_with_this_version():
    first = re.search(r"^## (\S+) \((\d{4}-\d\d-\d\d)\)$", text_of(OLD), re.MULTILINE)
    assert first[1] == lenet_xp.__version__
    assert f'date-released: "{first[2]}"' in text_of("CITATION.cff")
