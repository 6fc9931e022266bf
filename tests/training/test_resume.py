"""A run that was stopped or killed goes on to the bit, wherever that was."""

import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
from commandline import files_in, finish, letters_folder, start
from killable import ADAM, SDLM, SGD, Interrupted, Quiet, StopsAt, begin_or_resume, plan

from lenet_xp.architecture import MAX_PARAMETERS
from lenet_xp.commands import terminal
from lenet_xp.data.augment import Distortion
from lenet_xp.errors import InputError
from lenet_xp.model import LeNet5
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.npz_file import read_container
from lenet_xp.system.processes import WorkerProcess, can_start
from lenet_xp.training.checkpoints import KEPT_CHECKPOINTS, Checkpoints, State, locked
from lenet_xp.training.interrupted import interrupted_run
from lenet_xp.training.loop import fit
from lenet_xp.training.run import train_run

KILLS = 100
CLASSES = 15


def letters(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of noise with a bar that tells the label."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 90, (count, 32, 32), dtype=np.uint8)
    labels = np.arange(count) % 3
    for image, label in zip(images, labels, strict=True):
        image[8 * label + 5 : 8 * label + 9] = 255
    return images, labels


def run(recipe, checkpointer=None, dtype="float32", threads=2):
    model = LeNet5(3, activation=recipe.activation, ops=get_ops("numpy", dtype))
    data = letters(70)  # the last batch of an epoch is of 6
    result = fit(
        model, recipe, data, letters(12), Preprocessing(), 4, threads, checkpointer=checkpointer
    )
    return model.values.copy(), result


@pytest.mark.parametrize("dtype, threads", [("float32", 2), ("float64", 1)])
@pytest.mark.parametrize("recipe", (SGD, ADAM, SDLM), ids=lambda recipe: recipe.optimiser)
def test_every_step_is_a_place_to_stop(recipe, dtype, threads, tmp_path):
    values, result = run(recipe, dtype=dtype, threads=threads)
    checkpoints = Checkpoints(tmp_path)
    for step in range(1, 11):
        checkpointer = StopsAt(step)
        with pytest.raises(Interrupted):
            run(recipe, checkpointer, dtype, threads)
        checkpoints.save(checkpointer.state, {"dtype": dtype})
        state, of = checkpoints.latest(pytest.fail)
        assert of == {"dtype": dtype} and state.step == step
        again, resumed = run(recipe, StopsAt(None, state), dtype, threads)
        assert np.array_equal(again, values)
        for row, expected in zip(resumed.history, result.history, strict=True):
            assert {**row, "seconds": 0} == {**expected, "seconds": 0}
        assert resumed.best_epoch == result.best_epoch


def test_a_producer_that_fails_leaves_a_state_to_go_on_from(monkeypatch):
    """An error on the thread that makes batches stops the run, and nothing is lost."""
    values, _ = run(ADAM)
    apply, calls = Distortion.apply, []

    def fails_once(self, *arguments):
        calls.append(1)
        if len(calls) == 4:
            raise OSError("a disk went away")
        return apply(self, *arguments)

    class Keeps(StopsAt):
        def after_step(self, state):
            self.state = state()

    monkeypatch.setattr(Distortion, "apply", fails_once)
    checkpointer = Keeps(None)
    with pytest.raises(OSError, match="went away"):
        run(ADAM, checkpointer)
    assert checkpointer.state.step == 3
    assert np.array_equal(run(ADAM, checkpointer)[0], values)


# Checkpoints


def state(step: int) -> State:
    rng = np.random.default_rng(step)
    return State(step, {"values": rng.normal(size=500).astype(np.float32)}, {"seconds": 0.1 + step})


def same(a: State, b: State) -> bool:
    arrays = all(np.array_equal(a.arrays[name], b.arrays[name]) for name in b.arrays)
    return arrays and a.step == b.step and a.values == b.values


def test_the_newest_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path / "new")
    with pytest.raises(InputError, match=f"{tmp_path.name}: holds no checkpoint; start"):
        checkpoints.latest(pytest.fail)
    assert not checkpoints.any()
    for step in (5, 70, 80, 900):
        checkpoints.save(state(step), {})
    kept = [f"new/step-{step:010}.npz" for step in (70, 80, 900)]
    assert files_in(tmp_path) == kept and len(kept) == KEPT_CHECKPOINTS
    assert same(checkpoints.latest(pytest.fail)[0], state(900))
    checkpoints.clear()
    assert not (tmp_path / "new").exists()


def test_a_large_network_can_be_resumed(tmp_path):
    """Checkpoints hold several vectors of the parameters, and more than a model file may."""
    checkpoints, values = Checkpoints(tmp_path), np.ones(MAX_PARAMETERS)
    state = State(7, {name: values for name in ("values", "mean", "best_values", "m", "v")}, {})
    checkpoints.save(state, {})
    found = checkpoints.latest(lambda text: pytest.fail(text))
    assert found is not None and found[0].step == 7


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_checkpoint_is_passed_over(tmp_path, seed):
    rng = random.Random(seed)
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(state(step), {"plan": "x"})
    newest = tmp_path / "step-0000000002.npz"
    content = bytearray(newest.read_bytes())
    if seed % 2:
        content = content[: rng.randrange(len(content))]
    else:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    newest.write_bytes(content)
    said = []
    found, _ = checkpoints.latest(said.append)
    if found.step == 1:
        assert same(found, state(1))
        assert len(said) == 1 and newest.name in said[0] and "\n" not in said[0]
    else:  # the bit said nothing, such as the date of an entry
        assert seed % 2 == 0 and same(found, state(2)) and not said


def test_when_all_are_damaged_it_is_said(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(1), {})
    (tmp_path / "step-0000000001.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match="every checkpoint is damaged"):
        checkpoints.latest(lambda text: None)


# Whole runs


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    images, labels = letters(3 * CLASSES * 2)
    images[:, 0, 0] = np.arange(len(images)) % 256  # no two alike
    path = folder / "bars.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images[:6] // 2, y_test=labels[:6])
    return str(path)


def final(out):
    return load_model(out / "model.npz", get_ops("numpy")).model.values


def test_a_hundred_kills_lose_nothing(data, tmp_path):
    """kill -9 at random moments of loading, training and writing, until runs are through."""
    expected = tmp_path / "expected"
    expected.mkdir()
    train_run(plan(data, expected), get_ops("numpy"), Quiet())
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["killable"])
    rng = random.Random(7)
    kills = finished = 0
    out = tmp_path / "run0"
    while kills < KILLS or finished < 3:
        out.mkdir(exist_ok=True)
        process = server.Process(target=begin_or_resume, args=(data, out))
        process.start()
        if kills < KILLS:
            process.join(rng.uniform(0.0, 0.4))
            process.kill()
        process.join(120)
        if process.exitcode == -signal.SIGKILL:
            kills += 1
            for path in out.glob("**/*.npz"):  # whatever has its final name is whole
                read_container(path.read_bytes())
            continue
        assert process.exitcode == 0
        assert np.array_equal(final(out), final(expected))
        assert files_in(out) == files_in(expected)  # nothing of the killed is left
        finished += 1
        out = tmp_path / f"run{finished}"
    print(f"{kills} kills, {finished} runs through, 0 lost, 0 bits that differ")


@pytest.mark.skipif(not can_start(), reason="threads do the work here")
def test_a_worker_that_is_killed_costs_a_line_and_no_bit(data, tmp_path, monkeypatch, capsys):
    """As by a system that runs out of memory, in the middle of a run."""
    expected, out = tmp_path / "expected", tmp_path / "out"
    for folder in (expected, out):
        folder.mkdir()
    train_run(plan(data, expected), get_ops("numpy"), Quiet())
    begin, begun = WorkerProcess.begin, []

    def begins(self, number):
        begun.append(number)
        if len(begun) == 7:
            os.kill(self.pid, signal.SIGKILL)
        begin(self, number)

    monkeypatch.setattr(WorkerProcess, "begin", begins)
    assert terminal.run(lambda _: train_run(plan(data, out), get_ops("numpy"), Quiet()), []) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: a worker process failed: it died; go on with: lenet-xp train")
    monkeypatch.undo()
    begin_or_resume(data, out)
    assert np.array_equal(final(out), final(expected))


def test_two_runs_do_not_share_a_folder(data, tmp_path):
    with locked(tmp_path), pytest.raises(InputError, match="another run is writing there"):
        train_run(plan(data, tmp_path), get_ops("numpy"), Quiet())
    assert files_in(tmp_path) == []
    with locked(tmp_path):  # the refused one has not taken the lock with it
        pass


def test_other_images_are_refused(data, tmp_path, monkeypatch):
    stop_after(5, monkeypatch)
    with pytest.raises(Interrupted):
        train_run(plan(data, tmp_path), get_ops("numpy"), Quiet())
    monkeypatch.undo()
    with np.load(data) as stored:
        arrays = dict(stored)
    other = tmp_path / "other.npz"
    np.savez(other, **arrays | {"x_train": arrays["x_train"][:, ::-1]})
    run, *_ = interrupted_run(tmp_path)
    with pytest.raises(InputError, match="not the images that the run began with"):
        train_run(replace(run, data=str(other)), get_ops("numpy"), Quiet())


@pytest.mark.parametrize("wrong", ({"backend": "x"}, {"dtype": "int8"}, {"threads": 0.5}), ids=str)
def test_a_run_of_another_kind_is_not_resumed(data, tmp_path, monkeypatch, wrong):
    stop_after(2, monkeypatch)
    with pytest.raises(Interrupted):
        train_run(plan(data, tmp_path), get_ops("numpy"), Quiet())
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    state, description = checkpoints.latest(pytest.fail)
    assert interrupted_run(tmp_path)[1:] == ("numpy", "float32")
    checkpoints.save(replace(state, step=state.step + 1), description | wrong)
    with pytest.raises(InputError, match="its checkpoints are of another version"):
        interrupted_run(tmp_path)


def test_a_divergence_names_its_step_and_leaves_the_last_good_state(data, tmp_path):
    hot = replace(SGD, epochs=3, activation="relu", learning_rate=1e30)
    with pytest.raises(Exception) as caught:
        train_run(replace(plan(data, tmp_path), recipe=hot), get_ops("numpy"), Quiet())
    message = str(caught.value)
    assert "not finite since step 2 (epoch 1)" in message and "learning rate 1e+30" in message
    for path in (tmp_path / "checkpoints").glob("step-*.npz"):
        assert np.isfinite(read_container(path.read_bytes())[1]["values"]).all()
        assert str(path) in message


def test_a_collapse_is_told_and_the_best_weights_kept(data, tmp_path, monkeypatch):
    from lenet_xp.training.trainer import Trainer

    read, calls = Trainer.read, []

    def collapses(self, images):
        calls.append(1)
        p = read(self, images)
        return p if len(calls) < 3 else np.roll(p, 1, axis=1)

    monkeypatch.setattr(Trainer, "read", collapses)
    reporter = Quiet()
    record = train_run(
        replace(plan(data, tmp_path), recipe=replace(ADAM, epochs=6)), get_ops("numpy"), reporter
    )
    told = [text for text in reporter.said if "validation accuracy fell" in text]
    assert told and record["best_epoch"] < 3


def test_the_best_model_on_the_way_is_the_one_that_was_validated(data, tmp_path, monkeypatch):
    stop_after(7, monkeypatch)  # after the first epoch
    with pytest.raises(Interrupted):
        train_run(plan(data, tmp_path), get_ops("numpy"), Quiet())
    checkpoints = tmp_path / "checkpoints"
    state, _ = Checkpoints(checkpoints).latest(pytest.fail)
    assert state.values["best_epoch"] == 1
    best = load_model(checkpoints / "best.npz", get_ops("numpy")).model
    np.testing.assert_array_equal(best.values, state.arrays["best_values"])
    assert not np.array_equal(best.values, state.arrays["values"])


def test_checkpoints_that_cannot_be_written_do_not_stop_a_run(data, tmp_path, monkeypatch):
    def full(self, *arguments):
        raise InputError("No space left on device")

    monkeypatch.setattr(Checkpoints, "save", full)
    monkeypatch.setattr(Checkpoints, "save_best", full)
    reporter = Quiet()
    train_run(plan(data, tmp_path), get_ops("numpy"), reporter)
    assert sum("without checkpoints" in text for text in reporter.said) == 1
    assert (tmp_path / "metrics.json").exists()


def test_a_clock_set_back_changes_nothing(data, tmp_path, monkeypatch):
    now = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    train_run(plan(data, tmp_path, checkpoint_every=1e-3), get_ops("numpy"), Quiet())
    assert (tmp_path / "metrics.json").exists()


def stop_after(steps, monkeypatch):
    from lenet_xp.training.checkpoints import CheckpointTimer

    after_step = CheckpointTimer.after_step

    def stops(self, state):
        after_step(self, state)
        if state().step == steps:
            raise Interrupted

    monkeypatch.setattr(CheckpointTimer, "after_step", stops)


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_command_is_resumed_to_the_bit(tmp_path, number, status):
    letters_folder(tmp_path / "letters")
    options = ["--data", "letters", "--epochs", 60, "--no-plots", "--threads", 2]
    whole = finish(start("train", *options, "--out", "whole", cwd=tmp_path))
    assert whole.status == 0
    process = start("train", *options, "--out", "run", cwd=tmp_path)
    for line in process.stderr:
        if line.startswith("epoch  3/"):
            break
    process.send_signal(number)
    outcome = finish(process)
    assert outcome.status == status
    assert outcome.err.splitlines()[-1] == "stopped; go on with: lenet-xp train --resume run"
    refused = finish(start("train", *options, "--out", "run", cwd=tmp_path))
    refused.assert_refused("holds an unfinished run", "--resume run")
    refused = finish(start("train", "--resume", "run", "--epochs", 3, cwd=tmp_path))
    refused.assert_refused("leave out --epochs")
    resumed = finish(start("train", "--resume", tmp_path / "run", cwd=tmp_path.parent))
    assert resumed.status == 0, resumed.err
    assert np.array_equal(final(tmp_path / "run"), final(tmp_path / "whole"))
    again = finish(start("train", "--resume", "run", cwd=tmp_path))
    again.assert_refused("finished")


def _other_arrays(**changed):
    return lambda state: replace(state, arrays=state.arrays | changed)


def _other_values(**changed):
    return lambda state: replace(state, values=state.values | changed)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_arrays(hits=np.zeros(3)), "arrays are not this run's"),
        (_other_arrays(losses=np.zeros(())), "arrays are not this run's"),
        (_other_arrays(losses=np.zeros(32, complex)), "arrays are not this run's"),
        (_other_arrays(values=np.zeros(7)), "arrays are not this run's"),
        (_other_arrays(values=np.zeros(())), "arrays are not this run's"),
        (_other_values(seconds=None), "history is not a run's"),
        (_other_values(history=[{}]), "history is not a run's"),
        (_other_values(history=3), "history is not a run's"),
        (_other_values(best_epoch="1"), "best epoch cannot be '1'"),
        (_other_values(best_epoch=4), "best epoch cannot be 4"),
        (lambda state: replace(state, step=10**19), "its step cannot be 10000000000000000000"),
        (lambda state: replace(state, step=state.step + 1), "its step cannot be 3"),
    ],
)
def test_a_state_of_no_such_run_is_refused(change, words):
    """Found by fuzzing: a checkpoint without a checksum may hold anything."""
    checkpointer = StopsAt(2)
    with pytest.raises(Interrupted):
        run(SGD, checkpointer)
    with pytest.raises(InputError, match=words):
        run(SGD, StopsAt(None, change(checkpointer.state)))
