"""Memory that a training step uses again, so that no step allocates."""

from collections.abc import Callable
from typing import Any

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
    """Hands out the same workspaces in the same order, step after step.

    The k-th workspace asked for in a step is the k-th of the step before, as long as it was made
    of the same; otherwise it is made anew. Closed (outside a step) every workspace is fresh.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[tuple, Any]] = []  # what it was made of, and the workspace
        self._next = -1  # position in the step; -1 while closed

    def __enter__(self) -> "Arena":
        if self._next >= 0:
            raise RuntimeError("a step is already open; steps do not nest")
        self._next = 0
        return self

    def __exit__(self, *error: object) -> None:
        self._next = -1

    def take(self, make: Callable[..., Any], *made_of: Any) -> Any:
        """make(*made_of), or what it gave at this place of an earlier step."""
        position = self._next
        if position < 0:
            return make(*made_of)
        self._next = position + 1
        if position < len(self._kept):
            known, workspace = self._kept[position]
            if known == made_of:
                return workspace
            self._kept[position] = ((), None)  # let go of the old before the new is made
        else:
            self._kept.append(((), None))
        workspace = make(*made_of)
        self._kept[position] = (made_of, workspace)
        return workspace
