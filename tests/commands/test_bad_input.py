"""Whatever cannot be used ends in exit status 2, one line that says why, and nothing written."""

import errno
import io
import json
import os
import re
import resource
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from commandline import QUICK, call, files_in, finish, letters_folder, png, start

from lenet_xp.commands import predict, terminal
from lenet_xp.model import LeNet5
from lenet_xp.model_file import SavedModel, save_model
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system import files
from lenet_xp.system.npz_file import read_container, write_container
from lenet_xp.training.step import CapturedSteps

__all__ = ["call"]  # the fixture

NAMES = ("ya", "yan", "yat")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The working folder, with data and a model; what a test adds to it is its own."""
    monkeypatch.setenv("LENET_XP_CACHE", str(tmp_path / "cache"))
    work = tmp_path / "work"
    letters_folder(work / "data")
    save_model(work / "model.npz", SavedModel(LeNet5(3), Preprocessing(), NAMES, {}))
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def assert_refused(call, place):
    """A function that asserts a command's refusal, and that no file was added or removed."""

    def check(*arguments, words, status=2):
        before = files_in(place), sorted(place.rglob("*"))
        outcome = call(*arguments)
        outcome.assert_refused(*words)
        assert (files_in(place), sorted(place.rglob("*"))) == before
        return outcome

    return check


def train(data, *options):
    return "train", "--data", data, "--out", "a/run", *QUICK, *options


def npz(path, **changes):
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 60), ("test", 20)):
        bars = rng.integers(0, 255, (count, 28, 28), dtype=np.uint8) // 9
        bars[:, 4:24, 12:16] = 255  # ink, for noise alone is none
        arrays[f"x_{part}"] = bars
        arrays[f"y_{part}"] = np.arange(count) % 2
    np.savez(path, **{**arrays, **changes})
    return path


def test_missing_data(assert_refused):
    assert_refused(*train("nowhere.zip"), words=["nowhere.zip", "no such file", "synthetic"])
    assert_refused(
        "evaluate", "model.npz", "--data", "nowhere", "--out", "b/c", words=["nowhere", "no such"]
    )
    assert_refused("predict", "model.npz", "nowhere.png", words=["nowhere.png", "No such file"])
    assert_refused("predict", "none.npz", "x.png", words=["none.npz", "no such file", "of a run"])


def test_odd_paths(assert_refused, place):
    long = "x" * 300
    assert_refused(*train(long), words=["File name too long"])
    assert_refused("train", "--data", "data", "--out", long, *QUICK, words=["too long"])
    assert_refused("predict", "model.npz", long, words=["too long"])
    assert_refused("predict", "data", "--model", "data", words=["data: is no file"])
    (place / "empty").mkdir()
    assert_refused("predict", "model.npz", "empty", words=["empty: holds no image"])
    assert_refused("train", "--data", "model.npz", "--out", "r", *QUICK, words=["lacks x_train"])


def test_an_empty_class_folder(assert_refused, place):
    (place / "data" / "yaz").mkdir()
    assert_refused(*train("data"), words=["class folder yaz holds no image"])


def test_too_few_images(assert_refused, place):
    for number in range(4, 15):
        (place / "data" / "yan" / f"yan_{number}.jpeg").unlink()
    assert_refused(
        *train("data"), "--split", "seed", words=["too few images", "'yan'", "at least 15"]
    )


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "is cut short"),
        (b"a letter to a friend\n", "is not an image"),
        (b"", "is empty"),
        (png(1, 1), "is 1x1 pixels, too small"),
        (png(20_000, 20_000), "at most 50 megapixels"),
    ],
    ids=["truncated", "text", "empty", "1x1", "20000x20000"],
)
def test_a_bad_image_is_named(assert_refused, place, content, word):
    bad = place / "data" / "yan" / "yan_7.jpeg"
    bad.write_bytes(bad.read_bytes()[:500] if content is None else content)
    assert_refused(*train("data"), words=["yan/yan_7.jpeg", word])
    assert_refused("evaluate", "model.npz", "--data", "data", words=["yan/yan_7.jpeg", word])
    assert_refused("predict", "model.npz", "data", words=["data/yan/yan_7.jpeg", word])


def test_a_huge_image_takes_no_memory(place):
    (place / "huge.png").write_bytes(png(20_000, 20_000))
    program = (
        "import sys; from lenet_xp.commands.main import start; status = start('predict'); "
        "print(next(l for l in open('/proc/self/status') if l.startswith('VmHWM'))); "
        "sys.exit(status)"
    )
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    done = subprocess.run(
        [sys.executable, "-c", program, "model.npz", "huge.png"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[2])},
    )
    assert done.returncode == 2 and "huge.png: at most 50 megapixels" in done.stderr
    assert int(re.search(r"VmHWM:\s+(\d+) kB", done.stdout)[1]) < 380 * 1024  # 1 byte a pixel


def test_a_zip_that_leads_out(assert_refused, place):
    data = (place / "data" / "ya" / "ya_1.jpeg").read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("ya/1.jpeg", "yan/1.jpeg", "../outside/1.jpeg"):
            archive.writestr(name, data)
    (place / "evil.zip").write_bytes(buffer.getvalue())
    assert_refused(*train("evil.zip"), words=["evil.zip", "../outside/1.jpeg", "leads out"])
    (place / "torn.zip").write_bytes(buffer.getvalue()[:-40])
    assert_refused(*train("torn.zip"), words=["torn.zip", "not a zip archive"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_test": np.full(20, 7)}, ["y_test", "7"]),
        ({"y_train": np.arange(60) % 2 - 1}, ["y_test", "the label 1"]),
        ({"y_train": np.arange(60) / 2}, ["y_train", "whole numbers"]),
        ({"y_train": np.arange(59) % 2}, ["60", "59"]),
        ({"x_train": np.full((60, 28, 28), np.nan)}, ["x_train", "nan"]),
        ({"x_train": np.zeros((60, 28))}, ["x_train", "(60, 28)"]),
        ({"x_train": np.array([None] * 60)}, ["cannot be loaded"]),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_bad_npz(assert_refused, place, changes, words):
    npz(place / "bad.npz", **changes)
    assert_refused(*train("bad.npz"), words=["bad.npz", *words])


def test_a_model_of_other_shape_or_other_classes(assert_refused, place):
    header, arrays = read_container(Path("model.npz").read_bytes())
    write_container("other.npz", header, {**arrays, "C3.weight": np.zeros((16, 6, 3, 3))})
    words = ["other.npz", "C3.weight", "(16, 6, 3, 3)", "(16, 6, 5, 5)"]
    assert_refused("predict", "other.npz", "data", words=words)
    assert_refused("evaluate", "other.npz", "--data", "data", words=words)
    npz(place / "digits.npz")
    words = ["digits", "knows no class '0'", "ya, yan, yat"]
    assert_refused("evaluate", "model.npz", "--data", "digits.npz", words=words)


def test_an_out_that_cannot_be(assert_refused, place):
    (place / "file").write_text("mine")
    for out in ("file", "file/below", "/dev/null/x", "/proc/nothing"):
        options = "--out", out
        assert_refused("train", "--data", "data", *QUICK, *options, words=[out, "cannot write"])
        assert_refused("evaluate", "model.npz", "--data", "data", *options, words=[out])


class FullDisk:
    """In place of fsync: the disk fills up with the n-th file."""

    def __init__(self, number):
        self.left = number

    def __call__(self, handle):
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("number", range(6))
def test_a_full_disk(call, place, monkeypatch, number):
    monkeypatch.setattr(files.os, "fsync", FullDisk(number))
    outcome = call(*train("data"), "--no-cache")
    assert outcome.status == 2 and outcome.out == ""
    last = outcome.err.splitlines()[-1]
    assert last.startswith("error: cannot write a/run/") and "No space left" in last
    # Only whole files are left, and no metrics.json says that the run is finished.
    whole = ["checkpoints/best.npz", "checkpoints/step-0000000001.npz", "model.npz"]
    whole += ["recipe.toml", "history.csv"]
    whole = whole[: max(number - 1, 0)]
    assert [p for p in files_in(place) if p.startswith("a/")] == sorted(f"a/run/{p}" for p in whole)
    if number == 0:  # found before the data were read
        assert outcome.err.count("\n") == 1 and not (place / "a").exists()
    kept = number > 2  # the end of the training
    assert last.endswith("; go on with: lenet-xp train --resume a/run") == kept
    monkeypatch.undo()
    if kept:
        monkeypatch.chdir(place)
        monkeypatch.setattr(CapturedSteps, "__call__", None)  # there is nothing to train
        outcome = call("train", "--resume", "a/run")
        assert outcome.status == 0, outcome.err
        assert json.loads((place / "a/run/metrics.json").read_text())["epochs"] == 1
        assert not (place / "a/run/checkpoints").exists()


def test_a_file_size_limit_is_found_before_the_work(place):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    outcome = finish(start(*train("data"), "--no-cache", cwd=place, preexec_fn=limit))
    outcome.assert_refused("cannot write a/run/", "File too large")
    assert not (place / "a").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output(place):
    with open("/dev/full", "w") as full:
        outcome = finish(start("predict", "model.npz", "data", cwd=place, stdout=full))
    outcome.assert_refused("standard output", "No space left")


def test_a_terminal_without_tifinagh(monkeypatch):
    shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", shown)
    assert terminal.run(predict.predict, ["model.npz", "data/ya/ya_1.jpeg"]) == 0
    assert rb"\u2d5c yat" in shown.buffer.getvalue()


def test_no_cupy(call, assert_refused, monkeypatch, place):
    monkeypatch.setitem(sys.modules, "cupy", None)
    outcome = call(*train("data", "--backend", "cupy"))
    assert outcome.status == 0
    warnings = [line for line in outcome.err.splitlines() if line.startswith("WARNING: ")]
    assert len(warnings) == 1 and outcome.err.startswith(warnings[0])
    assert "running on NumPy" in warnings[0] and "pip install" in warnings[0]
    metrics = (place / "a/run/metrics.json").read_text()
    assert '"backend": "numpy"' in metrics and '"backend_requested": "cupy"' in metrics
    outcome = call("predict", "model.npz", "data", "--backend", "cupy", "--top", 1)
    assert outcome.status == 0 and outcome.err.count("\n") == 1
    # Told to stop, it stops before it looks for anything.
    for command in (
        ("train", "--data", "nowhere.zip", "--out", "b"),
        ("evaluate", "nowhere.npz", "--data", "nowhere.zip"),
        ("predict", "nowhere.npz", "nowhere.png"),
    ):
        no = assert_refused(*command, "--backend", "cupy", "--no-fallback", words=["CuPy"])
        assert "nowhere" not in no.err


def test_auto_warns_of_a_cupy_that_cannot_compute(call, monkeypatch):
    """As on a machine with a driver only. Without CuPy there is no warning."""

    def no_compiler(*arguments, **options):
        raise RuntimeError("Failure finding libnvrtc.so.13")

    broken = ModuleType("cupy")
    broken.__dict__.update(float32=np.float32, RawModule=None, zeros=no_compiler)
    lines = []
    for module in (broken, None):
        monkeypatch.setitem(sys.modules, "cupy", module)
        for more in ((), ("--no-fallback",), ("--backend", "numpy")):
            outcome = call("evaluate", "model.npz", "--data", "data", "--threads", 1, *more)
            assert outcome.status == 0
            lines += [line for line in outcome.err.splitlines() if "NumPy" in line]
    assert len(lines) == 2 and lines[0] == lines[1]
    assert "running on NumPy" in lines[0] and "cupy-cuda13x[ctk]" in lines[0]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--epochs", "0"),
        ("--epochs", "1.5"),
        ("--epochs", "1" + "0" * 9),
        ("--learning-rate", "nan"),
        ("--learning-rate", "inf"),
        ("--learning-rate", "-1"),
        ("--batch-size", "x"),
        ("--batch-size", "0"),
        ("--samples", "14"),
        ("--samples", "1" + "0" * 18),
        ("--seed", "-1"),
        ("--threads", "0"),
        ("--threads", "1000000"),
        ("--recipe", "soup"),
        ("--backend", "abacus"),
        ("--dtype", "int8"),
    ],
    ids=" ".join,
)
def test_options_out_of_range(call, place, wrong):
    outcome = call("train", "--data", "data", "--out", "never", *wrong)
    assert outcome.status == 2 and outcome.out == ""
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"error: argument {wrong[0]}") and wrong[1] in line
    assert line.endswith("see lenet-xp train --help")
    assert not (place / "never").exists()


def test_a_name_that_is_no_text(call, place):
    name = os.fsdecode(b"yan_\xff.jpeg")
    (place / "data" / "yan" / "yan_1.jpeg").rename(place / "data" / "yan" / name)
    outcome = call("predict", "model.npz", place / "data" / "yan" / name, "--json")
    assert outcome.status == 0 and r"yan_\udcff" in outcome.out
    assert call(*train("data")).status == 0


def test_the_smallest_synthetic_set_works(call):
    assert call("train", "--samples", 15, "--out", "least", *QUICK).status == 0


def test_records_of_another_shape(assert_refused, place):
    folder = place / "results" / "benchmarks"
    folder.mkdir(parents=True)
    (folder / "cpu.json").write_text('{"blas": [3]}')
    report = "report", "--results", "results", "--out"
    assert_refused(*report, "new/x.md", words=["a record is not as the program writes them"])
    assert_refused(*report, "/", words=["give a name that ends in .md"])


def test_a_control_character_on_the_command_line(call):
    outcome = call("train", "--no-such\x1b[2J")
    assert outcome.status == 2 and "--no-such\\x1b[2J;" in outcome.err


def test_a_name_of_many_letters_is_shortened(assert_refused, call):
    outcome = call("predict", "x" * 70_000)
    assert outcome.status == 2 and "File name too long" in outcome.err
    assert len(outcome.err) < 3000
