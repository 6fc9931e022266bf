"""A zip archive of class folders, read in place."""

import bz2
import lzma
import mmap
import re
import stat
import struct
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path

from lenet_xp.data.class_folders import Tree, find_tree
from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import MAX_BYTES
from lenet_xp.system.npz_file import CappedReads

# Deflate can write 1032 zeros in one byte. An image that shrinks this much more is no image.
MAX_RATIO = 200
RATIO_FROM = 2**20

# Of the list of members: 300,000 of AMHCD's names.
MAX_DIRECTORY = 32 * 2**20

MAX_LZMA = 64 * 2**20  # bytes that a member's decoder may ask for, as its own header declares

# An absolute path, a drive letter, a step upwards.
_LEADS_OUT = re.compile(r"^/|^[A-Za-z]:|(^|/)\.\.(/|$)")

_LOCAL_HEADER = struct.Struct("<4s22xHH")


class Archive:
    """An open zip archive; `tree` says which images it holds, `read` gives the bytes of one.

    Every member is checked before any is read: one that is encrypted, stands there twice, is
    declared far larger than an image can be, or has a path that leads out of the archive raises
    InputError, and so does a file that is no zip. `read` may be called from several threads.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._open = ExitStack()
        try:
            file = self._open.enter_context(CappedReads(self.path, MAX_DIRECTORY))
            self._zip = zipfile.ZipFile(file)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._map = self._open.enter_context(mapped)
            self._members = self._checked_members()
        except InputError:
            self.close()
            raise
        except Exception as error:  # a damaged list of members has a dozen ways to go wrong
            self.close()
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise InputError(
                f"{path}: is not a zip archive that can be read ({reason}); download it again"
            ) from error

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._open.close()

    def tree(self) -> Tree:
        """The images and their classes; see `find_tree`."""
        folders = [name.rstrip("/") for name in self._members if name.endswith("/")]
        files = [name for name in self._members if not name.endswith("/")]
        return find_tree(str(self.path), files, folders, lambda name: self._members[name].CRC)

    def size(self, name: str) -> int:
        """How many bytes one member is, packed or unpacked, whichever is more."""
        return max(self._members[name].file_size, self._members[name].compress_size)

    def read(self, name: str) -> bytes:
        """The content of one member; InputError names it where it is damaged.

        This goes past ZipFile.read, whose locks and layers cost as much as decoding an image, and
        which unpacks bzip2 and LZMA beyond the size that a member declares.
        """
        member = self._members[name]
        try:
            data = _unpacked(self._packed(member), member.compress_type, member.file_size + 1)
        except MemoryError:
            raise
        except Exception as error:  # each of four decoders has its own exceptions
            raise InputError(f"{name}: is damaged in the archive ({error})") from error
        if len(data) != member.file_size or zlib.crc32(data) != member.CRC:
            raise InputError(f"{name}: is damaged in the archive (wrong checksum)")
        return data

    def _packed(self, member: zipfile.ZipInfo) -> bytes:
        """The bytes of a member as they stand in the archive, behind its local header."""
        mark, name_length, extra_length = _LOCAL_HEADER.unpack_from(self._map, member.header_offset)
        if mark != b"PK\x03\x04":
            raise zipfile.BadZipFile("no header where it should be")
        start = member.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        return self._map[start : start + member.compress_size]

    def _checked_members(self) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        for member in self._zip.infolist():
            name = member.filename.replace("\\", "/")
            if name in members:
                raise InputError(f"{self.path}: holds two members named {name!r}; pack it again")
            if reason := _objection(member, name):
                raise InputError(f"{self.path}: member {name!r} {reason}")
            members[name] = member
        # Members that share their bytes would make of a small file as much work as they like.
        if sum(member.compress_size for member in members.values()) > len(self._map):
            raise InputError(f"{self.path}: holds members that overlap; pack it again")
        return members


def _unpacked(data: bytes, kind: int, most: int) -> bytes:
    """A member's bytes unpacked, at most so many of them."""
    if kind == zipfile.ZIP_STORED:
        return data
    if kind == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-15).decompress(data, most)
    if kind == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor().decompress(data, most)
    if kind == zipfile.ZIP_LZMA:
        # A version and the properties' length, 5 here; then the properties, and what a file of
        # its own would have besides: the length, unknown.
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MAX_LZMA)
        return unpacker.decompress(data[4:9] + b"\xff" * 8 + data[9:], most)
    raise NotImplementedError(f"compression {kind} is not known; pack it as usual")


def _objection(member: zipfile.ZipInfo, name: str) -> str | None:
    """What speaks against a member, or None."""
    if _LEADS_OUT.search(name):
        return "has a path that leads out of the archive; pack it again without"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a symbolic link; pack the file itself"
    if member.flag_bits & 1:
        return "is encrypted; give an archive without a password"
    ratio = member.file_size / max(1, member.compress_size)
    if max(member.file_size, member.compress_size) > MAX_BYTES or (
        member.file_size > RATIO_FROM and ratio > MAX_RATIO
    ):
        return f"is declared as {member.file_size:,} bytes, too large for an image; remove it"
    return None
