""".npz files whose headers declare too much, whose arrays lie, and whose pickles would run."""

import struct
from functools import cache
from random import Random

import numpy as np

from fuzzing.mutate import mutated
from fuzzing.payload import pickles
from fuzzing.zipped import DEFLATED, STORED, Member, archive, member

DTYPES = (
    *("|u1", "<f4", "<f8", "<f2", ">f4", ">i8", "<i8", "|i1", "|b1", "<c16", "<M8[ns]", "<m8[s]"),
    *("|O", "|V0", "|V8", "<U0", "<U5", "<U1000000000", "|S3", "|S0", "<f16", "|O8"),
    *([("a", "<f4"), ("b", "|O")], [("a", "|u1")], ("|u1", (2, 2)), [("a", "|u1", (10**9,))]),
)
ODD_DESCRIPTIONS = (
    "__import__('os').system('touch escaped')",
    "'" + "x" * 9000 + "'",
    "[" * 500 + "]" * 500,
    "('|u1',)" * 3,
    "9" * 5000,
    "None",
    "b'|u1'",
    "",
)
SIDES = (0, 1, -1, 3, 20, 21, 60, 10**5, 2**31, 2**40, 2**63 - 1, 2**63, 2**70, 1.5, True, None)


@cache
def honest() -> dict[str, np.ndarray]:
    """Arrays in Keras' layout."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 60), ("test", 20)):
        arrays[f"x_{part}"] = rng.integers(0, 255, (count, 12, 12), dtype=np.uint8)
        arrays[f"y_{part}"] = np.arange(count) % 2
    return arrays


def npy(array: np.ndarray, header: str | None = None, version: int = 1) -> bytes:
    """An array as NumPy writes it, or with another header."""
    if header is None:
        header = repr({"descr": array.dtype.str, "fortran_order": False, "shape": array.shape})
    text = header.encode("utf-8", "replace") + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", min(len(text), 65535))
    return b"\x93NUMPY" + bytes((version, 0)) + length + text + array.tobytes()


def hostile(rng: Random) -> tuple[bytes, str]:
    """The bytes of an .npz, and what is wrong with it."""
    arrays = dict(honest())
    if rng.random() < 0.2:
        names = rng.choice((("ya", "yan"), ("a\x1b[2J", "b"), ("", "x"), ("same", "same"), ("x",)))
        arrays["class_names"] = np.array(names)
    name = rng.choice(list(arrays))
    contents = {each: npy(array) for each, array in arrays.items()}
    drawn = rng.random()
    if drawn < 0.45:
        contents[name], words = _header(rng, arrays[name])
    elif drawn < 0.65 and name != "class_names":
        array, words = _other(rng, arrays[name])
        contents[name] = npy(array)
    elif drawn < 0.75:
        contents[name], words = mutated(rng, contents[name])
    elif drawn < 0.82:
        body = rng.choice(pickles())
        header = repr({"descr": "|O", "fortran_order": False, "shape": arrays[name].shape})
        contents[name], words = npy(np.frombuffer(body, np.uint8), header), "a pickle"
    else:
        return _container(rng, contents)
    return _zip(contents, rng), f"{name}: {words}"


def _zip(contents: dict[str, bytes], rng: Random) -> bytes:
    method = rng.choice((STORED, DEFLATED))
    return archive([member(f"{n}.npy".encode(), data, method) for n, data in contents.items()])


def _header(rng: Random, array: np.ndarray) -> tuple[bytes, str]:
    descr, shape = repr(array.dtype.str), list(array.shape)
    fortran, version = "False", 1
    drawn = rng.random()
    if drawn < 0.3:
        descr = repr(rng.choice(DTYPES))
    elif drawn < 0.4:
        descr = rng.choice(ODD_DESCRIPTIONS)
    elif drawn < 0.8:
        place = rng.randrange(len(shape))
        shape[place] = rng.choice(SIDES)
        if rng.random() < 0.2:
            shape = rng.choice(([], [1] * 70, shape[::-1], [*shape, 0], [*shape, 2**33]))
    elif drawn < 0.9:
        fortran = rng.choice(("True", "1", "None", "'a'"))
    else:
        version = rng.choice((2, 3, 0, 255))
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {tuple(shape)!r}}}"
    if rng.random() < 0.08:
        text = rng.choice((text + " " * 60_000, text[:-1] + ", 'x': 1}", "{}", "\0" * 80))
    return npy(array, text, version), f"header {text[:60]} version {version}"


def _other(rng: Random, array: np.ndarray) -> tuple[np.ndarray, str]:
    """A well-formed array that is not what is expected."""
    kinds = {
        "labels too high": lambda: array.astype(np.int64) + rng.choice((5, 10**6, 2**62)),
        "labels too low": lambda: array.astype(np.int64) - 1,
        "none at all": lambda: array[:0],
        "one too few": lambda: array[:-1],
        "not finite": lambda: np.full(array.shape, rng.choice((np.nan, np.inf, -np.inf))),
        "huge numbers": lambda: np.full(array.shape, 1e308),
        "half precision": lambda: (array / 255).astype(np.float16),
        "unsigned": lambda: array.astype(np.uint64) + np.uint64(2**63),
        "booleans": lambda: array.astype(bool),
        "blank": lambda: np.zeros_like(array),
        "colour": lambda: np.repeat(array[..., None], rng.choice((1, 2, 3, 4, 5)), axis=-1),
        "flat": lambda: array.reshape(-1),
        "a number": lambda: np.array(3),
        "many": lambda: np.zeros((200_000, *array.shape[1:][:0]), array.dtype),
        "wide": lambda: np.zeros((len(array), 4, 3000), np.uint8),
    }
    words = rng.choice(list(kinds))
    return kinds[words](), words


@cache
def _zeros() -> Member:
    head = repr({"descr": "|u1", "fortran_order": False, "shape": (2**16, 32, 32)})
    return member(b"x_train.npy", npy(np.zeros(2**26, np.uint8), head), DEFLATED)


def _container(rng: Random, contents: dict[str, bytes]) -> tuple[bytes, str]:
    """Lies of the archive around the arrays."""
    members = [member(f"{n}.npy".encode(), data, DEFLATED) for n, data in contents.items()]
    each = rng.choice(members)
    kind = rng.choice(("named", "size", "method", "flags", "missing", "twice", "bomb", "blind"))
    if kind == "named":
        each.name = rng.choice(
            (b"../x_train.npy", b"", b"x_train", b"y.npy", b"x" * 60_000 + b".npy")
        )
    elif kind == "size":
        each.size = rng.choice((0, 1, 2**31, 2**32 - 1))
    elif kind == "method":
        each.method = rng.choice((0, 9, 12, 14, 99))
    elif kind == "flags":
        each.flags = rng.choice((1, 8, 0x20, 0x2000))
    elif kind == "missing":
        members.remove(each)
    elif kind == "twice":
        members.append(each)
    elif kind == "bomb":
        members[0] = _zeros()
    else:
        return mutated(rng, archive(members))
    return archive(members), f"{kind} {each.name[:20]!r}"
