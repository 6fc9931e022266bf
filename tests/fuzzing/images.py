"""Image files of every format that is read, taken apart, changed and put together again.

Lengths and checksums are made right after a change, so that it reaches the decoder behind them.
"""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from random import Random

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from fuzzing.mutate import NUMBERS, mutated, rearranged
from lenet_xp.pictures.kinds import SUFFIXES
from lenet_xp.system.opencv import cv2

SIDE = 20
# Format, mode and options of Pillow for each kind of file that the others are made of.
KINDS = (
    ("jpeg", "L", {}),
    ("jpeg", "RGB", {"progressive": True}),
    ("jpeg", "CMYK", {"quality": 30}),
    ("png", "L", {}),
    ("png", "P", {}),
    ("png", "RGBA", {}),
    ("png", "1", {}),
    ("png", "I;16", {}),
    ("bmp", "L", {}),
    ("bmp", "RGB", {}),
    ("gif", "P", {}),
    ("gif", "P", {"save_all": True}),
    ("tiff", "L", {}),
    ("tiff", "RGB", {"compression": "tiff_lzw"}),
    ("tiff", "L", {"compression": "tiff_adobe_deflate"}),
    ("tiff", "RGB", {"compression": "jpeg"}),
    ("tiff", "1", {"compression": "group4"}),
    ("tiff", "I;16", {"compression": "packbits"}),
    ("tiff", "F", {}),
    ("tiff", "RGBA", {"big_tiff": True}),
    ("webp", "RGB", {}),
    ("webp", "RGBA", {"lossless": True}),
    ("webp", "RGB", {"save_all": True}),
    ("ppm", "L", {}),
    ("ppm", "RGB", {}),
    ("ppm", "1", {}),
)
EXTRAS = {"jpeg": "jpg", "tiff": "tif", "ppm": "pgm"}
# Of the numbers in headers: sizes at and beyond every bound, too.
SIZES = (*NUMBERS, 4, 5, 100, 2000, 7072, 20_000, 50_000)


@cache
def seed(kind: int) -> bytes:
    """A whole file of a kind."""
    name, mode, options = KINDS[kind]
    picture = _drawn(mode, kind)
    if options.get("save_all"):
        options = options | {"append_images": [_drawn(mode, kind + 100)], "duration": 20}
    if name == "jpeg":
        exif = Image.Exif()
        exif[0x0112] = 1 + kind % 8
        options = options | {"exif": exif}
    buffer = io.BytesIO()
    picture.save(buffer, name, **options)
    return buffer.getvalue()


def _drawn(mode: str, number: int) -> Image.Image:
    rng = np.random.default_rng(number)
    grey = rng.integers(200, 256, (SIDE, SIDE), dtype=np.uint8)
    grey[4:16, 8:11] = 20
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    picture = Image.fromarray(grey)
    return picture if mode == "L" else picture.convert("RGB").convert(mode)


def hostile(rng: Random) -> tuple[str, bytes, str]:
    """Suffix, content and the change of a hostile image file."""
    kind = rng.randrange(len(KINDS))
    name, data = KINDS[kind][0], seed(kind)
    words = "as it is"
    drawn = rng.random()
    if drawn < 0.65:
        data, words = _STRUCTURED[name](rng, data)
    if drawn > 0.6 and data:
        data, more = mutated(rng, data)
        words = f"{words}, {more}"
    suffix = f".{rng.choice((name, EXTRAS.get(name, name)))}"
    if rng.random() < 0.05:
        suffix = rng.choice(SUFFIXES)
    return suffix, data, f"{name} {KINDS[kind][1]}: {words}"


def page(rng: Random) -> tuple[str, bytes, str]:
    """Suffix, content and kind of a sound file that shows what is no page of letters."""
    draw = np.random.default_rng(rng.randrange(2**32))
    height, width = (rng.choice((4, 30, 65, 300, 1000)) for _ in range(2))
    kind = rng.choice(("noise", "dots", "lines", "blocks", "plain"))
    grey = draw.integers(200, 256, (height, width), dtype=np.uint8)
    if kind == "noise":
        grey = draw.integers(0, 256, (height, width), dtype=np.uint8)
    elif kind == "dots":
        grey[draw.random((height, width)) < rng.choice((0.001, 0.02, 0.3))] = 0
    elif kind == "lines":
        grey[:: rng.choice((2, 9, 40))] = 0
        grey[:, :: rng.choice((3, 20, 2000))] = 0
    elif kind == "blocks":
        for _ in range(rng.choice((1, 20, 300))):
            top, left = rng.randrange(height), rng.randrange(width)
            grey[top : top + rng.randint(1, 60), left : left + rng.randint(1, 60)] = 20
    if rng.random() < 0.2:
        grey = 255 - grey
    return ".png", cv2.imencode(".png", grey)[1].tobytes(), f"{kind}, {width}x{height}"


def _png(rng: Random, data: bytes) -> tuple[bytes, str]:
    """PNG: chunks with their checksums made anew."""
    chunks, place = [], 8
    while place < len(data):
        length = int.from_bytes(data[place : place + 4])
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    drawn = rng.random()
    if drawn < 0.35:
        header = bytearray(chunks[0][1])
        words = _field(rng, header, (("I", 0), ("I", 4), *(("B", i) for i in range(8, 13))), ">")
        chunks[0] = (b"IHDR", bytes(header))
    elif drawn < 0.6:
        pixels = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
        pixels, words = mutated(rng, pixels)
        if rng.random() < 0.1:
            pixels, words = bytes(8 * 2**20), "bomb of pixels"
        chunks = [
            (b"IDAT", zlib.compress(pixels, 1)) if k == b"IDAT" else (k, b) for k, b in chunks
        ]
    elif drawn < 0.8:
        kind = rng.choice(
            (
                b"PLTE",
                b"tRNS",
                b"gAMA",
                b"zTXt",
                b"iTXt",
                b"iCCP",
                b"eXIf",
                b"acTL",
                b"fcTL",
                b"fdAT",
            )
        )
        body = rng.choice(
            (b"", b"a\0\0" + _bomb(), rng.randbytes(rng.randint(1, 900)), b"II*\0" * 9)
        )
        chunks.insert(rng.randrange(1, len(chunks) + 1), (kind, body))
        words = f"chunk {kind.decode()} of {len(body)} bytes"
    else:
        bodies, words = rearranged(rng, [kind + body for kind, body in chunks])
        chunks = [(each[:4], each[4:]) for each in bodies]
    parts = [data[:8]]
    for kind, body in chunks:
        parts += [
            struct.pack(">I", len(body)),
            kind,
            body,
            struct.pack(">I", zlib.crc32(kind + body)),
        ]
    return b"".join(parts), words


@cache
def _bomb() -> bytes:
    return zlib.compress(bytes(32 * 2**20))


def _jpeg(rng: Random, data: bytes) -> tuple[bytes, str]:
    """JPEG: segments with their lengths made anew; each scan holds its entropy-coded data."""
    segments, place = [], 2
    while place < len(data) and data[place + 1] != 0xD9:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        if data[place + 1] == 0xDA:
            while data[end] != 0xFF or data[end + 1] in (0, *range(0xD0, 0xD8)):
                end += 1
        segments.append(data[place:end])
        place = end
    drawn = rng.random()
    frame = next(i for i, each in enumerate(segments) if each[1] in (0xC0, 0xC1, 0xC2))
    if drawn < 0.3:
        header = bytearray(segments[frame])
        fields = ("B", 4), ("H", 5), ("H", 7), ("B", 9), ("B", 10), ("B", 11), ("B", 12)
        words = _field(rng, header, fields, ">")
        segments[frame] = bytes(header)
    elif drawn < 0.5:
        kind = rng.choice((0xE1, 0xE2, 0xEE, 0xDD, 0xDC, 0xFE, 0xCC, 0xDB, 0xC4, 0xC9, 0xC3))
        body = rng.choice((b"Exif\0\0", b"ICC_PROFILE\0\1\1", b"Adobe\0d", b"MPF\0II*\0", b""))
        body += rng.choice((b"II*\0\x08\0\0\0\xff\xff", rng.randbytes(rng.randint(0, 300))))
        segments.insert(rng.randrange(len(segments) + 1), _segment(kind, body))
        words = f"segment {kind:02x}"
    elif drawn < 0.6:
        scan = next(each for each in reversed(segments) if each[1] == 0xDA)
        times = rng.choice((5, 99, 101, 2000))
        segments += [scan] * times
        words = f"{times} more scans"
    else:
        place = rng.randrange(len(segments))
        if drawn < 0.85:
            head = segments[place]
            length = int.from_bytes(head[2:4])
            body, words = mutated(rng, head[4 : 2 + length])
            segments[place] = _segment(head[1], body) + head[2 + length :]
        else:
            segments, words = rearranged(rng, segments)
    return data[:2] + b"".join(segments) + b"\xff\xd9", words


def _segment(kind: int, body: bytes) -> bytes:
    return bytes((0xFF, kind)) + struct.pack(">H", min(len(body) + 2, 65535)) + body[:65533]


def _bmp(rng: Random, data: bytes) -> tuple[bytes, str]:
    header = bytearray(data)
    fields = [("I", place) for place in (2, 10, 14, 18, 22, 30, 34, 38, 42, 46, 50)]
    words = _field(rng, header, (*fields, ("H", 26), ("H", 28), ("B", 30), ("B", 28)), "<")
    return bytes(header), words


def _gif(rng: Random, data: bytes) -> tuple[bytes, str]:
    """GIF: the screen, and each block that a separator begins."""
    start = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    blocks, place = [data[:start]], start
    while place < len(data) and data[place] != 0x3B:
        end = place + 2
        if data[place] == 0x2C:
            flags = data[place + 9]
            end = place + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        while data[end]:
            end += data[end] + 1
        blocks.append(data[place : end + 1])
        place = end + 1
    if rng.random() < 0.5:
        chosen = rng.randrange(len(blocks))
        header = bytearray(blocks[chosen])
        fields = (
            [("H", 6), ("H", 8), ("B", 10)] if chosen == 0 else [("H", i) for i in (1, 3, 5, 7)]
        )
        if chosen:
            fields += [("B", i) for i in (0, 1, 9, 10, 11)]
        words = _field(rng, header, fields, "<")
        blocks[chosen] = bytes(header)
    else:
        blocks, words = rearranged(rng, blocks)
    return b"".join([*blocks, b";"]), words


def _tiff(rng: Random, data: bytes) -> tuple[bytes, str]:
    """TIFF: the entries of its directory, of which everything else depends."""
    big = data[2] == 43
    size, count_width = (20, 8) if big else (12, 2)
    value_at = 12 if big else 8
    start = int.from_bytes(data[8:16] if big else data[4:8], "little")
    changed = bytearray(data)
    entries = int.from_bytes(data[start : start + count_width], "little")
    place = start + count_width + size * rng.randrange(entries)
    tag = int.from_bytes(data[place : place + 2], "little")
    drawn = rng.random()
    if drawn < 0.6:
        words = _field(rng, changed, (("I", place + value_at), ("H", place + value_at)), "<")
    elif drawn < 0.75:
        words = _field(rng, changed, (("I", place + 4),), "<")
    elif drawn < 0.85:
        words = _field(rng, changed, (("H", place + 2),), "<")
    elif drawn < 0.95:
        known = sorted(
            (*ImageFileDirectory_v2()._load_dispatch, 259, 262, 277, 317, 322, 330, 34665)
        )
        struct.pack_into("<H", changed, place, other := rng.choice(known))
        words = f"is now tag {other}"
    else:
        words = _field(rng, changed, (("I", start + count_width + size * entries),), "<")
    return bytes(changed), f"tag {tag}: {words}"


def _webp(rng: Random, data: bytes) -> tuple[bytes, str]:
    """WebP: RIFF chunks, their lengths made anew."""
    chunks, place = [], 12
    while place + 8 <= len(data):
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        chunks.append(data[place : place + 4] + data[place + 8 : place + 8 + length])
        place += 8 + length + length % 2
    if rng.random() < 0.4:
        chosen = rng.randrange(len(chunks))
        header = bytearray(chunks[chosen])
        fields = [("H", i) for i in range(4, min(len(header) - 2, 20))]
        words = _field(rng, header, fields, "<")
        chunks[chosen] = bytes(header)
    elif rng.random() < 0.3:
        kind = rng.choice((b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"ICCP", b"EXIF", b"XMP "))
        chunks.insert(rng.randrange(len(chunks) + 1), kind + rng.randbytes(rng.randint(0, 60)))
        words = f"chunk {kind.decode()}"
    else:
        chunks, words = rearranged(rng, chunks)
    parts = [
        each[:4] + struct.pack("<I", max(len(each) - 4, 0)) + each[4:] + bytes(len(each) % 2)
        for each in chunks
    ]
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body, words


def _ppm(rng: Random, data: bytes) -> tuple[bytes, str]:
    """PGM and PPM: the words of the header, and levels as text."""
    tokens = data.split(maxsplit=4 if data[:2] in (b"P5", b"P6") else 3)
    if len(tokens) < 4:
        return mutated(rng, data)
    place = rng.randrange(len(tokens))
    if place == 0:
        tokens[0] = b"P" + rng.choice((b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"f", b"F", b"0"))
    elif place < 4:
        tokens[place] = rng.choice((b"-1", b"1e3", b"#", b"9" * 30, b"", b"\xd9\xa3"))
        if rng.random() < 0.7:
            tokens[place] = str(rng.choice(SIZES)).encode()
    if rng.random() < 0.3:
        levels = rng.choice((b"255 ", b"-3 ", b"9999999999 ", b"x ", b"1", b"#\n", b"65535\n"))
        tokens = [rng.choice((b"P1", b"P2", b"P3")), *tokens[1:4], levels * rng.choice((400, 4000))]
    return b"\n".join(tokens), f"word {place} is {tokens[place][:20]!r}"


def _field(rng: Random, data: bytearray, fields, order: str) -> str:
    """A number into one of the fields (its struct format and place)."""
    code, place = rng.choice(list(fields))
    width = struct.calcsize(code)
    value = rng.choice(SIZES) % 2 ** (8 * width)
    if rng.random() < 0.3:
        value = rng.randrange(256)
    data[place : place + width] = struct.pack(order + code, value)
    return f"{value} at byte {place}"


_STRUCTURED: dict[str, Callable[[Random, bytes], tuple[bytes, str]]] = {
    "png": _png,
    "jpeg": _jpeg,
    "bmp": _bmp,
    "gif": _gif,
    "tiff": _tiff,
    "webp": _webp,
    "ppm": _ppm,
}
