"""Where windows and blocks of pixels lie in (C, H, W, N): sizes and indices, no arithmetic."""


def output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """The number of positions of a window of `kernel` along an axis of `size`."""
    return (size + 2 * padding - kernel) // stride + 1


def every(top: int, stride: int, rows: int, left: int, cols: int) -> tuple[slice, ...]:
    """The index of rows x cols pixels of (C, H, W, N), `stride` apart, from (top, left) on.

    It ends at the last pixel: the standard leaves slices beyond an axis undefined.
    """
    bottom, right = top + stride * (rows - 1) + 1, left + stride * (cols - 1) + 1
    return slice(None), slice(top, bottom, stride), slice(left, right, stride), slice(None)


def phases(size: int, rows: int, cols: int) -> list[tuple[slice, ...]]:
    """The indices of the first, second, ... pixels of rows x cols blocks, size x size each."""
    return [every(i, size, rows, j, cols) for i in range(size) for j in range(size)]
