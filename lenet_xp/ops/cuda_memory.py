"""A full GPU, in words that say what would fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lenet_xp.errors import InputError
from lenet_xp.ops.recording import Recording

# A pass that failed had made some of its arrays: whole, it takes perhaps so many times more.
REST = 2


@contextmanager
def explain_memory(cupy: Any, recording: Recording) -> Iterator[None]:
    """Turn CuPy's OutOfMemoryError within a capture into an InputError with a smaller batch."""
    try:
        yield
    except cupy.cuda.memory.OutOfMemoryError as error:
        images, used = recording.images, recording.bytes
        free, total = cupy.cuda.runtime.memGetInfo()
        room = free + used
        what = f"the GPU's memory is full ({free / 2**30:.1f} of {total / 2**30:.1f} GB free)"
        if images > 1 and used:
            fits = min(int(room / (REST * used) * images), images // 2)
            what += f" at {images:,} images at a time"
            if fits >= 1:
                raise InputError(f"{what}; a batch of {fits:,} should fit") from error
        raise InputError(f"{what}; end other programs on it, or use --backend numpy") from error
