"""Runs on CuPy and PyTorch follow the NumPy run: an epoch's parameters and history, the record."""

import json
from pathlib import Path

import numpy as np
import pytest
from tolerances import NETWORK, TRAINING

from lenet_xp.commands.train import train
from lenet_xp.model_file import load_model
from lenet_xp.ops import Ops, get_ops
from lenet_xp.ops.cuda.cupy_ops import CupyOps
from lenet_xp.ops.numpy_ops import NumpyOps
from lenet_xp.training.loop import fit
from lenet_xp.training.recipes import BEST, CLASSIC, PUBLISHED, Recipe
from studies.speed.ours import PREPROCESSING

pytestmark = pytest.mark.usefixtures("stand_in")
PLAIN_BEST = Recipe(**vars(BEST) | {"distortion": None, "learning_rate": 1e-3})
# By eq. 8: what eq. 9 leaves of a probability before the first pass is too little for float32
PLAIN_1998 = Recipe(**vars(PUBLISHED) | {"network": PUBLISHED.network[:-1]})
# What a run says of its machine and its time
OF_THE_MACHINE = {"backend_requested", "backend", "graph", "threads", "device"}
OF_THE_MACHINE |= {"train_seconds", "images_per_second"}


def patterns(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images that can be told apart, with noise; labels."""
    shapes = np.random.default_rng(7).integers(0, 180, (33, 32, 32))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 33, count)
    return (shapes[labels] + rng.integers(0, 75, (count, 32, 32))).astype(np.uint8), labels


def an_epoch(ops: Ops, recipe: Recipe) -> tuple[dict, np.ndarray]:
    """The row of the history, and by how much the parameters moved."""
    model = recipe.make_network(33, ops)
    start = ops.to_host(model.values).astype(float)
    own = recipe.with_options(epochs=1, batch_size=16)
    result = fit(model, own, patterns(140, 1), patterns(20, 2), PREPROCESSING, threads=1)
    return result.history[0], ops.to_host(model.values) - start


@pytest.fixture(params=("cupy", "torch"))
def backend(request):
    if request.param == "torch":
        pytest.importorskip("torch", reason="needs PyTorch")
    return request.param


@pytest.mark.parametrize("recipe", (CLASSIC, PLAIN_BEST, PLAIN_1998), ids=lambda r: r.name)
def test_an_epoch_follows_numpy(recipe, backend):
    """Eight steps at once, the last batch short; shuffled by the host for both."""
    row, moved = an_epoch(CupyOps() if backend == "cupy" else get_ops(backend), recipe)
    for dtype in ("float32", "float64"):
        expected_row, expected = an_epoch(NumpyOps(dtype), recipe)
        gap = np.linalg.norm(moved - expected) / np.linalg.norm(expected)
        assert gap <= TRAINING["float32"]
        for name in ("train_loss", "val_loss"):
            assert row[name] == pytest.approx(expected_row[name], rel=5 * NETWORK["float32"])
        for name in ("train_accuracy", "val_accuracy", "learning_rate", "epoch"):
            assert row[name] == expected_row[name]


def command(folder: Path, backend: str) -> tuple[dict, dict]:
    """metrics.json and the parameters of a run by the command."""
    options = ["--samples", "15", "--epochs", "1", "--batch-size", "50", "--no-plots"]
    where = ["--threads", "1", "--backend", backend, "--no-fallback", "--out", str(folder)]
    train([*options, *where])
    saved = load_model(folder / "model.npz", NumpyOps())
    values = {name: p.value for name, p in saved.model.parameters().items()}
    return json.loads((folder / "metrics.json").read_text()), values


def flat(value, name: str = "") -> dict:
    """Every single value of a record by its path."""
    if isinstance(value, dict):
        return {k: v for key, each in value.items() for k, v in flat(each, f"{name}/{key}").items()}
    if isinstance(value, list):
        items = dict(enumerate(value))
        return {k: v for key, each in items.items() for k, v in flat(each, f"{name}/{key}").items()}
    return {name: value}


def test_the_command_leaves_the_same_record(tmp_path, backend):
    (on_device, values), (on_host, expected) = (
        command(tmp_path / name, name) for name in (backend, "numpy")
    )
    for name in expected:
        gap = np.abs(values[name] - expected[name]).max() / np.abs(expected[name]).max()
        assert gap < TRAINING["float32"], name
    given, wanted = flat(on_device), flat(on_host)
    assert list(given) == list(wanted)
    for name, value in wanted.items():
        if name.split("/")[1] in OF_THE_MACHINE:
            continue
        if isinstance(value, float):
            value = pytest.approx(value, rel=TRAINING["float32"], abs=1e-6)
        assert given[name] == value, name
