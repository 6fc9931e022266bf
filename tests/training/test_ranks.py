"""Ranks of MPI: one tree of sums, the same bits for any number of them, and none left alone."""

import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from killable import bars

from lenet_xp.errors import InputError
from lenet_xp.model import LeNet5
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.training import ranks
from lenet_xp.training.loop import fit
from lenet_xp.training.ranks import Tree
from lenet_xp.training.recipes import BEST

PREPROCESSING = Preprocessing()


class Words(str):
    """A sum that tells how it was added."""

    def __add__(self, other):
        return Words(f"({self} {other})")


@pytest.mark.parametrize("pieces", (1, 2, 3, 4, 5, 7, 8, 13, 16))
def test_any_number_of_ranks_adds_alike(pieces):
    alone = Tree(pieces, 1)
    whole = alone.sum((0, alone.top), {}, lambda piece: Words(piece))
    assert sorted(whole.replace("(", "").replace(")", "").split(), key=int) == [
        str(piece) for piece in range(pieces)
    ]
    for count in range(1, 10):
        tree, computed = Tree(pieces, count), []

        def gradient(piece, computed=computed):
            computed.append(piece)
            return Words(piece)

        known = {node: tree.sum(node, {}, gradient) for shares in tree.nodes for node in shares}
        assert sorted(computed) == list(range(pieces))  # each once
        assert tree.sum((0, tree.top), known) == whole
        assert max(map(len, tree.nodes)) <= 2 * max(1, tree.top.bit_length())


def test_two_ranks_send_one_sum_each():
    assert [len(nodes) for nodes in Tree(8, 2).nodes] == [1, 1]
    assert [len(nodes) for nodes in Tree(4, 4).nodes] == [1] * 4


class Comm:
    """A communicator of threads: the exchanges that ranks use, by a barrier and a table."""

    def __init__(self, size, rank=0, shared=None):
        self.size, self.rank = size, rank
        self.shared = shared or {"barrier": threading.Barrier(size, timeout=60), "given": {}}

    def member(self, rank):
        return Comm(self.size, rank, self.shared)

    def _exchange(self, mine):
        self.shared["given"][self.rank] = mine
        self.shared["barrier"].wait()
        everyone = [self.shared["given"][rank] for rank in range(self.size)]
        return everyone

    def _end(self):
        self.shared["barrier"].wait()

    def bcast(self, what):
        given = pickle.loads(pickle.dumps(self._exchange(what)[0]))
        self._end()
        return given

    def Abort(self, status):
        self.shared["barrier"].abort()

    def Bcast(self, array):
        given = self._exchange(array)[0]
        array[...] = given
        self._end()

    def Scatterv(self, sent, into):
        array, counts = self._exchange(sent)[0]
        start = sum(counts[: self.rank])
        into.reshape(-1)[...] = array.reshape(-1)[start : start + counts[self.rank]]
        self._end()

    def Gatherv(self, mine, into):
        everyone = self._exchange(mine)
        if into is not None:
            array, counts = into
            assert [each.size for each in everyone] == counts
            array.reshape(-1)[...] = np.concatenate([each.reshape(-1) for each in everyone])
        self._end()


def trained(size, recipe=BEST, backend="numpy", teachers=()):
    """The weights and the history of a run on ranks that are threads."""
    comm = Comm(size)
    others = [
        threading.Thread(target=ranks.follow, args=(comm.member(rank),), daemon=True)
        for rank in range(1, size)
    ]
    for each in others:
        each.start()
    model = LeNet5(3, ops=get_ops(backend), activation="relu", squash_pools=False)
    own = recipe.with_options(epochs=2, batch_size=40)
    images = bars(100, 1), bars(30, 2)
    result = fit(model, own, *images, PREPROCESSING, 3, comm=comm, teachers=teachers)
    ranks.dismiss(comm)
    for each in others:
        each.join(60)
        assert not each.is_alive()
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]
    assert result.ranks == size and result.threads == 1
    return model.ops.to_host(model.values).tobytes(), rows


@pytest.mark.parametrize("size", (2, 3, 5))
def test_the_bits_are_the_same_on_any_number_of_ranks(size):
    """40 images are three pieces: of 3 ranks each has one, of 5 two have none."""
    assert trained(size) == trained(1)


def test_the_sum_is_that_of_the_batch():
    """The weights follow those of the plain way, whose sums run in another order."""
    plain = LeNet5(3, ops=get_ops("numpy", "float64"), activation="relu", squash_pools=False)
    shared = plain.replica(plain.values.copy())
    own = BEST.with_options(epochs=1, batch_size=40)
    images = bars(100, 1), bars(30, 2)
    fit(plain, own, *images, PREPROCESSING, 3, threads=1)
    fit(shared, own, *images, PREPROCESSING, 3, comm=Comm(1))
    np.testing.assert_allclose(shared.values, plain.values, rtol=0, atol=1e-12)


def test_teachers_teach_on_every_rank():
    teachers = [
        LeNet5(3, ops=get_ops("numpy"), activation="relu", squash_pools=False, seed=seed)
        for seed in (7, 8)
    ]
    assert trained(2, teachers=teachers) == trained(1, teachers=teachers) != trained(1)


def test_an_error_of_a_rank_ends_all(capsys, monkeypatch):
    ended = []

    class Broken(Comm):
        def bcast(self, what):
            raise ValueError("the network\nis down")

        def Abort(self, status):
            ended.append(status)

    ranks.follow(Broken(2, 1))
    assert ended == [1] and capsys.readouterr().err == "error: rank 1: the network is down\n"


def test_a_leader_that_stops_amid_an_exchange_ends_all(monkeypatch):
    ended = []

    class Interrupted(Comm):
        def Scatterv(self, sent, into):
            raise KeyboardInterrupt

        def Abort(self, status):
            ended.append(status)

    model = LeNet5(3, ops=get_ops("numpy"))
    own = BEST.with_options(epochs=1, batch_size=40)
    with pytest.raises(KeyboardInterrupt):
        fit(model, own, bars(100, 1), bars(30, 2), PREPROCESSING, comm=Interrupted(1))
    assert ended == [1]


def test_a_process_that_is_no_rank_needs_no_mpi(monkeypatch):
    for name in ranks.SIZES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert ranks.world() is None
    monkeypatch.setenv(ranks.SIZES[0], "1")
    assert ranks.world() is None
    monkeypatch.setenv(ranks.SIZES[0], "4")
    with pytest.raises(InputError, match=r"4 ranks .* mpi4py is missing.*; pip install"):
        ranks.world()
    alone = SimpleNamespace(MPI=SimpleNamespace(COMM_WORLD=SimpleNamespace(size=1)))
    monkeypatch.setitem(sys.modules, "mpi4py", alone)
    with pytest.raises(InputError, match=r"4 ranks .* not by mpi4py's MPI"):
        ranks.world()  # a starter of another MPI
    monkeypatch.setitem(sys.modules, "mpi4py", WithoutLibrary())
    with pytest.raises(InputError, match=r"4 ranks .* an MPI for it"):
        ranks.world()


class WithoutLibrary:
    """mpi4py on a machine without an MPI library."""

    @property
    def MPI(self):
        raise RuntimeError("cannot load MPI library")


# Real ranks, where MPI is installed

OPTIONS = ["--samples", "40", "--recipe", "best", "--epochs", "10", "--no-plots"]
OPTIONS += ["--checkpoint-every", "0.2"]


@pytest.fixture
def start(tmp_path):
    """A function that starts a training on ranks in a folder of its own."""
    pytest.importorskip("mpi4py", reason="needs MPI: pip install mpi4py mpich")
    starter = Path(sys.executable).with_name("mpiexec")
    if not starter.exists():
        pytest.skip("needs mpiexec of MPICH: pip install mpich")
    running = []

    def run(count, *arguments):
        command = [starter, "-n", str(count), sys.executable, "-m", "lenet_xp", "train", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        running.append(subprocess.Popen(command, cwd=tmp_path, start_new_session=True, **pipes))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()


def test_real_ranks_are_stopped_killed_and_go_on(start, tmp_path):
    whole = start(1, *OPTIONS, "--out", "whole")
    assert whole.wait(120) == 0, whole.communicate()
    stopped = start(2, *OPTIONS, "--out", "run")
    checkpoints = tmp_path / "run" / "checkpoints"
    while not list(checkpoints.glob("step-*")):
        time.sleep(0.05)
        assert stopped.poll() is None, stopped.communicate()
    stopped.send_signal(signal.SIGINT)
    _, words = stopped.communicate(timeout=60)
    assert "stopped; go on with: lenet-xp train --resume run" in words
    assert words.count("epoch 1/10") <= 1  # one rank alone speaks
    plain = [sys.executable, "-m", "lenet_xp", "train", "--resume", "run"]
    refused = subprocess.run(plain, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 2 and "began under mpiexec" in refused.stderr
    ended = start(3, "--resume", "run")
    assert ended.wait(120) == 0, ended.communicate()
    models = [(tmp_path / name / "model.npz").read_bytes() for name in ("whole", "run")]
    assert models[0] == models[1]
    for name, count in (("whole", 1), ("run", 3)):
        assert f'"ranks": {count},' in (tmp_path / name / "metrics.json").read_text()
