"""One training shared by the ranks of MPI: rank 0 leads, the others compute gradients for it.

A batch falls into pieces of PIECE images, whatever the number of ranks. The gradients of the pieces
are added in a fixed tree. So any number of ranks gives the same bits. A rank computes neighbouring
pieces and sends the sums of whole subtrees, at best one vector.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.model import Sequential
from lenet_xp.ops import Array
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.text import reason_of
from lenet_xp.system.workers import even_slices
from lenet_xp.training.batches import Batch
from lenet_xp.training.step import GradientWorker

PIECE = 16  # images
SIZES = "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"  # what starters of ranks set
PLACES = "MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"  # on this machine

Node = tuple[int, int]  # the pieces from the first to before the second, a part of the tree


def world() -> Any:
    """MPI's communicator of all ranks, or None in a process that was not started as a rank.

    InputError for several ranks without mpi4py, or with one that is not of their MPI.
    """
    size = max((int(os.environ.get(name, 0)) for name in SIZES), default=0)
    if not size:
        return None
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # the latter: it finds no MPI library
        if size == 1:
            return None
        raise InputError(
            f"{size} ranks were started, but mpi4py is missing, or an MPI for it; "
            "pip install mpi4py mpich"
        ) from error
    if MPI.COMM_WORLD.size == 1 < size:  # each would lead a training of its own
        raise InputError(f"{size} ranks were started, but not by mpi4py's MPI; use its mpiexec")
    return MPI.COMM_WORLD


def nodes(own: range, low: int, high: int, end: int) -> Iterator[Node]:
    """The largest nodes of the tree below (low, high) that hold none but own pieces.

    end: the number of all pieces. high - low is a power of two.
    """
    if low >= end or not range(max(low, own.start), min(high, own.stop)):
        return
    if own.start <= low and min(high, end) <= own.stop:
        yield low, high
    else:
        middle = (low + high) // 2
        yield from nodes(own, low, middle, end)
        yield from nodes(own, middle, high, end)


class Tree:
    """Sums over pieces, in the order of one binary tree over all of them."""

    def __init__(self, pieces: int, ranks: int):
        self.end, self.top = pieces, 1 << (pieces - 1).bit_length()
        shares = [range(pieces)[share] for share in even_slices(pieces, ranks)]
        self.shares = shares + [range(0)] * (ranks - len(shares))
        self.nodes = [list(nodes(share, 0, self.top, pieces)) for share in self.shares]

    def sum(self, node: Node, known: Mapping[Node, Array], gradient: Any = None) -> Array:
        """The sum below a node of what is known, or of gradient(piece)."""
        low, high = node
        if node in known:
            return known[node]
        if high - low == 1:
            return gradient(low)
        middle = (low + high) // 2
        left = self.sum((low, middle), known, gradient)
        return left if middle >= self.end else left + self.sum((middle, high), known, gradient)


_tree = lru_cache(maxsize=4)(Tree)  # of the usual batch, and of an epoch's last one


class Ranks:
    """What the ranks do together for one training; the leader's is a context manager.

    Every rank has its own copy of the model, and one thread.
    """

    def __init__(
        self,
        comm: Any,
        model: Sequential,
        preprocessing: Preprocessing,
        teachers: Sequence[Sequential] = (),
    ):
        self.comm, self.model, self._busy = comm, model, False
        self.worker = GradientWorker(model, preprocessing, None, teachers)
        self.shape = preprocessing.shape
        if comm.rank == 0:
            comm.bcast(model.ops)
            comm.bcast((model, preprocessing, tuple(teachers)))

    def __enter__(self) -> "Ranks":
        return self

    def __exit__(self, *error: object) -> None:
        if self._busy:  # stopped amid an exchange: the others would wait for its rest
            self.comm.Abort(1)
        self.comm.Bcast(np.zeros(2))

    def differentiate(self, batch: Batch, scale: float, losses: Array, hits: Array) -> None:
        """On the leader: leave the gradients of scale * sum of the losses in the model's.

        Writes losses and hits (N,), too.
        """
        self._busy = True
        self.comm.Bcast(np.array([len(batch.labels), scale]))
        rows = self._share(len(batch.labels), scale, batch.images, batch.labels)
        for into, values in zip((losses, hits), rows, strict=True):
            into[...] = self.model.ops.asarray(values)
        self._busy = False

    def serve(self) -> None:
        """On another rank: compute with the leader until it ends the training."""
        head = np.empty(2)
        while self.comm.Bcast(head) or head[0]:
            self._share(int(head[0]), float(head[1]))

    def _share(
        self,
        count: int,
        scale: float,
        images: np.ndarray | None = None,
        labels: np.ndarray | None = None,
    ) -> np.ndarray:
        """Each rank's part of a batch of `count` images; on the leader losses and hits (2, N)."""
        comm, ops, leads = self.comm, self.model.ops, self.comm.rank == 0
        values = ops.to_host(self.model.values)
        comm.Bcast(values)
        tree = _tree(-(-count // PIECE), comm.size)
        starts = [min(share.start * PIECE, count) for share in tree.shares]
        sizes = [min(s.stop * PIECE, count) - a for s, a in zip(tree.shares, starts, strict=True)]
        size, pixels = sizes[comm.rank], int(np.prod(self.shape))
        own = Batch(np.empty((size, *self.shape), np.uint8), np.empty(size, np.int64))
        sent = (images, [pixels * n for n in sizes]) if leads else None
        comm.Scatterv(sent, own.images)
        comm.Scatterv((labels, sizes) if leads else None, own.labels)
        if not leads:
            self.model.values[...] = ops.asarray(values)
        rows, first = np.empty((2, size), values.dtype), tree.shares[comm.rank].start

        def gradient(piece: int) -> Array:
            part = slice((piece - first) * PIECE, min((piece - first + 1) * PIECE, size))
            some = ops.zeros((part.stop - part.start,)), ops.zeros((part.stop - part.start,))
            self.worker.differentiate(own.part(part), scale, *some)
            rows[:, part] = [ops.to_host(each) for each in some]
            return ops.to_host(self.model.gradients)

        sums = [tree.sum(node, {}, gradient) for node in tree.nodes[comm.rank]]
        length, counts = len(values), [len(each) * len(values) for each in tree.nodes]
        every = np.empty((sum(map(len, tree.nodes)), length), values.dtype)
        mine = np.array(sums, values.dtype).reshape(-1, length)
        comm.Gatherv(mine, (every, counts) if leads else None)
        results = np.empty((2, count), values.dtype)
        for row, result in zip(rows, results, strict=True):
            comm.Gatherv(row, (result, sizes) if leads else None)
        if leads:
            known = dict(zip([n for each in tree.nodes for n in each], every, strict=True))
            self.model.gradients[...] = ops.asarray(tree.sum((0, tree.top), known))
        return results


def follow(comm: Any) -> None:
    """On every rank but the leader: help with its trainings until `dismiss`.

    An error ends all ranks, for the others would wait for this one for ever.
    """
    try:
        local = next((int(os.environ[name]) for name in PLACES if name in os.environ), comm.rank)
        while (ops := comm.bcast(None)) is not None:
            ops.use_device(local)
            Ranks(comm, *comm.bcast(None)).serve()
    except BaseException as error:
        print(f"error: rank {comm.rank}: {reason_of(error)}", file=sys.stderr, flush=True)
        comm.Abort(1)


def dismiss(comm: Any) -> None:
    """On the leader: let the other ranks go."""
    comm.bcast(None)
