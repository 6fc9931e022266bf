"""Captures a computation on a GPU, to run it again and again as one CUDA graph.

A graph knows arrays by their address. So every pass works in the same arrays (`Recording`), and
what the host changes between passes is copied to one place (`Staging`).
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from weakref import finalize

import numpy as np

SLOTS = 4  # copies of the inputs that may be on their way to the device at once
ALIGNMENT = 256  # bytes: as of the device's own allocations


class Staging:
    """Copies some host arrays to the device together, as often as asked, without waiting.

    The host writes into one of a few page-locked slots while the device still reads others. A slot
    is written again only after its copy has ended.
    """

    def __init__(self, cupy: Any, hosts: Sequence[tuple[np.ndarray, Any]]):
        """hosts: pairs of a host array and its dtype on the device."""
        self._cupy, self._hosts = cupy, hosts
        self._next, self._slots = 0, []
        sizes = [host.size * np.dtype(dtype).itemsize for host, dtype in hosts]
        self._bytes = sum(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes)
        self._block = cupy.empty((self._bytes,), dtype=np.uint8)
        self.arrays = self._views(self._block)
        for _ in range(SLOTS if hosts else 0):
            memory = cupy.cuda.alloc_pinned_memory(self._bytes)
            views = self._views(np.frombuffer(memory, np.uint8, self._bytes))
            self._slots.append((memory, views, cupy.cuda.Event(disable_timing=True)))

    def _views(self, block: Any) -> list[Any]:
        """The arrays that lie in a block of bytes, of the hosts' shapes and the device's dtypes."""
        views, start = [], 0
        for host, dtype in self._hosts:
            end = start + host.size * np.dtype(dtype).itemsize
            views.append(block[start:end].view(dtype).reshape(host.shape))
            start = -(-end // ALIGNMENT) * ALIGNMENT
        return views

    def send(self) -> None:
        """Copy what the host arrays hold now into `arrays`, in the order of the current stream."""
        if not self._slots:
            return
        cuda = self._cupy.cuda
        memory, views, copied = self._slots[self._next]
        self._next = (self._next + 1) % SLOTS
        copied.synchronize()
        for view, (host, _) in zip(views, self._hosts, strict=True):
            np.copyto(view, host, casting="same_kind")
        stream = cuda.get_current_stream()
        to_device = cuda.runtime.memcpyHostToDevice
        target = self._block.data.ptr
        cuda.runtime.memcpyAsync(target, memory.ptr, self._bytes, to_device, stream.ptr)
        copied.record(stream)

    def __del__(self) -> None:
        for _, _, copied in self._slots:  # their memory may be reused at once
            with suppress(Exception):  # CUDA may have ended before, with the process
                copied.synchronize()


class Recording:
    """The arrays that a captured computation works in and the host arrays that it reads.

    The first pass runs as usual and records both. Each later pass gets the same arrays in the same
    order, and the host's arrays where `Staging` copies them to.
    """

    def __init__(self, cupy: Any):
        self._cupy = cupy
        self._arrays: list[Any] = []
        self._hosts: list[tuple[np.ndarray, Any]] = []
        self._staging: Staging | None = None
        self._position = self._input = 0

    def rewind(self) -> Staging:
        """Begin another pass, which reads what the host arrays hold when the staging sends it."""
        if self._staging is None:
            self._staging = Staging(self._cupy, self._hosts)
        self._position = self._input = 0
        return self._staging

    def reuse(self) -> None:
        """Give out the arrays again, from the first on."""
        self._position = 0

    def new(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """An array to write into: in later passes the one made at this point of the first."""
        if self._staging is None and self._position == len(self._arrays):
            self._arrays.append(self._cupy.empty(shape, dtype=dtype))
        array = self._arrays[self._position]
        self._position += 1
        if array.shape != tuple(shape):
            raise RuntimeError(f"a capture that made {array.shape} now wants {tuple(shape)}")
        return array

    def device_array(self, host: np.ndarray, dtype: Any) -> Any:
        """A host array on the device."""
        if self._staging is None:
            self._hosts.append((host, dtype))
            return self._cupy.asarray(host, dtype=dtype, order="C")
        self._input += 1
        return self._staging.arrays[self._input - 1]


_unused_pools: list[Any] = []  # memory pools of deleted graphs


def free_unused_pools(cupy: Any) -> None:
    """Free the memory of deleted graphs, which their pools keep for ever.

    It waits for the device, which would end a capture, and a graph may be deleted in one.
    """
    if _unused_pools:
        cupy.cuda.runtime.deviceSynchronize()  # their kernels may still run
    while _unused_pools:
        _unused_pools.pop().free_all_blocks()


class RecordedGraph:
    """The kernels of `compute` as a CUDA graph on a recording's arrays; a call runs it.

    `compute` must have run before, so that its kernels are compiled. Its temporary arrays live in a
    memory pool of the graph's own, which `free_unused_pools` frees after the graph is deleted.
    """

    def __init__(self, cupy: Any, staging: Staging, compute: Callable[[], Any]):
        pool = cupy.cuda.MemoryPool()
        finalize(self, _unused_pools.append, pool).atexit = False
        self._staging = staging
        self._compute = compute  # keeps alive the parameters, which the graph knows by address
        stream = cupy.cuda.Stream(non_blocking=True)
        with stream, cupy.cuda.using_allocator(pool.malloc):
            stream.begin_capture()
            try:
                self._result = compute()
            except BaseException:
                with suppress(Exception):  # CUDA complains of a capture without an end
                    stream.end_capture()
                raise
            self._graph = stream.end_capture()

    def __call__(self) -> Any:
        """The result for what the host arrays and parameters hold now."""
        self._staging.send()
        self._graph.launch()
        return self._result
