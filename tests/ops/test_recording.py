"""Captures as CUDA graphs, on the stand-in: what they keep, what they refuse, what they overlap."""

import gc
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cupy_stand_in
import numpy as np
import pytest
from cases import CASES, Inputs
from stand_in_device import fork, not_collecting

from lenet_xp.commands.train import train
from lenet_xp.data.augment import Distortion
from lenet_xp.errors import InputError
from lenet_xp.inference import ForwardPass
from lenet_xp.layers import AvgPool2D, Conv2D, Flatten, Linear, Tanh
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.model_file import load_model
from lenet_xp.ops.cuda.cupy_ops import CupyOps
from lenet_xp.ops.cuda.recording import ALIGNMENT, SLOTS, Staging, free_unused_pools
from lenet_xp.ops.numpy_ops import NumpyOps
from lenet_xp.ops.settings import StageSettings
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2
from lenet_xp.system.workers import WorkerThreads
from lenet_xp.training.batches import Batch, place_on_device
from lenet_xp.training.checkpoints import CheckpointTimer, Stopped
from lenet_xp.training.loop import fit
from lenet_xp.training.recipes import BEST, CLASSIC, Recipe
from lenet_xp.training.step import GradientWorker
from lenet_xp.training.trainer import Trainer
from studies.speed.ours import PREPROCESSING

state = cupy_stand_in.state
pytestmark = pytest.mark.usefixtures("stand_in")


def batch(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 32, 32), dtype=np.uint8), rng.integers(0, 33, count)


def differentiated(ops, batches: list) -> list[np.ndarray]:
    """The gradients of each batch, of one worker."""
    model = LeNet5(ops=ops)
    worker = GradientWorker(model, PREPROCESSING)
    found = []
    for images, labels in batches:
        losses, hits = ops.zeros(labels.shape), ops.zeros(labels.shape)
        worker.differentiate(Batch(images, labels), 1 / len(labels), losses, hits)
        found += [ops.to_host(a) for a in (model.gradients, losses, hits)]
    return found


def test_nothing_is_collected_while_the_device_works():
    seen = []
    state.ask(lambda: seen.append(gc.isenabled()))
    state.finish()
    assert seen == [False] and gc.isenabled()


def test_the_host_may_write_on_while_the_device_still_reads():
    """More copies under way than there are slots, none of them looked at before all are asked."""
    cupy = CupyOps().xp
    host = np.zeros(3)
    staging = Staging(cupy, [(host, np.float32)])
    seen = []
    for step in range(3 * SLOTS):
        host[:] = step
        staging.send()
        kept = cupy.empty((3,), np.float32)
        target, source = kept._values, staging.arrays[0]._values
        state.ask(lambda target=target, source=source: np.copyto(target, source))
        seen.append(kept)
    assert [cupy.asnumpy(each)[0] for each in seen] == list(range(3 * SLOTS))


def test_inputs_that_are_let_go_stay_till_they_are_copied():
    """Their page-locked memory could be another's at once, which would write into it."""
    cupy = CupyOps().xp
    staging = Staging(cupy, [(np.full(3, 5.0), np.float32)])
    staging.send()
    (array,) = staging.arrays
    del staging
    gc.collect()
    assert list(cupy.asnumpy(array)) == [5.0, 5.0, 5.0]


def test_images_held_on_the_device_give_the_bits_of_images_sent():
    recipe = CLASSIC.with_options(epochs=2, batch_size=4)
    train, val = batch(10, 1), batch(3, 2)
    values = []
    for hold in (True, False):
        ops = CupyOps()
        if not hold:
            ops.resident = lambda images: None
        model = LeNet5(ops=ops)
        fit(model, recipe, train, val, PREPROCESSING)
        values.append(ops.to_host(model.values))
    assert np.array_equal(*values)


def test_host_arrays_in_fortran_order_are_read_as_what_they_hold():
    """Kernels index them as in C order, wherever they come in and in every repetition."""
    ops, exact = CupyOps(), NumpyOps()
    images = np.asfortranarray(batch(4)[0])
    sent = ops.capture(lambda: ops.image_batch(images, 0.5, 1.0))
    expected = exact.image_batch(np.ascontiguousarray(images), 0.5, 1.0)
    places = np.arange(4)
    held = ops.resident(images)
    distortion = BEST.distortion
    maps = distortion.draw(np.random.default_rng(5), 4).coefficients
    basis = place_on_device(ops, images, distortion).basis
    warped = [
        ops.to_host(ops.warped_batch(held, 1.0, 0.0, places, each, basis))
        for each in (maps, np.asfortranarray(maps))
    ]
    shown = ops.image_batch(images, 0.5, 1.0), sent(), ops.image_batch(held, 0.5, 1.0, places)
    for result in shown:
        np.testing.assert_array_equal(ops.to_host(result), expected)
    assert np.array_equal(*warped)


def test_a_graph_keeps_alive_what_it_reads():
    """The model of a reader belongs to nobody else."""
    images, _ = batch(2)
    read = ForwardPass(LeNet5(ops=CupyOps()), Preprocessing(), 2)
    gc.collect()
    expected = ForwardPass(LeNet5(ops=NumpyOps()), Preprocessing(), 2)(images)
    np.testing.assert_allclose(read(images), expected, rtol=1e-5)


def test_a_fork_is_refused_once_the_device_was_used():
    """So that no program passes here that would give its workers a copy of CUDA."""
    ops = CupyOps()
    assert fork(lambda: 7) == 7
    ops.zeros((2,))
    with pytest.raises(RuntimeError, match="a fork after CUDA has started"):
        os.fork()


def test_the_memory_of_a_graph_that_goes_is_freed():
    """At the next capture, after the device has done what was asked, and not within a capture."""
    ops = CupyOps()
    x = ops.zeros((3, 3))
    for _ in range(3):
        repeat = ops.capture(lambda: x + 1.0)  # CuPy's own sum, in the graph's memory
        repeat()  # not yet done when it goes
        passes = [None, repeat]
        del repeat
        ops.capture(lambda passes=passes: passes.pop(0) and None)  # in the second it goes
    taken = len(state.memory)
    ops.capture(lambda: None)
    assert not state.leaked and len(state.memory) < taken


def test_with_and_without_graphs_agree_to_the_bit():
    batches = [batch(3, 0), batch(3, 1), batch(2, 2), batch(3, 3)]
    with_graphs, without = (differentiated(CupyOps(graph=g), batches) for g in (True, False))
    for one, other in zip(with_graphs, without, strict=True):
        assert np.array_equal(one, other)


def test_the_order_in_which_threads_and_blocks_run_changes_nothing():
    """A missing barrier would show, and a block that reads what another one writes."""
    batches = [batch(35)]
    forwards = differentiated(CupyOps(), batches)
    state.reversed = True
    for one, other in zip(forwards, differentiated(CupyOps(), batches), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_order_of_threads_and_blocks_changes_no_operation(name):
    for function in CASES[name]:
        given = []
        for state.reversed in (False, True):
            ops = CupyOps()
            given.append([ops.to_host(each) for each in function(ops, Inputs(ops))])
        for one, other in zip(*given, strict=True):
            assert np.array_equal(one, other)


def test_a_repetition_allocates_nothing_and_launches_few_kernels():
    ops = CupyOps()
    model = LeNet5(activation="relu", squash_pools=False, ops=ops)
    worker = GradientWorker(model, PREPROCESSING)
    images, labels = batch(2)
    step = worker._step(2, 0.5)
    step([Batch(images, labels)])
    ops.synchronize()
    allocations, launches = state.allocations, state.launches
    step([Batch(images, labels)])
    ops.synchronize()
    assert state.allocations == allocations
    assert state.launches - launches == 10


def test_a_full_card_is_one_line_that_says_what_to_do():
    ops = CupyOps()
    state.limit = 6 * 14 * 14 * 3000 * 4  # C1's maps are larger, what came before was not
    with pytest.raises(InputError, match=r"memory is full .* smaller --batch-size"):
        ForwardPass(LeNet5(ops=ops), Preprocessing(), 3000)
    state.limit = None
    assert ForwardPass(LeNet5(ops=ops), Preprocessing(), 1)(batch(1)[0]).shape == (1, 33)


def test_a_graph_of_a_computation_that_looks_at_the_device_is_refused():
    ops = CupyOps()
    x = ops.zeros((2, 2))
    with pytest.raises(RuntimeError, match="host must not look"):
        ops.capture(lambda: float(ops.activation("tanh", x)[0, 0]))
    assert ops.to_host(ops.capture(lambda: ops.activation("tanh", x))()).sum() == 0


def test_other_dtypes_and_captures_inside_captures_are_refused():
    ops = CupyOps()
    with pytest.raises(TypeError, match="float64 among operations in float32"):
        ops.activation("tanh", ops.xp.zeros((2,), np.float64))
    with pytest.raises(ValueError, match="must go to an array in C order"):
        ops.sum_columns(ops.zeros((3, 2)), out=ops.zeros((3, 2))[:, 0])
    with pytest.raises(RuntimeError, match="do not nest"):
        ops.capture(lambda: ops.capture(lambda: None))


def test_sizes_beyond_the_kernels_run_as_plain_layers():
    settings = StageSettings((3, 2, 11, 11), 1, 0, "tanh", 2)
    assert not CupyOps("float64").fuses_stage(settings)
    assert CupyOps("float64").fuses_stage(replace(settings, kernels=(6, 1, 5, 5)))
    given = []
    for ops in (CupyOps("float64"), NumpyOps("float64")):
        layers = [Conv2D(2, 3, 11), Tanh(), AvgPool2D(2), Flatten(), Linear(12, 2)]
        model = Sequential(layers, (2, 14, 14), ops)
        x = np.random.default_rng(0).normal(size=(2, 14, 14, 2))
        logits = model.forward(ops.asarray(x))
        model.backward(logits)
        given.append([ops.to_host(a) for a in (logits, model.gradients)])
    for one, other in zip(*given, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


COMMAND = ["--data", "synthetic", "--samples", "15", "--epochs", "2", "--batch-size", "50"]
COMMAND += ["--recipe", "best", "--no-plots"]


def trained(folder: Path, *options: str) -> tuple[dict, dict[str, np.ndarray]]:
    """metrics.json and parameters of a run by the command."""
    train([*COMMAND, "--out", str(folder), *options])
    record = json.loads((folder / "metrics.json").read_text())
    return record, {n: p.value for n, p in parameters(folder).items()}


def parameters(folder: Path) -> dict:
    return load_model(folder / "model.npz", NumpyOps()).model.parameters()


def test_a_user_trains_on_it(tmp_path):
    """The command, distortion on the device, against NumPy: record and parameters."""
    on_device, values = trained(tmp_path / "cupy", "--backend", "cupy", "--no-fallback")
    on_host, expected = trained(tmp_path / "numpy", "--backend", "numpy", "--threads", "1")
    assert list(on_device) == list(on_host)
    assert on_device["backend"] == "cupy" and on_device["device"] == "stand-in"
    assert on_device["graph"] is True and on_host["graph"] is True
    # Adam's first steps make much of the grey levels that the two ways of distorting differ by.
    gap = sum(np.square(values[n] - expected[n]).sum() for n in values)
    assert gap < 0.04**2 * sum(np.square(each).sum() for each in expected.values())


def test_a_run_stops_and_goes_on_to_the_bit_as_it_began(tmp_path, monkeypatch):
    """Stopped within the second epoch; held images, maps, scores and moments come back, and it
    goes on without graphs."""
    options = "--backend", "cupy", "--no-graph"
    _, expected = trained(tmp_path / "whole", *options)
    folder, states = tmp_path / "stopped", []

    def stop(keeper: CheckpointTimer, state: Callable) -> None:
        states.append(state)
        if len(states) == 10:  # of 14 steps in one epoch and the next
            keeper._save(state(), "")
            raise Stopped("stopped", 2)

    with monkeypatch.context() as patched:
        patched.setattr(CheckpointTimer, "after_step", stop)
        patched.setattr(
            CupyOps, "images_per_launch", 50
        )  # one step to a launch; later as many as fit
        with pytest.raises(Stopped):
            trained(folder, *options)
    train(["--resume", str(folder)])
    record = json.loads((folder / "metrics.json").read_text())
    assert (record["backend"], record["graph"]) == ("cupy", False)
    for name, parameter in parameters(folder).items():
        assert np.array_equal(parameter.value, expected[name]), name


def distorted(ops, recipe, counted: tuple[int, int], at_once: int) -> np.ndarray:
    model = LeNet5(activation="relu", squash_pools=False, ops=ops)
    fit(model, recipe, batch(counted[0], 1), batch(counted[1], 2), PREPROCESSING)
    return ops.to_host(model.values)


@pytest.mark.parametrize("distortion", (None, BEST.distortion))
def test_several_steps_in_one_launch_are_the_steps(distortion, monkeypatch):
    recipe = Recipe(**vars(BEST) | {"epochs": 2, "batch_size": 4, "distortion": distortion})
    values = []
    for images in (4, 12):  # one step to a launch, and three
        monkeypatch.setattr(CupyOps, "images_per_launch", images)
        values.append(distorted(CupyOps(), recipe, (30, 3), images))
    assert np.array_equal(*values)


def test_a_step_is_one_copy_and_one_graph():
    ops = CupyOps()
    model = LeNet5(ops=ops)
    recipe = CLASSIC.with_options(batch_size=3)
    held = place_on_device(ops, batch(9)[0])
    losses, hits = ops.zeros((9,)), ops.zeros((9,))
    some = [Batch(np.arange(k, k + 3), np.arange(3)) for k in (0, 3)]
    with Trainer(model, recipe, PREPROCESSING, WorkerThreads(1), 3, held) as trainer:
        trainer.steps_on(some, losses, hits)
        ops.synchronize()
        counts = state.launches, state.allocations, state.copies, state.graphs
        trainer.steps_on(some, losses, hits)
        ops.synchronize()
    launches, allocations, copies, graphs = (
        now - before
        for now, before in zip(
            (state.launches, state.allocations, state.copies, state.graphs), counts, strict=True
        )
    )
    assert (launches, allocations, copies, graphs) == (2 * 9, 0, 1, 1)
    assert np.all(ops.to_host(losses)[:6] > 0) and not ops.to_host(losses)[6:].any()


def test_the_steps_of_a_launch_share_their_work_arrays():
    """Only what the host sends is kept for each: places, labels, rates and where to begin."""
    taken, some = [], [Batch(np.arange(k, k + 3), np.arange(3)) for k in (0, 3, 6)]
    for times in (1, 3):
        ops = CupyOps()
        losses, hits = ops.zeros((9,)), ops.zeros((9,))
        held = place_on_device(ops, batch(9)[0])
        given = CLASSIC.with_options(batch_size=3), PREPROCESSING, WorkerThreads(1), 3, held
        with Trainer(LeNet5(ops=ops), *given) as trainer:
            gc.collect()
            free_unused_pools(ops.xp)  # what was before does not count
            with not_collecting():
                before = sum(state.memory.values())
                trainer.steps_on(some[:times], losses, hits)
                taken.append(sum(state.memory.values()) - before)
    assert taken[1] - taken[0] == 2 * 4 * ALIGNMENT


@pytest.mark.parametrize("recipe", (CLASSIC, BEST))
@pytest.mark.parametrize("graph", (True, False))
def test_a_trainer_reads_with_what_it_was_captured_for_once(recipe, graph, monkeypatch):
    """By the parameters of the moment; to capture takes as long as an epoch."""
    ops, images = CupyOps(graph=graph), batch(5)[0]
    model = LeNet5(activation="relu", squash_pools=False, ops=ops)
    held = place_on_device(ops, images)
    losses, hits = ops.zeros((3,)), ops.zeros((3,))
    recipe = recipe.with_options(batch_size=3)
    captures, capture = [], CupyOps.capture
    with Trainer(model, recipe, PREPROCESSING, WorkerThreads(1), 3, held) as trainer:
        trainer.read(images)
        trainer.steps_on([Batch(np.arange(3), np.arange(3))], losses, hits)
        monkeypatch.setattr(
            CupyOps, "capture", lambda *given, **more: captures.append(1) or capture(*given, **more)
        )
        for _ in range(2):
            trainer.steps_on([Batch(np.arange(3), np.arange(3))], losses, hits)
            probabilities = trainer.read(images)
            assert not captures
            anew = ForwardPass(trainer.model, PREPROCESSING, 5)(images)
            np.testing.assert_array_equal(probabilities, anew)
            captures.clear()


def test_images_that_find_no_room_on_the_device_are_sent():
    images = batch(40)[0]
    state.limit = images.nbytes - 1
    ops = CupyOps()
    assert ops.resident(images) is None
    state.limit = images.nbytes
    assert np.array_equal(ops.to_host(ops.resident(images)), images)


def test_what_the_device_cannot_distort_is_distorted_on_the_host():
    images = batch(4)[0]
    assert place_on_device(CupyOps(), images, Distortion(rotation=5)) is not None
    assert place_on_device(CupyOps(), images, Distortion(rotation=5, pen=0.2)) is None
    assert place_on_device(NumpyOps(), images, Distortion(rotation=5)) is None


def test_the_device_warps_as_opencv_does():
    """All but few pixels come out within a grey level (OpenCV 5; before, it rounded places to
    1/32 pixel, which changes a pixel by up to a 16th of the range)."""
    ops, distortion = CupyOps(), BEST.distortion
    rng = np.random.default_rng(5)
    images = cv2.blur(rng.integers(0, 256, (20, 32, 32), np.uint8).transpose(1, 2, 0), (3, 3))
    images = np.ascontiguousarray(images.transpose(2, 0, 1))
    changes = distortion.draw(rng, 20)
    held, places = place_on_device(ops, images, distortion), np.arange(20)
    warped = ops.warped_batch(held.images, 1.0, 0.0, places, changes.coefficients, held.basis)
    expected = distortion.apply(images, changes).astype(float)
    gap = np.abs(ops.to_host(warped)[0].transpose(2, 0, 1) - expected)
    exact = int(cv2.__version__.split(".")[0]) >= 5
    assert gap.max() <= (1 if exact else 16) and gap.mean() < (0.05 if exact else 1.0)
