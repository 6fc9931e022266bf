"""Zip archives of which every field can be a lie; Python's own writer has too much sense."""

import bz2
import lzma
import struct
import zlib
from dataclasses import dataclass

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14

_LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY = struct.Struct("<4s4B4H3I5H2I")
_END = struct.Struct("<4s4H2IH")


@dataclass
class Member:
    """One member. What is None is told truly: of the bytes, or by where they stand."""

    name: bytes
    packed: bytes
    method: int = STORED
    crc: int = 0
    size: int = 0  # unpacked
    flags: int = 0
    attributes: int = 0
    extra: bytes = b""
    local_name: bytes | None = None
    declared: int | None = None  # bytes packed
    offset: int | None = None


def member(name: bytes, data: bytes, method: int = STORED) -> Member:
    """An honest member."""
    return Member(name, _packed(data, method), method, zlib.crc32(data), len(data))


def _packed(data: bytes, method: int) -> bytes:
    if method == DEFLATED:
        pack = zlib.compressobj(6, zlib.DEFLATED, -15)
        return pack.compress(data) + pack.flush()
    if method == BZIP2:
        return bz2.compress(data)
    if method == LZMA:
        properties = {"id": lzma.FILTER_LZMA1, "dict_size": 2**20}
        return b"\x09\x04\x05\0\x5d\0\0\x10\0" + lzma.compress(
            data, lzma.FORMAT_RAW, filters=[properties]
        )
    return data


def archive(members: list[Member], prefix: bytes = b"", comment: bytes = b"", **end: int) -> bytes:
    """The bytes of an archive. end: what its last record says, of count, size, offset, disk."""
    parts, entries, place = [prefix], [], len(prefix)
    for each in members:
        declared = len(each.packed) if each.declared is None else each.declared
        local_name = each.name if each.local_name is None else each.local_name
        common = (each.flags, each.method, 0, 33, each.crc, declared, each.size)
        local = _LOCAL.pack(b"PK\3\4", 20, *common, len(local_name), len(each.extra))
        entries.append(
            _ENTRY.pack(
                *(b"PK\1\2", 20, 3, 20, 0, *common),
                *(len(each.name), len(each.extra), 0, 0, 0, each.attributes),
                place if each.offset is None else each.offset,
            )
            + each.name
            + each.extra
        )
        parts += [local, local_name, each.extra, each.packed]
        place += len(local) + len(local_name) + len(each.extra) + len(each.packed)
    directory = b"".join(entries)
    count = end.get("count", len(members)) & 0xFFFF
    where = end.get("size", len(directory)), end.get("offset", place)
    last = _END.pack(b"PK\5\6", end.get("disk", 0), 0, count, count, *where, len(comment))
    return b"".join([*parts, directory, last, comment])
