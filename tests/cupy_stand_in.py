"""A stand-in for CuPy on machines without a GPU: the part of it that lenet_xp uses, over NumPy.

As strict as a device where it can be. Host arrays are refused where CuPy refuses them; work that
CuPy only queues waits for the next look from the host, so that a host buffer written too early
shows; a stream that is being captured computes nothing, and its results hold not-a-number till the
graph runs; kernels see addresses alone, which must lie in living memory with an intact rim.
Kernels run through cuda_on_cpu.py.
"""

import ctypes
import operator
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from cuda_on_cpu import Library
from stand_in_device import (
    CUDARuntimeError,
    Event,
    MemoryPool,
    OutOfMemoryError,
    PinnedMemory,
    Stream,
    allocate,
    check_rims,
    copy_to_device,
    state,
    using_allocator,
)


def _inside(value: Any) -> Any:
    """The NumPy array inside; TypeError for a host array, as in CuPy."""
    if isinstance(value, ndarray):
        return value._values
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, (tuple, list)):
        return type(value)(map(_inside, value))
    return value


def _later(value: Any) -> Callable[[], Any]:
    """Gives what stands there when a graph runs, which knows arrays by address and keeps none."""
    if isinstance(value, (tuple, list)):
        parts = [_later(each) for each in value]
        return lambda: type(value)(part() for part in parts)
    if not isinstance(value, np.ndarray) or not value.size:
        return lambda: value
    address, shape, strides, dtype = value.ctypes.data, value.shape, value.strides, value.dtype
    span = sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + dtype.itemsize

    def look() -> np.ndarray:
        state.check(address)
        memory = (ctypes.c_ubyte * span).from_address(address)
        return np.ndarray(shape, dtype, memory, strides=strides)

    return look


def _apply(function: Callable, *arguments: Any, **options: Any) -> Any:
    """function of device arrays, as a new device array."""
    if state.graph is None:
        state.finish()
    given = [_inside(a) for a in arguments]
    options = {name: _inside(option) for name, option in options.items()}
    with np.errstate(all="ignore"):
        result = np.asarray(function(*given, **options))
    out = allocate(result.shape, result.dtype)
    if state.graph is None:
        out[...] = result
    else:
        target, inputs = _later(out), _later(given)
        named = {name: _later(option) for name, option in options.items()}
        state.graph.append(
            lambda: np.copyto(
                target(), function(*inputs(), **{name: each() for name, each in named.items()})
            )
        )
    return ndarray(out)


def _put(target: np.ndarray, key: Any, value: Any) -> None:
    value = _inside(value)
    if state.graph is None:
        state.finish()
        target[key] = value
    else:
        place, given = _later(target), _later(value)
        state.graph.append(lambda: place().__setitem__(key, given()))


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


def asarray(values: Any, dtype: Any = None, order: str | None = None) -> ndarray:
    """Like CuPy's: a host array in Fortran's order keeps it, unless C's is asked for."""
    if isinstance(values, ndarray):
        return values if dtype in (None, values.dtype) else values.astype(dtype)
    if state.graph is not None:
        raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported: a synchronous copy")
    host = np.asarray(values, dtype=dtype)
    kept = order != "C" and host.flags.fnc
    out = allocate(host.shape[::-1], host.dtype).T if kept else allocate(host.shape, host.dtype)
    out[...] = host
    return ndarray(out)


def asnumpy(array: ndarray) -> np.ndarray:
    state.finish()
    check_rims()
    return np.array(array._values)


def empty(shape: tuple[int, ...], dtype: Any = np.float64) -> ndarray:
    return ndarray(allocate(shape, dtype))


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


MAX_GRID = 65_535  # blocks along a grid's second and third axis


class RawModule:
    def __init__(self, code: str, options: tuple[str, ...] = ()):
        if state.graph is not None:
            raise CUDARuntimeError("a kernel is compiled and loaded while a stream is captured")
        defines = dict(o[2:].split("=") for o in options if o.startswith("-D"))
        self.library = Library(code, defines)

    def get_function(self, name: str) -> Callable:
        assert name in self.library.names()
        return lambda grid, block, arguments: self._launch(name, grid, block, arguments)

    def _launch(self, name: str, grid: tuple, block: tuple, arguments: tuple) -> None:
        fits = min((*grid, *block)) > 0 and max((0, *grid[1:])) <= MAX_GRID
        assert fits, "cudaErrorInvalidConfiguration"
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
    """A kernel's argument; only NumPy's scalars give an integer's width."""
    if isinstance(argument, ndarray):
        return argument._values.ctypes.data
    assert not isinstance(argument, (bool, int)), "an int of 64 bits where C has 32"
    return argument.item() if isinstance(argument, np.generic) else argument


# Multiprocessors, clock and memory clock in kHz, bits of the bus: those of an H100
ATTRIBUTES = {16: 132, 13: 1_980_000, 36: 2_619_000, 37: 5120}


def _properties(device: int) -> dict[str, Any]:
    major, minor = state.capability
    return {"name": b"stand-in", "major": major, "minor": minor}


class _Device:
    """The one device, by its number."""

    def __init__(self, number: int):
        if number != 0:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def use(self) -> "_Device":
        return self


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
    cuda.using_allocator, cuda.set_allocator = using_allocator, lambda malloc: None
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
    runtime.memcpyHostToDevice, runtime.memcpyAsync = 1, copy_to_device
    runtime.getDevice, runtime.getDeviceCount = lambda: 0, lambda: 1
    cuda.Device = _Device
    runtime.deviceSynchronize = state.finish
    runtime.getDeviceProperties = _properties
    runtime.deviceGetAttribute = lambda number, device: ATTRIBUTES[number]
    runtime.driverGetVersion = runtime.runtimeGetVersion = lambda: 0
    runtime.memGetInfo = lambda: (2**30, 2**31)
    return cupy
