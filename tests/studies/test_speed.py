"""The benchmark measures what it says: the same work for all, counted right."""

import math
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from lenet_xp.inference import ForwardPass, predict_probabilities
from lenet_xp.model import LeNet5
from lenet_xp.ops import get_ops
from studies.speed import cpu, ours, peers
from studies.speed.measure import Contender, Timing, take_turns
from studies.speed.memory import measure_command
from studies.speed.table import draw, text_table


def test_contenders_take_turns_in_their_own_setting():
    log, inside = [], []

    @contextmanager
    def setting():
        inside.append("a")
        yield
        inside.pop()

    timings = take_turns(
        {
            "a": Contender(lambda: log.append("a" + "".join(inside)), 10, setting),
            "b": Contender(lambda: log.append("b" + "".join(inside)), 20),
        },
        turns=4,
        seconds=0.001,
    )
    assert set(log) == {"aa", "b"}  # a within its setting, b outside of it
    assert all(len(timing.turns) == 4 and timing.median > 0 for timing in timings.values())
    changes = [x for x, y in zip(log, [*log[1:], ""], strict=True) if x != y]
    assert len(changes) >= 5  # in turns, not one after the other


def test_a_command_is_measured_without_its_starter():
    ballast = np.ones(2**27)  # a gigabyte here must not count there
    run = measure_command(["-c", "x = bytearray(200_000_000); x[::4096] = x[::4096]; exit(3)"])
    assert ballast[-1] == 1.0
    assert run["exit_status"] == 3
    assert 190 < run["peak_megabytes"] < 400
    assert run["seconds"] > 0 and run["cpu_seconds"] > 0


def test_a_measured_command_is_of_this_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert measure_command(["-m", "lenet_xp", "--version"])["exit_status"] == 0


def test_a_timing_speaks_of_its_median():
    timing = Timing((1.0, 2.0, 3.0, 4.0, 100.0), items=6)
    assert (timing.median, timing.rate) == (3.0, 2.0)
    assert timing.spread == pytest.approx((4.0 - 2.0) / 2 / 3.0)


def test_the_floor_counts_the_layers_own_arithmetic():
    model = LeNet5(ops=get_ops("numpy"))
    forward, first = 0, 0
    for layer, shape in zip(model.layers, model.shapes[1:], strict=True):
        weight = layer.param_shapes().get("weight", (0,))
        positions = math.prod(shape[1:])
        forward += math.prod(weight) * positions
        first = first or forward
    assert forward == cpu.FORWARD
    assert 2 * (3 * forward - first) == cpu.TRAINING_FLOPS


def test_the_textbook_and_the_fast_step_do_the_same_work():
    with ExitStack() as stack:
        fast, textbook = ours.train_step(stack, 48, 2), ours.textbook_step(48)
        trainer = fast.call.func.__self__
        model = textbook.call.__closure__
        model = next(c.cell_contents for c in model if isinstance(c.cell_contents, LeNet5))
        for _ in range(3):
            fast.call()
            textbook.call()
        gap = np.abs(trainer.model.values - model.values).max()
    assert gap < 1e-5


def test_a_reader_of_few_gives_the_probabilities_of_the_batch():
    images, _ = ours.random_batch(6)
    model = LeNet5(ops=get_ops("numpy"))
    together = predict_probabilities(model, images, ours.PREPROCESSING)
    for count in (1, 4):
        reader = ForwardPass(model, ours.PREPROCESSING, count)
        for start in range(0, 6, count):
            piece = slice(start, start + count)
            np.testing.assert_allclose(reader(images[piece]), together[piece], atol=1e-6)


def test_onnx_runtime_reads_what_we_read():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    images, _ = ours.random_batch(16)
    ours_say = predict_probabilities(LeNet5(ops=get_ops("numpy")), images, ours.PREPROCESSING)
    (theirs,) = peers.onnx_inference(16, 1).call()
    np.testing.assert_allclose(theirs, ours_say, atol=1e-5)


def test_pytorch_reads_what_we_read():
    pytest.importorskip("torch")
    images, _ = ours.random_batch(16)
    ours_say = predict_probabilities(LeNet5(ops=get_ops("numpy")), images, ours.PREPROCESSING)
    np.testing.assert_allclose(peers.torch_inference(16).call().numpy(), ours_say, atol=1e-5)


def test_jax_reads_and_learns_what_we_do():
    pytest.importorskip("jax")
    images, _ = ours.random_batch(16)
    ours_say = predict_probabilities(LeNet5(ops=get_ops("numpy")), images, ours.PREPROCESSING)
    np.testing.assert_allclose(np.asarray(peers.jax_inference(16).call()), ours_say, atol=1e-5)
    textbook = ours.textbook_step(16)
    model = next(
        cell.cell_contents
        for cell in textbook.call.__closure__
        if isinstance(cell.cell_contents, LeNet5)
    )
    textbook.call()
    theirs = peers.jax_step(16).call()
    for p, their in zip(model.parameters().values(), theirs, strict=True):
        their = np.asarray(their)
        their = their.transpose(3, 2, 0, 1) if their.ndim == 4 else their.T
        np.testing.assert_allclose(their, p.value, atol=1e-5)


def test_absent_peers_are_named_and_the_record_becomes_table_and_picture(tmp_path, monkeypatch):
    absent = ("JAX", "ONNX Runtime", "onnx")
    reasons = {"PyTorch": "No module named 'torch'"} | dict.fromkeys(absent, "none")
    monkeypatch.setattr(peers, "missing", lambda: reasons)
    said = []
    record = cpu.run_benchmark(1, (2, 4), (1, 3), turns=2, seconds=0.001, log=said.append)
    assert "PyTorch" in said[0]
    assert record["torch_threads"] is None
    names = {name for row in record["training"] for name in row["contenders"]}
    assert names == {"lenet_xp", "lenet_xp, 1 thread", "textbook NumPy"}
    for row in record["training"]:
        assert row["contenders"]["lenet_xp"]["lenet_xp_is_faster_by"] == 1.0
        assert 0 < row["share_of_floor"] < 1.5
    assert record["pipeline"]["distorted_over_plain"] > 0
    assert "(abc1234)" in text_table(record | {"git_commit": "abc1234"})
    table = text_table(record | {"git_commit": None})  # not in a checkout
    assert "None" not in table.splitlines()[0]
    assert "absent: PyTorch" in table and "training, batch 4" in table
    draw(record, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")
