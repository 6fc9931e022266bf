"""Letters as they are read off drawn pages, and training with them."""

import json
import os
import signal

import numpy as np
import pytest
from commandline import call, finish, letters_folder, start

from lenet_xp.errors import WorkerFailed
from lenet_xp.letters import photographs as module
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.photographs import photograph
from lenet_xp.letters.synthetic import generate
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.processes import can_start, start_all

__all__ = ["call"]  # the fixture

NAMES = [letter.name for letter in letters()]


@pytest.fixture(scope="module")
def images():
    """Two samples of every letter as the network takes them, (66, 32, 32)."""
    return generate(2, seed=4, finish=Preprocessing().apply_all)[0]


@pytest.fixture(scope="module")
def names():
    return [name for name in NAMES for _ in range(2)]


def test_letters_come_back_from_their_pages_worn(images, names):
    found = photograph(images, names, Preprocessing(), copies=2, seed=1)
    assert found.shape == (132, 32, 32) and found.dtype == np.uint8
    direct = np.tile(images, (2, 1, 1))
    own = np.array([_alike(*pair) for pair in zip(direct, found, strict=True)])
    others = [_alike(*pair) for pair in zip(np.roll(direct, 7, 0), found, strict=True)]
    assert np.median(own) > 0.5 > 0.3 > np.median(others)
    assert not np.isclose(own, 1).any()
    assert (found[:66] != found[66:]).any((1, 2)).all()  # each copy has a page of its own


def _alike(first, second):
    """Their correlation; 0 for a blank."""
    if not second.any():
        return 0.0
    return np.corrcoef(first.ravel().astype(float), second.ravel().astype(float))[0, 1]


def test_the_number_of_cores_and_of_images_beside_it_change_no_letter(images, names, monkeypatch):
    monkeypatch.setattr(module, "PART", 4)
    done = []
    alone = photograph(images[:21], names[:21], Preprocessing(), seed=3)
    shared = photograph(images[:21], names[:21], Preprocessing(), 1, 3, 3, done.append)
    first = photograph(images[:5], names[:5], Preprocessing(), seed=3)
    assert np.array_equal(alone, shared) and np.array_equal(alone[:5], first)
    assert sum(done) == 21 and len(done) == 6
    assert not np.array_equal(alone, photograph(images[:21], names[:21], Preprocessing(), seed=4))


@pytest.fixture
def processes(monkeypatch):
    """The processes that were started. Few letters are enough to start some."""
    found = []

    def started(stack, workers):
        found.extend(workers)
        return start_all(stack, workers)

    monkeypatch.setattr(module, "PART", 4)
    monkeypatch.setattr(module, "MIN_IN_PROCESSES", 20)
    monkeypatch.setattr(module, "start_all", started)
    return found


@pytest.mark.skipif(not can_start(), reason="worker processes need Linux")
def test_processes_give_the_letters_that_threads_give(images, names, processes):
    done = []
    shared = photograph(images[:11], names[:11], Preprocessing(), 2, 3, 3, done.append)
    assert len(processes) == 3 and done == [4] * 5 + [2]
    assert np.array_equal(shared, photograph(images[:11], names[:11], Preprocessing(), 2, 3, 1))
    photograph(images[:19], names[:19], Preprocessing(), cores=2)
    assert len(processes) == 3  # fewer than 20
    photograph(images[:21], names[:21], Preprocessing(), cores=99)
    assert len(processes) == 3 + 6  # no more than parts


@pytest.mark.skipif(not can_start(), reason="worker processes need Linux")
def test_a_process_that_dies_is_told_of(images, names, processes):
    def kill(count):
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(WorkerFailed, match="a worker process failed: it died"):
        photograph(images, names, Preprocessing(), 1, 3, 2, kill)


def test_no_two_pages_are_alike(images, names):
    twice = photograph(images[[0, 0]], names[:1] * 2, Preprocessing())
    assert not np.array_equal(*twice)


def test_training_takes_them_beside_the_letters_themselves(tmp_path, call):
    letters_folder(tmp_path / "letters")
    options = ["--data", tmp_path / "letters", "--epochs", 2, "--no-plots", "--photos"]
    records = []
    for photos in (0, 2):
        out = tmp_path / f"run{photos}"
        outcome = call("train", *options, photos, "--out", out)
        assert outcome.status == 0, outcome.err
        records.append(json.loads((out / "metrics.json").read_text()))
        count = records[-1]["n_train"]
        assert f"{(1 + photos) * count:,} training" in outcome.err
    assert [record["config"]["photos"] for record in records] == [0, 2]
    assert records[0]["n_train"] == records[1]["n_train"]
    assert records[0]["test_loss"] != records[1]["test_loss"]
    refused = call("train", *options, 21, "--out", tmp_path / "x")
    assert refused.status == 2 and "from 0 to 20" in refused.err


def test_it_can_be_stopped_while_the_pages_are_drawn(tmp_path):
    process = start("train", "--samples", 100, "--photos", 20, "--out", "run", cwd=tmp_path)
    for line in process.stderr:
        if line.startswith("letters on drawn pages"):
            break
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.status == 130
    assert outcome.err.splitlines()[-1] == "stopped before the training began"
    assert not (tmp_path / "run").exists()
