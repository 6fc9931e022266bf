"""Model files and checkpoints whose headers, arrays or archive are not what was written."""

import copy
import io
import json
from collections.abc import Iterator
from random import Random

import numpy as np

from fuzzing import arrays
from fuzzing.mutate import mutated
from lenet_xp.system.npz_file import read_container

VALUES = (
    *(None, True, False, 0, 1, -1, 2, 33, 1.5, 1e308, -1e-308, 2**31, 2**63, 10**400),
    *(float("nan"), float("inf"), float("-inf"), "", "x", "\0", "\x1b[2J", "a\nerror: b", "\ud800"),
    *("x" * 100_000, "../../../escaped", "/etc/passwd", "relu", "tanh", "synthetic", "float64"),
    *([], {}, [[]], [1, 2], {"a": 1}, ["a", "a"], ["a", 1], [None] * 1001),
)
MOST_EPOCHS = 3  # a longer run is no hostile one: it does what it was told


def hostile(rng: Random, data: bytes) -> tuple[bytes, str]:
    """A container's bytes changed, and how. Where the header was, its checksum is left out."""
    drawn = rng.random()
    if drawn < 0.15:
        return mutated(rng, data)
    header, stored = read_container(data)
    contents = dict(stored)
    if drawn < 0.7:
        header = copy.deepcopy(header)
        words = [_header(rng, header) for _ in range(rng.choice((1, 1, 1, 2)))]
        return packed(header, contents), "header: " + ", ".join(words)
    name = rng.choice(list(contents))
    if drawn < 0.9:
        words = _array(rng, contents, name)
        return packed(header, contents), f"{name[:40]}: {words}"
    text = json.dumps(header).encode()
    text, words = rng.choice(
        (
            (b"[" * 100_000, "a deep header"),
            (b"{}", "an empty header"),
            (b"", "no header"),
            (b'{"a":' * 2000 + b"1" + b"}" * 2000, "a nested header"),
            (b"9" * 5000, "a number for a header"),
            (b" " * 5 * 2**20, "a long header"),
            (b"\xff\xfe" + text, "no UTF-8"),
            mutated(rng, text),
            mutated(rng, text),
        )
    )
    return packed(text, contents), words


def packed(header: dict | bytes, contents: dict[str, np.ndarray]) -> bytes:
    """A container without a checksum, which a reader takes as one that has none."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    buffer = io.BytesIO()
    np.savez(buffer, header=np.frombuffer(text, np.uint8), **contents)
    return buffer.getvalue()


def _header(rng: Random, header: dict) -> str:
    """Change, remove or add one entry, at any depth."""
    places = list(_places(header))
    if not places:  # an earlier change took the last one
        return "nothing left"
    inside, key = rng.choice(places)
    if rng.random() < 0.15:
        del inside[key]
        return f"no {key!s:.40}"
    value = copy.deepcopy(rng.choice(VALUES))
    if rng.random() < 0.1 and isinstance(inside, dict):
        inside["another"] = value
        return f"another {value!s:.20}"
    if key == "epochs" and isinstance(value, int) and value > MOST_EPOCHS:
        value = MOST_EPOCHS
    inside[key] = value
    return f"{key!s:.40} is {value!s:.20}"


def _places(value: dict | list) -> Iterator[tuple[dict | list, str | int]]:
    keys = value if isinstance(value, dict) else range(min(len(value), 3))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _array(rng: Random, contents: dict[str, np.ndarray], name: str) -> str:
    array = contents[name]
    ways = {
        "missing": lambda: None,
        "not finite": lambda: np.full_like(array, rng.choice((np.nan, np.inf))),
        "huge": lambda: np.full_like(array, 3e38),
        "of integers": lambda: array.astype(np.int32),
        "of bytes": lambda: array.astype(np.uint8),
        "of complex numbers": lambda: array.astype(np.complex64),
        "of text": lambda: np.array(["x"] * max(1, array.size // 100)),
        "big-endian": lambda: array.astype(">f4"),
        "float64": lambda: array.astype(np.float64),
        "float16": lambda: array.astype(np.float16),
        "flat": lambda: array.reshape(-1),
        "one too few": lambda: array[:-1],
        "empty": lambda: array[:0],
        "of no dimension": lambda: np.zeros(()),
        "of many": lambda: np.zeros((1,) * 30),
        "transposed": lambda: array.T,
    }
    words = rng.choice(list(ways))
    changed = ways[words]()
    if changed is None:
        del contents[name]
    else:
        contents[name] = changed
    if rng.random() < 0.15:
        odd = rng.choice(("../escaped", "", "x" * 60_000, "C1.weight ", "\x1b[2J", "file"))
        contents[odd if odd != "file" else "extra"] = np.zeros(3)
        words += f", another named {odd[:20]!r}"
    return words


def pickled(rng: Random) -> bytes:
    """A file of a pickle, under the name of a model."""
    body = rng.choice(arrays.pickles())
    return body if rng.random() < 0.5 else arrays.npy(np.frombuffer(body, np.uint8), _OBJECTS)


_OBJECTS = repr({"descr": "|O", "fortran_order": False, "shape": (1,)})
