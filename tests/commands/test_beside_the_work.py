"""What stands beside the work (streams, pictures, home, code page) fails without stopping it."""

import errno
import json
import os
import pwd
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commandline import QUICK, ROOT, call, files_in, letters_folder

from lenet_xp.commands import terminal
from lenet_xp.letters.synthetic import generate
from lenet_xp.model import LeNet5
from lenet_xp.model_file import SavedModel, save_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2
from lenet_xp.training.record import RESULTS

__all__ = ["call"]  # the fixture

NAMES = ("ya", "yan", "yat")
DRAWN = {name for name in RESULTS if name.endswith(".png")}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with data, a model and a letter, whose name has a blank."""
    work = tmp_path_factory.mktemp("of mine")
    letters_folder(work / "data")
    save_model(work / "model.npz", SavedModel(LeNet5(3), Preprocessing(), NAMES, {}))
    cv2.imwrite(str(work / "letter.png"), generate(1)[0][0])
    return work


def shell(line, place, **environment):
    """A line in bash; $L is the command. Its status, output and errors."""
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "LENET_XP_CACHE": str(place / "cache"),
        "OPENBLAS_NUM_THREADS": "1",
        "L": f"{shlex.quote(sys.executable)} -m lenet_xp",
    } | environment
    for name in [name for name, value in variables.items() if value is None]:
        del variables[name]
    ran = subprocess.run(
        ["bash", "-c", line], cwd=place, env=variables, capture_output=True, timeout=300
    )
    encoding = environment.get("PYTHONIOENCODING", "utf-8").partition(":")[0]
    out, err = (text.decode(encoding, "replace") for text in (ran.stdout, ran.stderr))
    assert "Traceback" not in err and "Exception ignored" not in err, err
    return ran.returncode, out, err


TRAIN = f"$L train --data data --no-cache {' '.join(QUICK)} --out"
CLOSED = {
    "stderr": "2>&-",
    "stdout": ">&-",
    "both": ">&- 2>&-",
    "all": "<&- >&- 2>&-",
    "full stderr": "2>/dev/full",
}


@pytest.mark.parametrize("streams", CLOSED.values(), ids=CLOSED)
def test_a_run_trains_whatever_streams_it_has(place, tmp_path, streams):
    out = shlex.quote(str(tmp_path / "run"))
    assert shell(f"{TRAIN} {out} {streams}", place)[0] == 0
    assert files_in(tmp_path / "run") == ["history.csv", "metrics.json", "model.npz", "recipe.toml"]
    for name in files_in(tmp_path / "run"):  # no message took the place of bytes
        content = (tmp_path / "run" / name).read_bytes()
        assert b"epoch  1/" not in content and b"parameters;" not in content
    exported = shlex.quote(str(tmp_path / "a.safetensors"))
    assert shell(f"$L export --to {exported} {streams}", place)[0] == 0
    assert (tmp_path / "a.safetensors").stat().st_size > 100_000


PRINTED = (
    "predict letter.png",
    "predict letter.png --json",
    "evaluate model.npz --data data",
    "audit --data data",
    "--help",
    "--version",
    "audit --help",
)


@pytest.mark.parametrize("command", PRINTED)
def test_what_could_not_be_printed_is_no_success(place, command):
    status, _, err = shell(f"$L {command} >&-", place)
    assert status == 2 and err.splitlines()[-1] == "error: standard output: it is closed"
    status, out, err = shell(f"$L {command} >/dev/full", place)
    assert status == 2
    assert err.splitlines()[-1] == "error: standard output: No space left on device"
    assert shell(f"$L {command} >&- 2>&-", place)[0] == 2
    status, out, err = shell(f"$L {command} 2>&- <&-", place)
    assert status == 0 and len(out) > 8


@pytest.mark.parametrize("output", (">&-", ">/dev/full"))
def test_files_are_written_all_the_same(place, tmp_path, output):
    """Each line is flushed at once, so that the first one would already end the command."""
    out = shlex.quote(str(tmp_path))
    line = f"$L predict --page data/ya/ya_1.jpeg letter.png data/ya/ya_2.jpeg --out {out} {output}"
    status, _, err = shell(line, place, PYTHONUNBUFFERED="1")
    assert status == 2 and err.count("error: standard output: ") == 1
    assert len([name for name in files_in(tmp_path) if name.endswith(".json")]) == 3
    line = f"$L evaluate model.npz --data data --out {out} {output}"
    status, _, err = shell(line, place, PYTHONUNBUFFERED="1")
    assert status == 2 and set(files_in(tmp_path)) >= {"scores.json", "confusion_matrix.png"}


@pytest.mark.parametrize("command", PRINTED)
def test_a_reader_who_leaves_hears_nothing_more(place, command):
    _, _, err = shell(f"$L {command} 2>err | true; echo ${{PIPESTATUS[0]}} >&2", place)
    assert err == "141\n" and "error" not in (place / "err").read_text()
    _, out, err = shell(f"$L {command} 2>err | head -c 9; echo ${{PIPESTATUS[0]}} >&2", place)
    assert err in ("141\n", "0\n") and len(out) == 9


def test_an_error_without_standard_error_has_its_status(place):
    assert shell("$L predict nothing.png 2>&-", place)[:2] == (2, "")
    assert shell("$L nonsense 2>&-", place)[:2] == (2, "")
    assert shell("$L train --epochs 0 2>&-", place)[:2] == (2, "")


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "cp1252:strict"},
    ],
    ids=lambda each: next(iter(each.values())),
)
def test_a_narrow_code_page_costs_glyphs_alone(place, tmp_path, environment):
    (tmp_path / "é😀").mkdir()
    name = tmp_path / "é😀" / "ⵣ.png"
    name.write_bytes((place / "letter.png").read_bytes())
    status, out, err = shell(f"$L predict {shlex.quote(str(name))} --json", place, **environment)
    assert (status, err) == (0, "")
    (read,) = json.loads(out)["results"]
    expected = str(name)
    if "LC_ALL" in environment:  # in which a name is bytes
        expected = os.fsencode(expected).decode("ascii", "surrogateescape")
    assert read["file"] == expected and read["readings"][0]["glyph"]
    status, out, err = shell(f"$L predict {shlex.quote(str(name))}", place, **environment)
    assert (status, err) == (0, "") and "\\u2d" in out
    out = shlex.quote(str(tmp_path / "ⵣ"))
    assert shell(f"{TRAIN} {out}", place, **environment)[0] == 0
    assert json.loads((tmp_path / "ⵣ" / "metrics.json").read_text("utf-8"))["epochs"] == 1


# Home


@pytest.fixture(params=[None, "", "relative", "/nowhere", "/proc"])
def homeless(request, monkeypatch):
    """A user id without a name, as containers have, and no HOME or an odd one."""

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "LENET_XP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if request.param is not None:
        monkeypatch.setenv("HOME", request.param)
    return request.param


def test_without_a_home_there_is_no_cache(homeless, place, tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = call("audit", "--data", place / "data")
    assert outcome.status == 0 and "45 images" in outcome.out
    assert call("train", "--data", place / "data", "--out", "run", *QUICK).status == 0
    assert call("evaluate", "run/model.npz", "--data", place / "data").status == 0
    left = ["history.csv", "metrics.json", "model.npz", "recipe.toml"]
    assert files_in(tmp_path / "run") == left and [*tmp_path.iterdir()] == [tmp_path / "run"]
    assert not Path("/.cache").exists()
    call("audit", "--data", "~/nothing").assert_refused("nothing: there is no such file or folder")


def test_a_tilde_after_an_equals_sign_is_the_home_folder(place, call, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert call("train", "--data", place / "data", "--out=~/run", *QUICK).status == 0
    assert (tmp_path / "run" / "model.npz").exists()


# Pictures


def spoiled(name, place, tmp_path):
    """Environment variables with which matplotlib cannot draw."""
    module = tmp_path / "spoiled"
    (module / "matplotlib").mkdir(parents=True)
    (module / "matplotlib" / "__init__.py").write_text(name)
    return {"PYTHONPATH": f"{module}{os.pathsep}{ROOT}"}


@pytest.mark.parametrize(
    "backend", ["module://matplotlib_inline.backend_inline", "module://no_such.backend", "nonsense"]
)
def test_a_notebooks_shell_may_name_any_backend(place, tmp_path, backend):
    line = TRAIN.replace(" --no-plots", "")
    status, _, err = shell(f"{line} {shlex.quote(str(tmp_path))}", place, MPLBACKEND=backend)
    assert status == 0 and "WARNING" not in err
    assert set(files_in(tmp_path)) >= DRAWN


def test_an_unwritable_place_for_settings_costs_no_picture(place, tmp_path):
    line = TRAIN.replace(" --no-plots", "")
    out = shlex.quote(str(tmp_path))
    status, _, err = shell(f"{line} {out}", place, MPLCONFIGDIR="/proc/nowhere", HOME=None)
    assert status == 0 and "WARNING" not in err and set(files_in(tmp_path)) >= DRAWN


@pytest.mark.parametrize(
    "content", ["raise ModuleNotFoundError('matplotlib')", "raise ValueError('a\\nb')", "1"]
)
def test_a_run_without_pictures_says_how_to_draw_them_and_that_draws_all(place, tmp_path, content):
    out, line = tmp_path / "a run", TRAIN.replace(" --no-plots", "")
    broken = spoiled(content, place, tmp_path)
    status, _, err = shell(f"{line} {shlex.quote(str(out))}", place, **broken)
    assert status == 0
    (warning,) = [line for line in err.splitlines() if line.startswith("WARNING: not all pictures")]
    assert set(files_in(out)) >= {name for name in RESULTS if not name.endswith(".png")} - {
        "misclassified.png"
    }
    before = {name: (out / name).read_bytes() for name in RESULTS if name not in DRAWN}
    command = warning.partition("draw them later with: lenet-xp ")[2]
    again = shell(f"$L {command}", place, **broken)  # is as before
    assert again[0] == 0 and warning in again[2]
    status, _, err = shell(f"$L {command}", place)
    assert status == 0 and "WARNING" not in err
    assert set(files_in(out)) == set(RESULTS)
    assert {name: (out / name).read_bytes() for name in before} == before
    assert shell(f"$L {command}", place)[0] == 2  # nothing is left to do


def test_pictures_are_drawn_from_the_same_data_only(place, tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = letters_folder(tmp_path / "data")
    options = [each for each in QUICK if each != "--no-plots"]
    monkeypatch.setattr("lenet_xp.commands.train._draw", None)
    assert call("train", "--data", data, "--out", "run", "--no-cache", *options).status == 0
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    for file in (data / "ya").iterdir():
        file.write_bytes((data / "yan" / file.name.replace("ya_", "yan_")).read_bytes())
    outcome = call("train", "--resume", "run")
    assert outcome.status == 2 and "not the images that the run began with" in outcome.err
    assert (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.parametrize("number", [0, 3])
def test_a_disk_that_fills_while_drawing_costs_pictures_alone(
    place, tmp_path, call, monkeypatch, number
):
    """A run and an evaluation: all else is written, and the same data draw the rest later."""
    from lenet_xp.plots import canvas

    monkeypatch.chdir(tmp_path)
    write, written = canvas.atomic_write, []

    def fills(path):
        written.append(path)
        if len(written) > number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path)

    options = [each for each in QUICK if each != "--no-plots"]
    run = "train", "--data", place / "data", "--no-cache", "--out", "run", *options
    scores = "evaluate", "run/model.npz", "--data", place / "data", "--no-cache", "--out", "scores"
    for command, again in ((run, ("train", "--resume", "run")), (scores, scores)):
        written.clear()
        monkeypatch.setattr(canvas, "atomic_write", fills)
        outcome = call(*command)
        assert outcome.status == 0 and outcome.out
        assert "not all pictures could be drawn (No space left" in outcome.err or (
            "not all pictures could be drawn ([Errno 28] No space left" in outcome.err
        )
        folder = tmp_path / command[command.index("--out") + 1]
        assert len([name for name in files_in(folder) if name.endswith(".png")]) == number
        monkeypatch.setattr(canvas, "atomic_write", write)
        assert call(*again).status == 0
        drawn = {name for name in files_in(folder) if name.endswith(".png")}
        own = {"learning_curves.png", "feature_maps.png", "filters.png"}
        assert drawn == (DRAWN if command is run else DRAWN - own)
    assert (tmp_path / "scores" / "scores.json").exists()


# Numbers


@pytest.fixture
def overflowing(tmp_path):
    """A model file of finite parameters that overflow."""
    model = LeNet5(3, activation="relu", squash_pools=False, ops=get_ops("numpy"))
    model.values[...] = 1e30
    save_model(tmp_path / "big.npz", SavedModel(model, Preprocessing(), NAMES, {}))
    return tmp_path / "big.npz"


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "--data", "data", "--json"),
        ("evaluate", "--data", "data"),
        ("predict", "letter.png", "--json"),
        ("predict", "letter.png"),
        ("export", "--to", "a.onnx"),
        ("export", "--to", "a.safetensors"),
    ],
    ids=" ".join,
)
def test_a_model_that_overflows_is_refused_in_one_line(
    place, call, overflowing, monkeypatch, command
):
    monkeypatch.chdir(place)
    outcome = call(*command, "--model", overflowing)
    outcome.assert_refused("overflow")
    assert "nan" not in outcome.err.lower()
    assert not (place / "a.onnx").exists() and not (place / "a.safetensors").exists()


def test_json_on_standard_output_holds_no_number_that_is_none(capsys):
    terminal.print_json({"a": float("nan"), "b": [np.float32("inf")], "c": Path("x")})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None], "c": "x"}


# Words


def test_a_model_tested_by_writers_is_scored_on_data_without_any(place, call, monkeypatch):
    """The model of the package: generated letters have no writers; of other data nobody knows."""
    monkeypatch.chdir(place)
    outcome = call("evaluate", "--data", "synthetic", "--samples", 15, "--json")
    assert outcome.status == 0
    assert json.loads(outcome.out)["split"] == "seed"
    header = SavedModel(LeNet5(3), Preprocessing(), NAMES, {"split": "writer", "data": "a.zip"})
    save_model(place / "by_writer.npz", header)
    refused = call("evaluate", "by_writer.npz", "--data", "data")
    refused.assert_refused("data: the model was tested on writers", "--part all", "--split random")
    assert call("evaluate", "by_writer.npz", "--data", "data", "--part", "all").status == 0
    assert call("evaluate", "by_writer.npz", "--data", "data", "--split", "random").status == 0


def test_commands_to_copy_are_one_word_for_each_path(place, tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a b", "it's", "-o", 'q"$x'):
        out = call("train", "--data", place / "data", "--no-cache", *QUICK, f"--out={name}").out
        (line,) = [line for line in out.splitlines() if line.startswith("next: ")]
        words = shlex.split(line.removeprefix("next: "))
        assert words[:4] == ["lenet-xp", "predict", "IMAGE_OR_FOLDER", "--model"]
        assert Path(words[4]) == Path(name) / "model.npz" and not words[4].startswith("-")
        assert len(words) == 5


def test_no_hint_names_the_package_for_an_index(tmp_path):
    """The name is not on PyPI, and anybody may take it."""
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "notebooks").rglob("*.*")]
    texts += [*(ROOT / "lenet_xp").rglob("*.py"), *(ROOT / "studies").rglob("*.py")]
    for file in texts:
        text = file.read_text(encoding="utf-8")
        assert "lenet-xp[" not in text and "install lenet-xp" not in text, file
        assert "install lenet_xp" not in text, file
