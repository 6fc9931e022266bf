"""`python -m studies.speed --gpu` on the stand-in: its files, its contenders, its errors."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from lenet_xp.commands.terminal import run
from lenet_xp.errors import InputError
from lenet_xp.inference import predict_probabilities
from lenet_xp.model import LeNet5
from lenet_xp.ops.cuda.cupy_ops import CupyOps
from lenet_xp.ops.numpy_ops import NumpyOps
from lenet_xp.training.recipes import CLASSIC
from studies.speed import gpu_amhcd, gpu_card, gpu_peers, gpu_speed
from studies.speed.__main__ import benchmark
from studies.speed.gpu_ours import launches_of_a_step, read_contender
from studies.speed.measure import Contender, take_turns
from studies.speed.ours import PREPROCESSING, random_batch


@pytest.fixture
def small(stand_in, monkeypatch):
    """The benchmark at a size that the stand-in can take, on generated letters for AMHCD."""
    whole = gpu_speed.run_gpu_benchmark

    def run_small(batches, turns, seconds, **options):
        return whole((3,), 2, 0.0, epoch=4, **options)

    race = replace(gpu_amhcd.RACE, epochs=1)
    kept = []
    found = gpu_amhcd.measure("synthetic", NumpyOps(), {"race": race}, kept.append)
    assert kept == [found]
    monkeypatch.setattr(CupyOps, "images_per_launch", 6)
    monkeypatch.setattr(gpu_speed, "run_gpu_benchmark", run_small)
    monkeypatch.setattr(gpu_amhcd, "measure", lambda source, ops: found)
    monkeypatch.setattr(
        gpu_amhcd,
        "cold_race",
        lambda *given: {"process_seconds": 3.0, "fit_seconds": 0.5, "test_accuracy": 0.975},
    )


def test_the_command_writes_record_table_and_log(small, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gpu_peers, "missing", lambda: "No module named 'torch'")
    out = tmp_path / "out"
    assert run(benchmark, ["--gpu", "--out", str(out), "--command-data", "amhcd_64.zip"]) == 0
    record = json.loads((out / "gpu.json").read_text())
    assert record["absent"] == {"PyTorch": "No module named 'torch'"}
    assert record["card"]["name"] == "stand-in"
    (row,) = record["training"]
    assert row["contenders"]["lenet_xp"]["lenet_xp_is_faster_by"] == 1.0
    assert row["kernels"] == 9 and row["floor_microseconds"] > 0
    ours = row["contenders"]["lenet_xp"]["microseconds"]
    assert len(record["epoch"]["seconds"]) == 3 and record["epoch"]["images"] == 4
    assert row["share_of_floor"] == pytest.approx(row["floor_microseconds"] / ours)
    assert record["amhcd"]["race"]["again"]["epochs"] == 1
    table = (out / "gpu.txt").read_text()
    assert table == capsys.readouterr().out
    assert "absent: PyTorch" in table and "race in a process of its own: 3.00 s" in table
    log = (out / "gpu.log").read_text()
    assert "an epoch of 4 images, batch 64" in table
    assert "not taking part: PyTorch" in log and "training, batch 3" in log


def test_without_a_gpu_it_is_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert run(benchmark, ["--gpu", "--quick", "--out", str(tmp_path)]) == 2
    words = capsys.readouterr().err.strip()
    assert words.startswith("error: CuPy cannot be imported") and "\n" not in words


def test_a_peer_that_fails_is_named_and_the_others_run():
    """As on a machine whose PyTorch has no CUDA; eager PyTorch runs on the CPU for it."""
    pytest.importorskip("torch")
    for training in (True, False):
        found, absent = gpu_peers.contenders(training, 2, compiled=False, device="cpu")
        assert list(found) == ["PyTorch eager"]
        assert list(absent) == ["PyTorch CUDA graph, batch 2"]
        found["PyTorch eager"].call()
    images, _ = random_batch(2)
    expected = predict_probabilities(LeNet5(ops=NumpyOps()), images, PREPROCESSING)
    theirs = found["PyTorch eager"].call().numpy()
    np.testing.assert_allclose(theirs, expected, atol=1e-5)


def test_ours_reads_what_it_reads_elsewhere(stand_in):
    ops = CupyOps()
    images, _ = random_batch(3)
    expected = predict_probabilities(LeNet5(ops=NumpyOps()), images, PREPROCESSING)
    ours = read_contender(ops, 3)  # whoever lets go of it lets go of its graph
    np.testing.assert_allclose(ops.to_host(ours.call()).T, expected, rtol=1e-5, atol=1e-7)


def test_a_contender_is_timed_by_its_own_clock():
    given = []

    def clock(call, repeats: int) -> float:
        given.append(repeats)
        return 0.25

    timings = take_turns({"a": Contender(lambda: None, 10, clock=clock)}, turns=3, seconds=0.0)
    assert timings["a"].median == 0.25 and timings["a"].rate == 40
    assert len(given) == 3 + 3  # to find how many fill a turn, and the turns


def test_the_floor_is_the_longer_of_arithmetic_and_memory(stand_in):
    best = gpu_card.peaks(CupyOps())  # of an H100, as the stand-in poses
    assert best.flops == pytest.approx(66.9e12, rel=1e-3)
    assert best.bandwidth == pytest.approx(3.352e12, rel=1e-3)
    assert best.floor(best.flops, best.bandwidth / 2) == pytest.approx(1.0)
    assert best.floor(best.flops / 2, best.bandwidth) == pytest.approx(1.0)


def test_an_a100_has_half_the_lanes(stand_in):
    import cupy_stand_in

    cupy_stand_in.state.capability = 8, 0
    assert gpu_card.peaks(CupyOps()).flops == pytest.approx(66.9e12 / 2, rel=1e-3)


def test_launches_are_those_of_one_step(stand_in):
    titles = [
        each.title.split()[0] for each in launches_of_a_step(CupyOps(graph=False), CLASSIC, 2)
    ]
    assert titles == [
        *("image_batch", "stage_forward", "stage_forward", "dense_forward", "head"),
        *("dense_gradients", "stage_backward_below", "stage_backward", "sgd_update_sums"),
    ]


def test_the_race_as_a_process(monkeypatch, capsys):
    monkeypatch.setattr(gpu_amhcd, "get_ops", lambda backend: NumpyOps())
    monkeypatch.setattr(gpu_amhcd, "RACE", replace(gpu_amhcd.RACE, epochs=1))
    gpu_amhcd.main(["synthetic"])
    found = json.loads(capsys.readouterr().out)
    assert 0 < found["train_seconds"] < found["fit_seconds"]
    assert 0 < found["test_accuracy"] < 1 and found["epochs"] == 1


def test_a_race_that_fails_says_why(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(InputError, match=r"of its own failed: .*CuPy cannot be imported"):
        gpu_amhcd.cold_race("synthetic", 60)
    with pytest.raises(InputError, match=r"took over 0\.01 s"):
        gpu_amhcd.cold_race("synthetic", 0.01)
