"""Changes to bytes and to lists of pieces, blind to what they mean."""

from random import Random

# Where lengths, counts and offsets go wrong.
NUMBERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1)
NUMBERS += (2**31, 2**32 - 1)
LONGEST = 2**20  # bytes that a change may add


def flip(rng: Random, data: bytearray) -> str:
    """Flip some bits."""
    for _ in range(rng.choice((1, 1, 2, 4, 16, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return "bits flipped"


def cut(rng: Random, data: bytearray) -> str:
    """Drop the end."""
    del data[rng.randrange(len(data)) :]
    return "cut short"


def remove(rng: Random, data: bytearray) -> str:
    """Drop some bytes inside."""
    start = rng.randrange(len(data))
    del data[start : start + rng.randint(1, 64)]
    return "bytes removed"


def repeat(rng: Random, data: bytearray) -> str:
    """Repeat a stretch, up to a thousand times."""
    start = rng.randrange(len(data))
    stretch = data[start : start + rng.randint(1, 256)]
    data[start:start] = stretch * min(rng.choice((1, 1, 2, 10, 1000)), LONGEST // len(stretch))
    return "bytes repeated"


def number(rng: Random, data: bytearray) -> str:
    """Write a number where a length may stand, in either order of bytes."""
    width = rng.choice((1, 2, 4, 4))
    near = len(data) if rng.random() < 0.5 else min(64, len(data))
    start = rng.randrange(near)
    value = rng.choice(NUMBERS) % 2 ** (8 * width)
    data[start : start + width] = value.to_bytes(width, rng.choice(("little", "big")))
    return f"{value} at byte {start}"


def noise(rng: Random, data: bytearray) -> str:
    """Overwrite a stretch with noise."""
    start = rng.randrange(len(data))
    length = min(rng.randint(1, 64), len(data) - start)
    data[start : start + length] = rng.randbytes(length)
    return "noise"


def swell(rng: Random, data: bytearray) -> str:
    """Append zeros or noise."""
    length = rng.choice((1, 100, 10_000, 100_000))
    data += bytes(length) if rng.random() < 0.5 else rng.randbytes(length)
    return f"{length} bytes appended"


BLIND = (flip, flip, cut, remove, repeat, number, number, noise, swell)


def mutated(rng: Random, data: bytes) -> tuple[bytes, str]:
    """Some blind changes to bytes, and what they were."""
    changed, words = bytearray(data), []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if changed:
            words.append(rng.choice(BLIND)(rng, changed))
    return bytes(changed), ", ".join(words)


def rearranged(rng: Random, pieces: list[bytes]) -> tuple[list[bytes], str]:
    """A list of pieces with one dropped, repeated, moved or changed, and what it was."""
    pieces = list(pieces)
    place = rng.randrange(len(pieces))
    kind = rng.choice(("dropped", "repeated", "moved", "changed", "changed", "changed"))
    if kind == "dropped":
        del pieces[place]
    elif kind == "repeated":
        times = min(rng.choice((1, 1, 3, 200)), LONGEST // max(1, len(pieces[place])))
        pieces[place:place] = [pieces[place]] * times
    elif kind == "moved":
        pieces.insert(rng.randrange(len(pieces)), pieces.pop(place))
    else:
        pieces[place], words = mutated(rng, pieces[place])
        return pieces, f"piece {place}: {words}"
    return pieces, f"piece {place} {kind}"
