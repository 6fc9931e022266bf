"""A stand-in for CuPy on machines without a GPU: the part of it that lenet_xp uses, over NumPy.

As strict as a device where it can be. Host arrays are refused where CuPy refuses them; work that
CuPy only queues waits for the next look from the host, so that a host buffer written too early
shows; a stream that is being captured computes nothing, and its results hold not-a-number till the
graph runs; kernels see addresses alone, which must lie in living memory with an intact rim.
Kernels run through cuda_on_cpu.py.
"""

import operator
import sys
import time
import weakref
from collections.abc import Callable
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
from cuda_on_cpu import Library

RIM = 256  # bytes of 0xff, not-a-number in floats, on both sides of every array


class State:
    """What the one device is doing."""

    def __init__(self):
        self.queue: list[Callable] = []  # asked of the device, not yet done
        self.graph: list[Callable] | None = None  # of the capture that is running
        self.memory: dict[int, int] = {}  # start -> bytes, of every living allocation
        self.stream = None
        self.pool: MemoryPool | None = None
        self.launches = 0
        self.allocations = 0
        self.copies = 0  # from the host, asynchronous
        self.graphs = 0  # launched
        self.limit: int | None = None  # bytes that an allocation may have, to play a full card
        self.reversed = False
        self.capability = 9, 0

    def ask(self, work: Callable) -> None:
        """Queue work, or note it in the graph that is being captured."""
        (self.queue if self.graph is None else self.graph).append(work)

    def finish(self) -> None:
        """Do all that was asked: what a look from the host waits for."""
        if self.graph is not None:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported: the host must not look now")
        work, self.queue = self.queue, []
        for each in work:
            each()

    def check(self, address: int) -> None:
        """RuntimeError unless the address lies in a living array whose rim is as it was."""
        for start, size in self.memory.items():
            if start <= address <= start + size:
                return
        raise CUDARuntimeError(f"cudaErrorIllegalAddress: nothing lives at {address:#x}")


state = State()


class CUDARuntimeError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


def _allocate(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of the device's, filled with 0xff."""
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
    for address, size in state.memory.items():
        for start in (address - RIM, address + size):
            rim = (np.ctypeslib.ctypes.c_ubyte * RIM).from_address(start)
            assert bytes(rim) == b"\xff" * RIM, f"something wrote beside the array at {address:#x}"


def _inside(value: Any) -> Any:
    """What NumPy computes with; TypeError for a host array, as CuPy has it."""
    if isinstance(value, ndarray):
        return value._values
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, (tuple, list)):
        return type(value)(map(_inside, value))
    return value


def _apply(function: Callable, *arguments: Any, **options: Any) -> Any:
    """function of device arrays, as a new device array."""
    if state.graph is None:
        state.finish()
    else:
        state_graph = state.graph
    given = [_inside(a) for a in arguments]
    options = {name: _inside(option) for name, option in options.items()}
    with np.errstate(all="ignore"):
        result = np.asarray(function(*given, **options))
    out = _allocate(result.shape, result.dtype)
    if state.graph is None:
        out[...] = result
    else:
        state_graph.append(lambda: np.copyto(out, function(*given, **options)))
    return ndarray(out)


def _put(target: np.ndarray, key: Any, value: Any) -> None:
    value = _inside(value)
    if state.graph is None:
        state.finish()
        target[key] = value
    else:
        state.graph.append(lambda: target.__setitem__(key, value))


class ndarray:
    """An array that only the device reads."""

    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, values: np.ndarray):
        self._values = values

    def __array__(self, *arguments: Any, **options: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    dtype = property(lambda self: self._values.dtype)
    shape = property(lambda self: self._values.shape)
    ndim = property(lambda self: self._values.ndim)
    size = property(lambda self: self._values.size)
    nbytes = property(lambda self: self._values.nbytes)
    itemsize = property(lambda self: self._values.itemsize)
    strides = property(lambda self: self._values.strides)
    flags = property(lambda self: self._values.flags)
    T = property(lambda self: ndarray(self._values.T))

    @property
    def data(self) -> "MemoryPointer":
        return MemoryPointer(self._values.ctypes.data)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, key: Any) -> "ndarray":
        assert not isinstance(key, (ndarray, np.ndarray)), "no indexing by arrays here"
        return ndarray(self._values[key if isinstance(key, tuple) else (key, ...)])

    def __setitem__(self, key: Any, value: Any) -> None:
        _put(self._values, key, value)

    def view(self, dtype: Any) -> "ndarray":
        return ndarray(self._values.view(dtype))

    def transpose(self, *axes: int) -> "ndarray":
        return ndarray(self._values.transpose(*axes))

    def reshape(self, *shape: Any) -> "ndarray":
        view = self._values.reshape(*shape)
        if view.size and np.shares_memory(view, self._values):
            return ndarray(view)
        return _apply(lambda values: values.reshape(*shape), self)

    def astype(self, dtype: Any, order: str = "K") -> "ndarray":
        return _apply(lambda values: values.astype(dtype, order=order), self)

    def _look(self) -> np.ndarray:
        state.finish()
        return self._values

    def __float__(self) -> float:
        return float(self._look())

    def __bool__(self) -> bool:
        return bool(self._look())


def _operators() -> None:
    arithmetic = "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"
    for name in (*arithmetic, "lt", "le", "gt", "ge", "eq", "ne", "and", "or"):
        function = getattr(operator, f"{name}_" if name in ("and", "or") else name)

        def forwards(a: ndarray, b: Any, f: Callable = function) -> ndarray:
            return _apply(f, a, b)

        def backwards(a: ndarray, b: Any, f: Callable = function) -> ndarray:
            return _apply(lambda x, y: f(y, x), a, b)

        setattr(ndarray, f"__{name}__", forwards)
        setattr(ndarray, f"__r{name}__", backwards)

        def in_place(a: ndarray, b: Any, f: Callable = function) -> ndarray:
            a[...] = _apply(f, a, b)
            return a

        setattr(ndarray, f"__i{name}__", in_place)
    for function in (operator.neg, operator.abs, operator.invert):
        setattr(ndarray, f"__{function.__name__}__", lambda a, f=function: _apply(f, a))


_operators()


def asarray(values: Any, dtype: Any = None) -> ndarray:
    if isinstance(values, ndarray):
        return values if dtype in (None, values.dtype) else values.astype(dtype)
    if state.graph is not None:
        raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported: a synchronous copy")
    host = np.asarray(values, dtype=dtype)
    out = _allocate(host.shape, host.dtype)
    out[...] = host
    return ndarray(out)


def asnumpy(array: ndarray) -> np.ndarray:
    state.finish()
    check_rims()
    return np.array(array._values)


def empty(shape: tuple[int, ...], dtype: Any = np.float64) -> ndarray:
    return ndarray(_allocate(shape, dtype))


def zeros(shape: tuple[int, ...], dtype: Any = np.float64) -> ndarray:
    array = empty(shape, dtype)
    array[...] = 0
    return array


def arange(count: int, dtype: Any = None) -> ndarray:
    return _apply(lambda: np.arange(count, dtype=dtype))


def ascontiguousarray(array: ndarray) -> ndarray:
    return array if array.flags.c_contiguous else _apply(np.ascontiguousarray, array)


class MemoryPointer:
    def __init__(self, address: int):
        self.ptr = address


class PinnedMemory(bytearray):
    """Page-locked host memory."""

    @property
    def ptr(self) -> int:
        return np.frombuffer(self, np.uint8).ctypes.data


class MemoryPool:
    """Keeps what was allocated in it for as long as it lives."""

    def __init__(self):
        self.blocks: list[np.ndarray] = []

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


def _copy_to_device(target: int, source: int, size: int, kind: int, stream: int) -> None:
    import ctypes

    state.check(target)
    state.check(target + size)
    state.copies += 1
    state.ask(lambda: ctypes.memmove(target, source, size))


class RawModule:
    def __init__(self, code: str, options: tuple[str, ...] = ()):
        told = dict(o[2:].split("=") for o in options if o.startswith("-D"))
        self.library = Library(code, told)

    def get_function(self, name: str) -> Callable:
        assert name in self.library.names()
        return lambda grid, block, arguments: self._launch(name, grid, block, arguments)

    def _launch(self, name: str, grid: tuple, block: tuple, arguments: tuple) -> None:
        assert min((*grid, *block)) > 0, "cudaErrorInvalidConfiguration"
        addresses = [_value(a) for a in arguments]
        pointers = [
            int(a)
            for a, given in zip(addresses, arguments, strict=True)
            if isinstance(given, ndarray)
        ]

        # What is only queued may outlive its arrays, for memory changes hands in the stream's
        # order; a graph may not.
        alive = arguments if state.graph is None else None

        def work(alive: tuple | None = alive) -> None:
            for address in pointers:
                state.check(address)
            state.launches += 1
            self.library.reverse_threads(state.reversed)
            self.library.launch(name, grid, block, addresses)

        state.ask(work)


def _value(argument: Any) -> int | float:
    """A kernel's argument; only NumPy's scalars say how wide an integer is."""
    if isinstance(argument, ndarray):
        return argument._values.ctypes.data
    assert not isinstance(argument, (bool, int)), "an int of 64 bits where C has 32"
    return argument.item() if isinstance(argument, np.generic) else argument


# Multiprocessors, clock and memory clock in kHz, bits of the bus: those of an H100
ATTRIBUTES = {16: 132, 13: 1_980_000, 36: 2_619_000, 37: 5120}


def _properties(device: int) -> dict[str, Any]:
    major, minor = state.capability
    return {"name": b"stand-in", "major": major, "minor": minor}


def _wrapped(name: str) -> Callable:
    function = getattr(np, name)
    return lambda *arguments, **options: _apply(function, *arguments, **options)


COMPUTED = (
    *("sum", "max", "min", "exp", "log", "sqrt", "tanh", "maximum", "minimum", "matmul", "where"),
    *("logical_and", "logical_or", "logical_not", "abs", "isfinite"),
)


def module() -> ModuleType:
    """A fresh module to put in CuPy's place."""
    state.__init__()
    cupy = ModuleType("cupy")
    cupy.__version__ = "stand-in"
    for name in ("float32", "float64", "int64", "uint8", "bool_"):
        setattr(cupy, name, getattr(np, name))
    here = sys.modules[__name__]
    for name in ("ndarray", "asarray", "asnumpy", "empty", "zeros", "arange", "ascontiguousarray"):
        setattr(cupy, name, getattr(here, name))
    for name in COMPUTED:
        setattr(cupy, name, _wrapped(name))
    cupy.reshape = lambda array, shape: array.reshape(shape)
    cupy.RawModule = RawModule
    cuda = cupy.cuda = ModuleType("cupy.cuda")
    cuda.Stream, cuda.Event, cuda.MemoryPool = Stream, Event, MemoryPool
    cuda.using_allocator = using_allocator
    cuda.alloc_pinned_memory = PinnedMemory
    default = Stream()
    cuda.get_current_stream = lambda: state.stream or default
    cuda.get_elapsed_time = lambda start, end: (end.time - start.time) * 1e3
    cuda.nvrtc = ModuleType("cupy.cuda.nvrtc")
    cuda.nvrtc.getVersion = lambda: (0, 0)
    cuda.memory = ModuleType("cupy.cuda.memory")
    cuda.memory.OutOfMemoryError = OutOfMemoryError
    runtime = cuda.runtime = ModuleType("cupy.cuda.runtime")
    runtime.CUDARuntimeError = CUDARuntimeError
    runtime.memcpyHostToDevice, runtime.memcpyAsync = 1, _copy_to_device
    runtime.getDevice = lambda: 0
    runtime.getDeviceProperties = _properties
    runtime.deviceGetAttribute = lambda number, device: ATTRIBUTES[number]
    runtime.driverGetVersion = runtime.runtimeGetVersion = lambda: 0
    runtime.memGetInfo = lambda: (2**30, 2**31)
    return cupy
