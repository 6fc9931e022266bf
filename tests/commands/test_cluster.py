"""Reading on a cluster: the plain command's results in order, and nothing lost or read twice."""

import json
import os
import subprocess
import sys
import time

import pytest
from commandline import call

from lenet_xp.commands import cluster
from lenet_xp.letters.synthetic import generate
from lenet_xp.system.opencv import cv2
from lenet_xp.training.checkpoints import locked

__all__ = ["call"]  # the fixture
pytestmark = pytest.mark.filterwarnings("ignore")  # of Dask's own parts

COUNT = 60


@pytest.fixture
def pictures(tmp_path):
    """A folder of letters, one of them damaged."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    images, _ = generate(2)
    for number, image in enumerate(images[:COUNT]):
        cv2.imwrite(str(folder / f"{number:03}.png"), image)
    (folder / "007.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return folder


@pytest.fixture
def scheduler(monkeypatch):
    """The address of a scheduler with two workers in this process."""
    distributed = pytest.importorskip("distributed", reason="needs pip install '.[cluster]'")
    monkeypatch.setattr(cluster, "LETTERS", 10)
    monkeypatch.setattr(cluster, "PAGES", 3)
    how = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**how) as made:
        yield made.scheduler_address


def lines_of(folder):
    return [json.loads(line) for line in (folder / "readings.jsonl").read_text().splitlines()]


def test_readings_are_those_of_the_plain_command(call, pictures, scheduler, tmp_path):
    done = call("predict", pictures, "--cluster", scheduler, "--out", tmp_path / "out", "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out) == {"files": COUNT, "read": COUNT - 1, "unreadable": 1}
    plain = json.loads(call("predict", pictures, "--skip-bad", "--json").out)
    lines = lines_of(tmp_path / "out")
    assert [line["file"] for line in lines] == sorted(map(str, pictures.iterdir()))
    problems = [line for line in lines if "reason" in line]
    assert problems == plain["skipped"]
    for line, wanted in zip((x for x in lines if x not in problems), plain["results"], strict=True):
        for mine, theirs in zip(line.pop("readings"), wanted.pop("readings"), strict=True):
            assert mine.pop("probability") == pytest.approx(theirs.pop("probability"), abs=1e-6)
            assert mine == theirs
        assert line == wanted


def test_pages_are_read_too(call, pictures, scheduler, tmp_path):
    for path in sorted(pictures.iterdir())[10:]:
        path.unlink()
    done = call("predict", pictures, "--page", "--cluster", scheduler, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    assert "9 read, 1 unreadable" in done.out
    plain = json.loads(call("predict", pictures, "--page", "--skip-bad", "--json").out)
    read = [line for line in lines_of(tmp_path / "out") if "text" in line["pages"][0]]
    assert len(read) == len(plain["results"]) == 9
    for line, wanted in zip(read, plain["results"], strict=True):
        assert {"file": line["file"], "pages": 1} | line["pages"][0] == wanted


@pytest.mark.parametrize("left", (0, 13, 25, COUNT), ids=str)
def test_a_stopped_run_goes_on_behind_its_last_line(call, pictures, scheduler, tmp_path, left):
    options = [pictures, "--cluster", scheduler, "--out", tmp_path / "out"]
    assert call("predict", *options).status == 0
    readings = tmp_path / "out" / "readings.jsonl"
    whole = readings.read_text()
    lines = whole.splitlines(keepends=True)
    readings.write_text("".join(lines[:left]) + "".join(lines[left : left + 1])[:20])
    again = call("predict", *options)
    assert again.status == 2 and "add --resume to go on" in again.err
    assert call("predict", *options, "--resume").status == 0
    names = [json.loads(line)["file"] for line in readings.read_text().splitlines()]
    assert names == [json.loads(line)["file"] for line in lines]
    assert readings.read_text().startswith("".join(lines[:left]))


def test_a_name_that_is_no_utf8_is_in_its_line(call, pictures, scheduler, tmp_path):
    name = os.fsencode(pictures) + b"/\xff.png"
    try:
        os.rename(pictures / "001.png", name)
    except OSError:
        pytest.skip("this file system takes no such names")
    done = call("predict", pictures, "--cluster", scheduler, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    assert name in [os.fsencode(line["file"]) for line in lines_of(tmp_path / "out")]


def test_other_readings_are_not_mixed_in(call, pictures, scheduler, tmp_path):
    options = ["--cluster", scheduler, "--out", tmp_path / "out"]
    assert call("predict", pictures, *options).status == 0
    before = (tmp_path / "out" / "readings.jsonl").read_bytes()
    for changed in (["--top", "1"], ["--page"], ["--model", "generated"]):
        done = call("predict", pictures, *options, *changed, "--resume")
        assert done.status == 2 and "of other files, options or another model" in done.err
    (pictures / "999.png").write_bytes((pictures / "000.png").read_bytes())
    assert call("predict", pictures, *options, "--resume").status == 2
    assert (tmp_path / "out" / "readings.jsonl").read_bytes() == before


def test_two_runs_do_not_write_into_one_folder(call, pictures, tmp_path):
    (tmp_path / "out").mkdir()
    with locked(tmp_path / "out"):
        done = call("predict", pictures, "--cluster", "local", "--out", tmp_path / "out")
    assert done.status == 2 and "another run is writing there" in done.err
    assert not list((tmp_path / "out").iterdir())


def test_what_cannot_be_is_said_in_one_line(call, pictures, tmp_path, monkeypatch):
    out = ["--out", tmp_path / "out"]
    for options, words in (
        (["--cluster", "local"], "--cluster needs --out"),
        (["--resume", "--page", *out], "--resume goes with --cluster"),
        (out, "--out goes with --page or --cluster"),
        (["--cluster", "local", "--dtype", "float64", *out], "leave out --backend, --dtype"),
        (["--cluster", "local", "--threads", "2", *out], "leave out --backend, --dtype"),
    ):
        done = call("predict", pictures, *options)
        assert done.status == 2 and words in done.err
    pytest.importorskip("distributed", reason="needs pip install '.[cluster]'")
    monkeypatch.setattr(cluster, "ANSWER_TIME", 1)
    for address in ("tcp://127.0.0.1:9", "nowhere://x"):
        done = call("predict", pictures, "--cluster", address, *out)
        assert done.status == 2 and f"--cluster {address}: no scheduler answers" in done.err
        assert done.err.count("error:") == 1
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = call("predict", pictures, "--cluster", "local", *out)
    assert done.status == 2 and "pip install distributed" in done.err


def test_a_worker_that_dies_loses_nothing(call, pictures, tmp_path, monkeypatch):
    """A real scheduler and workers in processes of their own; each worker is killed in turn."""
    pytest.importorskip("distributed", reason="needs pip install '.[cluster]'")
    monkeypatch.setattr(cluster, "LETTERS", 2)
    place = tmp_path / "scheduler.json"
    plain = ["--no-dashboard", "--host", "127.0.0.1"]
    running = [_dask("scheduler", "--port", "0", "--scheduler-file", str(place), *plain)]
    try:
        while not place.exists() or not place.read_text().endswith("}"):  # it may be half written
            time.sleep(0.05)
        address = json.loads(place.read_text())["address"]
        workers = [_worker(address), _worker(address)]
        running += workers
        counted = cluster._in_order

        def killing(client, ask, parts):
            for number, lines in enumerate(counted(client, ask, parts)):
                if number in (3, 9):
                    workers[number // 9].kill()
                    running.append(_worker(address))
                yield lines

        monkeypatch.setattr(cluster, "_in_order", killing)
        done = call("predict", pictures, "--cluster", address, "--out", tmp_path / "out")
        assert done.status == 0, done.err
        names = [line["file"] for line in lines_of(tmp_path / "out")]
        assert names == sorted(map(str, pictures.iterdir()))
    finally:
        for process in running:
            process.kill()
            process.wait()


def _dask(part, *arguments):
    command = [sys.executable, "-m", f"distributed.cli.dask_{part}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _worker(address):
    return _dask("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
