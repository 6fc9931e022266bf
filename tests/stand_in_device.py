"""The device of cupy_stand_in.py: memory, queued work, streams, events, graphs."""

import ctypes
import gc
import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

RIM = 256  # bytes of 0xff, not-a-number in floats, on both sides of every array


@contextmanager
def not_collecting() -> Iterator[None]:
    """Python's collector does not run meanwhile: it would end memory that is being looked at."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class State:
    """The state of the one device."""

    def __init__(self):
        self.queue: list[Callable] = []  # asked of the device, not yet done
        self.graph: list[Callable] | None = None  # of the capture that is running
        self.memory: dict[int, int] = {}  # start -> bytes, of every living allocation
        self.pinned: set[int] = set()  # where living page-locked memory of the host starts
        self.stream = None
        self.pool: MemoryPool | None = None
        self.launches = 0
        self.allocations = 0
        self.copies = 0  # from the host, asynchronous
        self.graphs = 0  # launched
        self.leaked: list[np.ndarray] = []  # memory of pools that went without being emptied
        self.limit: int | None = None  # bytes that an allocation may have, to play a full card
        self.reversed = False
        self.capability = 9, 0

    def ask(self, work: Callable) -> None:
        """Queue work, or note it in the graph that is being captured."""
        (self.queue if self.graph is None else self.graph).append(work)

    def finish(self) -> None:
        """Do all queued work, for which the host waits when it reads.

        Python's collector must not run meanwhile: it would end page-locked memory whose copy is in
        `work`, where the owner's own `synchronize` no longer finds it.
        """
        if self.graph is not None:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported: the host must not look now")
        work, self.queue = self.queue, []
        with not_collecting():
            for each in work:
                each()

    def check(self, address: int) -> None:
        """RuntimeError unless the address lies in a living array whose rim is as it was."""
        with not_collecting():
            for start, size in self.memory.items():
                if start <= address <= start + size:
                    return
        raise CUDARuntimeError(f"cudaErrorIllegalAddress: nothing lives at {address:#x}")


state = State()


class CUDARuntimeError(RuntimeError):
    pass


def fork(real: Callable[[], int] = os.fork) -> int:
    """As `os.fork`; refused once the device was used, for CUDA does not work in a copy."""
    if state.allocations:
        raise CUDARuntimeError("a fork after CUDA has started: start the processes before")
    return real()


class OutOfMemoryError(MemoryError):
    pass


def allocate(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array in device memory, filled with 0xff."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if state.limit is not None and size > state.limit:
        raise OutOfMemoryError(f"Out of memory allocating {size} bytes")
    state.allocations += 1
    block = np.full(size + 2 * RIM + 64, 0xFF, np.uint8)
    start = RIM + -(block.ctypes.data + RIM) % 64
    address = block.ctypes.data + start
    state.memory[address] = size
    weakref.finalize(block, state.memory.pop, address, None)
    if state.pool is not None:
        state.pool.blocks.append(block)
    return block[start : start + size].view(dtype).reshape(shape)


def check_rims() -> None:
    """AssertionError if a kernel wrote beside an array."""
    with not_collecting():
        for address, size in state.memory.items():
            for start in (address - RIM, address + size):
                rim = bytes((ctypes.c_ubyte * RIM).from_address(start))
                assert rim == b"\xff" * RIM, f"something wrote beside the array at {address:#x}"


class PinnedMemory(bytearray):
    """Page-locked host memory; a pending copy does not keep it alive."""

    def __init__(self, size: int):
        super().__init__(size)
        self.ptr = np.frombuffer(self, np.uint8).ctypes.data
        state.pinned.add(self.ptr)
        weakref.finalize(self, state.pinned.discard, self.ptr)


class MemoryPool:
    """Keeps its allocations; those not freed before it is deleted are never freed."""

    def __init__(self):
        self.blocks: list[np.ndarray] = []
        weakref.finalize(self, self._leak, self.blocks)

    @staticmethod
    def _leak(blocks: list[np.ndarray]) -> None:
        state.leaked += blocks

    def free_all_blocks(self) -> None:
        if state.graph is not None:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported: memory is freed now")
        self.blocks.clear()

    def malloc(self, size: int) -> None:
        raise NotImplementedError("only using_allocator reads it")


@contextmanager
def using_allocator(malloc: Callable):
    before, state.pool = state.pool, malloc.__self__
    try:
        yield
    finally:
        state.pool = before


class Event:
    def __init__(self, disable_timing: bool = False):
        self._done, self.time = True, 0.0

    def record(self, stream: "Stream | None" = None) -> None:
        self._done = False
        state.queue.append(self._pass)

    def _pass(self) -> None:
        self._done, self.time = True, time.perf_counter()

    def synchronize(self) -> None:
        while not self._done:
            state.queue.pop(0)()


class Graph:
    def __init__(self, work: list[Callable]):
        self._work = work

    def launch(self, stream: "Stream | None" = None) -> None:
        if state.graph is not None:
            raise CUDARuntimeError("a graph is launched while another is captured")
        state.graphs += 1
        state.queue.extend(self._work)


class Stream:
    ptr = 0

    def __init__(self, non_blocking: bool = False):
        self._before = None

    def __enter__(self) -> "Stream":
        self._before, state.stream = state.stream, self
        return self

    def __exit__(self, *error: object) -> None:
        state.stream = self._before

    def begin_capture(self, mode: int | None = None) -> None:
        if state.stream is not self:
            raise CUDARuntimeError("the default stream cannot be captured")
        state.finish()
        state.graph = []

    def end_capture(self) -> Graph:
        work, state.graph = state.graph, None
        return Graph(work)

    def synchronize(self) -> None:
        state.finish()


def copy_to_device(target: int, source: int, size: int, kind: int, stream: int) -> None:
    state.check(target)
    state.check(target + size)
    state.copies += 1

    def copy() -> None:
        if source not in state.pinned:
            raise CUDARuntimeError("a copy from page-locked memory that is no longer there")
        ctypes.memmove(target, source, size)

    state.ask(copy)
