"""Makes arrays on a CUDA device, fills them with images and captures computations, by CuPy."""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.ops.cuda.joining import joined
from lenet_xp.ops.cuda.kernels import LANES, MAX_SIZE, NULL, Kernels, ceil_div
from lenet_xp.ops.cuda.recording import RecordedGraph, Recording, free_unused_pools
from lenet_xp.ops.reference import Array, Ops

WARPS = (LANES, 8)  # threads: block of most kernels, 8 being SLICES in their files


class CupyArrays(Ops):
    """The contract's operations on arrays and images, on the current CUDA device."""

    def __init__(self, dtype: str = "float32", graph: bool = True):
        import cupy

        super().__init__(cupy, dtype)
        self._graph = graph
        self._kernels = Kernels(cupy, dtype)
        self._recording: Recording | None = None  # the running capture

    @property
    def xp(self) -> Any:
        """CuPy, for what it computes after the kernels that wait in a capture."""
        self._settle()
        return self._cupy

    @xp.setter
    def xp(self, cupy: Any) -> None:
        self._cupy = cupy

    def _settle(self) -> None:
        """Launch what waits."""
        if self._kernels.held:
            held, self._kernels.held = self._kernels.held, []
            for launch in joined(held):
                self._kernels.run(launch)

    @property
    def device_name(self) -> str:
        runtime = self.xp.cuda.runtime
        return str(runtime.getDeviceProperties(runtime.getDevice())["name"], "utf-8")

    def sibling(self) -> "CupyArrays":
        return type(self)(self.dtype_name, self._graph)

    def __reduce__(self) -> tuple[type, tuple[str, bool]]:  # pickle takes no modules
        return type(self), (self.dtype_name, self._graph)

    def asarray(self, host: np.ndarray) -> Array:
        host = np.asarray(host)
        dtype = np.int64 if np.issubdtype(host.dtype, np.integer) else self.dtype
        return self._on_device(host, dtype)

    def _on_device(self, host: np.ndarray, dtype: Any) -> Array:
        if self._recording is not None:
            return self._recording.device_array(host, dtype)
        return self.xp.asarray(host, dtype=dtype, order="C")  # as kernels index arrays

    def _new(self, *shape: int) -> Array:
        if self._recording is not None:
            return self._recording.new(shape, self.dtype)
        return self.xp.empty(shape, dtype=self.dtype)

    def _input(self, x: Array) -> Array:
        """x in C order, as kernels read it; TypeError for another dtype."""
        if x.dtype != self.dtype:
            raise TypeError(f"an array of {x.dtype} among operations in {self.dtype_name}")
        return x if x.flags.c_contiguous else self.xp.ascontiguousarray(x)

    def _output(self, out: Array) -> Array:
        """out itself; ValueError unless it has the dtype and order that kernels write."""
        if out.dtype != self.dtype or not out.flags.c_contiguous:
            raise ValueError(f"results must go to an array in C order of {self.dtype_name}")
        return out

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return self.xp.zeros(shape, dtype=self.dtype)

    def arange(self, count: int) -> Array:
        return self.xp.arange(count, dtype=self.xp.int64)

    def as_float(self, x: Array) -> Array:
        return x.astype(self.dtype)

    def to_host(self, array: Array) -> np.ndarray:
        return np.asarray(self.xp.asnumpy(array))

    def synchronize(self) -> None:
        self.xp.cuda.get_current_stream().synchronize()

    def use_device(self, number: int) -> None:
        self.xp.cuda.Device(number % self.xp.cuda.runtime.getDeviceCount()).use()

    def reuse(self) -> None:
        if self._recording is not None:
            self._recording.reuse()

    def capture(self, compute: Callable[[], Any], frozen: bool = False) -> Callable[[], Any]:
        if self._recording is not None:
            raise RuntimeError("a capture is already running; captures do not nest")
        free_unused_pools(self.xp)
        recording = Recording(self.xp)

        def run() -> Any:
            self._recording, self._kernels.held = recording, []
            try:
                result = compute()
                self._settle()
                return result
            finally:
                self._recording = self._kernels.held = None

        def rerun() -> Any:
            recording.rewind().send()
            return run()

        try:
            run()
            staging = recording.rewind()
            return RecordedGraph(self.xp, staging, run) if self._graph else rerun
        except self.xp.cuda.memory.OutOfMemoryError as error:
            free, total = self.xp.cuda.runtime.memGetInfo()
            raise InputError(
                f"the GPU's memory is full ({free / 2**30:.1f} of {total / 2**30:.1f} GB free); "
                "try a smaller --batch-size, end other programs on it, or use --backend numpy"
            ) from error

    def resident(self, images: np.ndarray) -> Array | None:
        if images.size <= MAX_SIZE:
            with suppress(self.xp.cuda.memory.OutOfMemoryError):
                return self.xp.asarray(images, dtype=np.uint8, order="C")
        return None  # batches are sent instead

    def image_batch(
        self, images: Array, scale: float, shift: float, chosen: np.ndarray | None = None
    ) -> Array:
        count, *shape = images.shape
        places: Any = NULL
        if chosen is None:
            images = self._on_device(images, np.uint8)
        else:
            count, places = len(chosen), self._on_device(chosen, np.int64)
        x, numbers = self._new(*shape, count), math.prod(shape)
        arguments = images, places, x, float(scale), float(shift), numbers, count
        self._launch_on_tiles("image_batch", arguments, numbers, count)
        if len(shape) == 2:
            return x[None]
        return self.xp.ascontiguousarray(x.transpose(2, 0, 1, 3))

    def warped_batch(
        self,
        images: Array,
        scale: float,
        shift: float,
        chosen: np.ndarray,
        coefficients: np.ndarray,
        basis: Array,
    ) -> Array:
        count, size = len(chosen), images.shape[1]
        x = self._new(1, size, size, count)
        maps = self._on_device(coefficients, self.dtype)
        arrays = images, self._on_device(chosen, np.int64), maps, self._input(basis), x
        arguments = *arrays, float(scale), float(shift), size, basis.shape[0], count
        self._launch_on_tiles("warped_batch", arguments, size * size, count)
        return x

    def _launch_on_tiles(
        self, name: str, arguments: tuple[Any, ...], pixels: int, count: int
    ) -> None:
        grid = ceil_div(pixels, LANES), ceil_div(count, WARPS[1])
        self._kernels.launch("images", name, grid, WARPS, arguments)
