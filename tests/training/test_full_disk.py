"""A disk that fills up: what was learned is kept wherever a file can hold it."""

import errno
import os
import signal

import numpy as np
import pytest
from commandline import files_in
from killable import Quiet, begin_or_resume, plan

from lenet_xp.errors import InputError
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.system import files
from lenet_xp.system.files import atomic_write
from lenet_xp.training.checkpoints import Checkpoints, CheckpointTimer, State, Stopped
from lenet_xp.training.run import train_run
from lenet_xp.training.step import CapturedSteps


def state(step: int) -> State:
    rng = np.random.default_rng(step)
    return State(step, {"values": rng.normal(size=500).astype(np.float32)}, {"seconds": 0.1 + step})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Noise with a bar at one of three heights, its label."""
    path = tmp_path_factory.mktemp("data") / "bars.npz"
    images = np.random.default_rng(0).integers(0, 90, (90, 32, 32), dtype=np.uint8)
    labels = np.arange(90) % 3
    for image, label in zip(images, labels, strict=True):
        image[8 * label + 5 : 8 * label + 9] = 255
    np.savez(path, x_train=images, y_train=labels, x_test=images[:6] // 2, y_test=labels[:6])
    return str(path)


def final(out):
    return load_model(out / "model.npz", get_ops("numpy")).model.values


class Disk:
    """In place of fsync: a disk of so many bytes, on which a folder lies."""

    def __init__(self, folder, size=None):
        self.folder, self.size = folder, size

    def used(self):
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def __call__(self, handle):
        if self.size is not None and self.used() > self.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk(tmp_path, monkeypatch):
    disk = Disk(tmp_path)
    monkeypatch.setattr(files.os, "fsync", disk)
    return disk


def test_on_a_full_disk_older_checkpoints_make_room_for_a_new_one(tmp_path, disk):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        checkpoints.save(state(step), {})
    disk.size = disk.used() + 2_000
    checkpoints.save(state(4), {})
    assert files_in(tmp_path) == ["step-0000000003.npz", "step-0000000004.npz"]
    checkpoints.prune(1)
    disk.size = disk.used() + 2_000
    with pytest.raises(InputError):  # the newest is not given up for another while a run goes on
        checkpoints.save(state(5), {})
    checkpoints.save_last(state(5), {})  # but for its end
    assert files_in(tmp_path) == ["step-0000000005.npz"]
    disk.size = 100
    with pytest.raises(InputError):
        checkpoints.save_last(state(6), {})


def test_what_cannot_be_replaced_is_back_in_its_place(tmp_path, disk, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(1), {})
    disk.size = disk.used() + 2_000
    larger = State(2, {"values": np.ones(5000, np.float32)}, {})
    with pytest.raises(InputError, match="No space left"):
        checkpoints.save_last(larger, {})
    assert checkpoints.latest(pytest.fail)[0].step == 1

    def full(path, *content):
        with atomic_write(path):
            disk.size = 10_000  # its own file was too large
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(InputError, match="No space left"):
        patch.setattr("lenet_xp.training.checkpoints.write_container", full)
        checkpoints.save_last(state(2), {})
    assert checkpoints.latest(pytest.fail)[0].step == 1
    for number in (errno.EACCES, errno.EFBIG):  # removing files would not help

        def refused(handle, number=number):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(files.os, "fsync", refused)
        with pytest.raises(InputError):
            checkpoints.save_last(state(3), {})
        assert files_in(tmp_path) == ["step-0000000001.npz"]


def fills_up(disk, monkeypatch, step, kept, then=lambda timer, state: None):
    """Let the disk fill up at a step, when so many checkpoints are on it."""
    after_step = CheckpointTimer.after_step

    def fills(self, state):
        if state().step == step:
            self._checkpoints.prune(kept)
            disk.size = disk.used() + 2_000
        then(self, state())
        after_step(self, state)

    monkeypatch.setattr(CheckpointTimer, "after_step", fills)


@pytest.mark.parametrize("kept", [1, 3])
def test_a_disk_that_fills_in_mid_run_loses_no_step_that_it_can_hold(
    data, tmp_path, disk, kept, monkeypatch
):
    """In the room of three checkpoints a run ends well; in that of one its end is kept."""
    expected, out = tmp_path / "expected", tmp_path / "out"
    for folder in (expected, out):
        folder.mkdir()
    train_run(plan(data, expected), get_ops("numpy"), Quiet())
    disk.folder = out
    fills_up(disk, monkeypatch, 7, kept)
    run = plan(data, out)
    if kept == 1:
        with pytest.raises(InputError) as caught:
            train_run(run, get_ops("numpy"), Quiet())
        assert str(caught.value).endswith(f"; go on with: lenet-xp train --resume {out}")
        end, _ = Checkpoints(out / "checkpoints").latest(pytest.fail)
        assert len(end.values["history"]) == run.recipe.epochs
        disk.size = None
        monkeypatch.setattr(CapturedSteps, "__call__", None)  # there is nothing to train
        begin_or_resume(data, out)
    else:
        train_run(run, get_ops("numpy"), Quiet())
    assert np.array_equal(final(out), final(expected)) and files_in(out) == files_in(expected)


def test_a_run_that_is_stopped_on_a_full_disk_loses_no_step(data, tmp_path, disk, monkeypatch):
    expected, out = tmp_path / "expected", tmp_path / "out"
    for folder in (expected, out):
        folder.mkdir()
    train_run(plan(data, expected), get_ops("numpy"), Quiet())
    disk.folder = out

    def stop(timer, state):
        if state.step == 5:
            timer._request.signum = signal.SIGTERM

    fills_up(disk, monkeypatch, 3, 1, stop)
    with pytest.raises(Stopped, match=r"stopped; go on with: lenet-xp train --resume"):
        train_run(plan(data, out), get_ops("numpy"), Quiet())
    monkeypatch.undo()
    assert Checkpoints(out / "checkpoints").latest(pytest.fail)[0].step == 5
    begin_or_resume(data, out)
    assert np.array_equal(final(out), final(expected))
