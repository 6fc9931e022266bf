"""Memory that a training step uses again, so that no step allocates."""

import numpy as np

ALIGNMENT = 64  # bytes: a cache line, and the width of an AVX-512 register


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialised array whose first element is aligned to 64 bytes."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(size + ALIGNMENT, dtype=np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


class Arena:
    """Hands out the same arrays in the same order, step after step.

    The k-th array taken in a step has the memory of the k-th array of every other step, grown to
    the largest that was ever asked for. Closed (outside a step) it gives fresh arrays.
    """

    def __init__(self) -> None:
        self._slots: list[np.ndarray] = []  # flat memory, one slot per position
        self._views: list[np.ndarray] = []  # the array last given at each position
        self._next = -1  # position in the step; -1 while closed

    def __enter__(self) -> "Arena":
        if self._next >= 0:
            raise RuntimeError("a step is already open; steps do not nest")
        self._next = 0
        return self

    def __exit__(self, *error: object) -> None:
        self._next = -1

    def take(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An uninitialised, aligned array: valid until the step ends, or for good outside one."""
        position = self._next
        if position < 0:
            return aligned_empty(shape, dtype)
        self._next = position + 1
        if position < len(self._views):
            view = self._views[position]
            if view.shape == shape and view.dtype == dtype:
                return view
        return self._resize(position, shape, dtype)

    def _resize(self, position: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if position == len(self._slots):
            self._slots.append(aligned_empty((size,), np.uint8))
            self._views.append(self._slots[position])
        elif self._slots[position].size < size:
            self._slots[position] = aligned_empty((size,), np.uint8)
        view = self._slots[position][:size].view(dtype).reshape(shape)
        self._views[position] = view
        return view
