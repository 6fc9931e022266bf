"""Zip archives of class folders that lie, lead out, swell, repeat or hide something."""

import io
from functools import cache
from random import Random

import numpy as np

from fuzzing import images
from fuzzing.mutate import mutated
from fuzzing.zipped import BZIP2, DEFLATED, LZMA, STORED, Member, archive, member

BOMB = 64 * 2**20
NAMES = (
    b"../../../../../escaped.png",
    b"/tmp/lenet_xp-escaped.png",
    b"C:\\escaped.png",
    b"..\\..\\escaped.png",
    b"ya/../../escaped.png",
    b"ya/\x1b[2Jx.png",
    b"ya/a\nerror: b.png",
    b"ya/\xff\xfe.png",
    b"ya/nul\0byte.png",
    b"ya/" + b"n" * 300 + b".png",
    b"ya/" + b"n" * 65000 + b".png",
    b"d/" * 8000 + b"x.png",
    b"",
    b"/",
    b".",
    b"..",
    b"ya",
    b"ya/yan/1.png",
    b"\x1b]0;title\x07/1.png",
    b"__MACOSX/ya/._1.png",
    b"other/ya/1.png",
    b"yaz/",
    "ⵣⵣ/1.png".encode(),
    b"ya/con.png",
    b"ya/1.png:stream",
)


@cache
def letters() -> tuple[tuple[bytes, bytes], ...]:
    """Names and contents of an honest archive: two classes, few images, no two alike."""
    found = []
    for label, name in enumerate((b"ya", b"yan")):
        for number in range(3):
            data = images.seed((3 + 5 * label + number) % 12)
            found.append((b"%s/%s_%d.png" % (name, name, number + 1), data))
    return tuple(found)


def honest() -> bytes:
    """An archive with nothing wrong."""
    return archive([member(name, data, DEFLATED) for name, data in letters()])


@cache
def _bomb(method: int) -> Member:
    return member(b"ya/bomb.png", bytes(BOMB), method)


def hostile(rng: Random) -> tuple[bytes, str]:
    """The bytes of an archive, and what is wrong with it."""
    method = rng.choice((STORED, STORED, DEFLATED, DEFLATED, BZIP2, LZMA))
    members = [member(name, data, method) for name, data in letters()]
    drawn = rng.random()
    if drawn < 0.06:
        return mutated(rng, archive(members))
    if drawn < 0.1:
        return _many(rng)
    change = rng.choice(_CHANGES)
    words = change(rng, members)
    end, more = _end(rng) if rng.random() < 0.12 else ({}, "")
    data = archive(members, **end)
    if rng.random() < 0.08:
        data, blind = mutated(rng, data)
        more += f", {blind}"
    return data, words + more


def _name(rng: Random, members: list[Member]) -> str:
    each = rng.choice(members)
    each.name = rng.choice(NAMES)
    if rng.random() < 0.5:
        each.flags |= 0x800  # names are UTF-8
    return f"named {each.name[:40]!r}"


def _twice(rng: Random, members: list[Member]) -> str:
    each = rng.choice(members)
    again = Member(each.name, each.packed, each.method, each.crc, each.size)
    if rng.random() < 0.5:
        again.name = again.name.replace(b"/", b"\\").upper() if rng.random() < 0.5 else again.name
    members.append(again)
    return "a member twice"


def _lie(rng: Random, members: list[Member]) -> str:
    each = rng.choice(members)
    value = rng.choice((0, 1, each.size - 1, each.size + 1, 2**20, 2**28, 2**31, 2**32 - 1))
    field = rng.choice(("size", "declared", "crc", "offset"))
    setattr(each, field, value)
    return f"{field} declared as {value}"


def _kind(rng: Random, members: list[Member]) -> str:
    each = rng.choice(members)
    each.method = rng.choice((0, 1, 6, 8, 9, 12, 14, 93, 97, 99, 65535))
    return f"compression {each.method}"


def _flags(rng: Random, members: list[Member]) -> str:
    each = rng.choice(members)
    each.flags = rng.choice((1, 8, 9, 0x20, 0x40, 0x800, 0x2000, 0xFFFF))
    return f"flags {each.flags:x}"


def _link(rng: Random, members: list[Member]) -> str:
    mode = rng.choice((0o120777, 0o060666, 0o020666, 0o010666, 0o040755, 0o140777))
    target = rng.choice((b"/etc/passwd", b"../../..", b"ya_1.png"))
    members.append(member(b"ya/link.png", target))
    members[-1].attributes = mode << 16
    return f"of mode {mode:o}"


def _big(rng: Random, members: list[Member]) -> str:
    bomb = _bomb(rng.choice((DEFLATED, BZIP2, LZMA)))
    declared = rng.choice((bomb.size, 1000, 2**20, 150 * len(bomb.packed)))
    members.append(Member(bomb.name, bomb.packed, bomb.method, bomb.crc, declared))
    return f"a bomb of method {bomb.method} declared as {declared}"


def _extra(rng: Random, members: list[Member]) -> str:
    each = rng.choice(members)
    body = rng.choice((b"", b"\xff" * 8, b"\0" * 24, rng.randbytes(rng.randint(1, 40))))
    length = rng.choice((len(body), 0, 4, 65535)).to_bytes(2, "little")
    each.extra = rng.choice((b"\1\0", b"\x75\x70", b"\x99\x01", b"UT")) + length + body
    if rng.random() < 0.6:
        each.size = 2**32 - 1  # what makes the zip64 field count
    return f"extra field {each.extra[:8].hex()}"


def _content(rng: Random, members: list[Member]) -> str:
    place = rng.randrange(len(members))
    old = members[place]
    if rng.random() < 0.1:
        data, words = archive([member(b"a", b"b")]), "an archive within"
    else:
        _, data, words = images.hostile(rng)
    members[place] = member(old.name, data, old.method)
    return words


def _local(rng: Random, members: list[Member]) -> str:
    each = rng.choice(members)
    each.local_name = rng.choice((b"../../escaped.png", b"", b"x" * 65535))
    return f"local name {each.local_name[:20]!r}"


def _packed(rng: Random, members: list[Member]) -> str:
    each = rng.choice(members)
    each.packed, words = mutated(rng, each.packed)
    return f"packed bytes: {words}"


def _fewer(rng: Random, members: list[Member]) -> str:
    del members[rng.randrange(len(members)) :]
    return f"{len(members)} members"


_CHANGES = (
    *(_name, _name, _name, _twice, _lie, _lie, _lie, _kind, _flags, _link, _big, _extra),
    *(_content, _content, _content, _local, _packed, _fewer),
)


def _end(rng: Random) -> tuple[dict, str]:
    """What the last record says of the list of members."""
    field = rng.choice(("count", "size", "offset", "disk"))
    value = rng.choice((0, 1, 46, 2**15, 2**16 - 1))
    if field in ("size", "offset"):
        value = rng.choice((value, 2**28, 2**31, 2**32 - 1))
    if rng.random() < 0.2:
        return {"comment": b"PK\5\6" * rng.choice((1, 5, 5000))}, ", a comment like an end"
    return {field: value}, f", end says {field} {value}"


def _many(rng: Random) -> tuple[bytes, str]:
    """Up to a million members, most often few: every hundredth of these archives is a large one."""
    count = rng.choice((500, 500, 2000, 5000))
    if rng.random() < 0.01:
        count = 10**6
    kind = rng.choice(("empty files", "images", "folders", "other files", "one name"))
    ending = {"empty files": ".png", "images": ".png", "folders": "/", "other files": ".txt"}
    data = images.seed(3) if kind == "images" and count < 10**6 else b""
    return _packed_many(count, "same" if kind == "one name" else ending[kind], data), (
        f"{count} {kind}"
    )


def _packed_many(count: int, ending: str, data: bytes) -> bytes:
    """Many members of nearly the same bytes; built as one table, for a loop would take seconds."""
    digits = np.char.zfill(np.arange(count).astype("S7"), 7)
    ending, same = (".png", True) if ending == "same" else (ending, False)
    one = archive([member(b"ya/0000000" + ending.encode(), data)])
    middle = one.index(b"PK\1\2")
    end = one.index(b"PK\5\6")
    local, entry = _table(one[:middle], count), _table(one[middle:end], count)
    if not same:
        for rows, place in ((local, 33), (entry, 49)):
            rows[:, place : place + 7] = digits.view(np.uint8).reshape(count, 7)
    offsets = (np.arange(count, dtype="<u8") * middle).astype("<u4")
    entry[:, 42:46] = offsets.view(np.uint8).reshape(count, 4)
    last = bytearray(one[end:])
    last[8:12] = (count & 0xFFFF).to_bytes(2, "little") * 2
    last[12:16] = entry.size.to_bytes(4, "little")
    last[16:20] = local.size.to_bytes(4, "little")
    buffer = io.BytesIO()
    for part in (local, entry, last):
        buffer.write(bytes(part))
    return buffer.getvalue()


def _table(row: bytes, count: int) -> np.ndarray:
    return np.tile(np.frombuffer(row, np.uint8), (count, 1))
