"""Pickles that would run something, were they ever opened."""

import os
import pickle
from functools import cache
from pathlib import Path

CANARY = "escaped"  # the file that running one leaves, in the working folder or above it


class _Runs:
    def __init__(self, function, *arguments):
        self._made_by = function, arguments

    def __reduce__(self):
        return self._made_by


@cache
def pickles() -> tuple[bytes, ...]:
    """Some of them, by different ways and protocols."""
    ways = (
        (os.system, f"touch {CANARY}"),
        (Path.touch, Path(CANARY)),
        (exec, f"open({CANARY!r}, 'w')"),
        (os.mkdir, CANARY),
    )
    return tuple(pickle.dumps(_Runs(*way), protocol) for way in ways for protocol in (0, 2, 4))
