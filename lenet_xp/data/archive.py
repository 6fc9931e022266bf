"""A zip archive of class folders, read in place."""

import mmap
import re
import stat
import struct
import zipfile
import zlib
from pathlib import Path

from lenet_xp.data.image_file import MAX_BYTES
from lenet_xp.data.tree import Tree, find_tree
from lenet_xp.errors import InputError

# Deflate can write 1032 zeros in one byte. An image that shrinks this much more is no image.
MAX_RATIO = 200
RATIO_FROM = 2**20

# An absolute path, a drive letter, a step upwards.
_LEADS_OUT = re.compile(r"^/|^[A-Za-z]:|(^|/)\.\.(/|$)")

_LOCAL_HEADER = struct.Struct("<4s22xHH")


class Archive:
    """An open zip archive; `tree` says which images it holds, `read` gives the bytes of one.

    Every member is checked before any is read: one that is encrypted, stands there twice, is
    declared far larger than an image can be, or has a path that leads out of the archive raises
    InputError, and so does a file that is no zip. `read` may be called from several threads.
    """

    def __init__(self, path):
        self.path = Path(path)
        try:
            self._zip = zipfile.ZipFile(self.path)
            self._map = mmap.mmap(self._zip.fp.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
            raise InputError(
                f"{path}: is not a zip archive that can be read ({error}); download it again"
            ) from error
        try:
            self._members = self._checked_members()
        except InputError:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._map.close()
        self._zip.close()

    def tree(self) -> Tree:
        """The images and their classes; see `find_tree`."""
        folders = [name.rstrip("/") for name in self._members if name.endswith("/")]
        files = [name for name in self._members if not name.endswith("/")]
        return find_tree(str(self.path), files, folders, lambda name: self._members[name].CRC)

    def read(self, name: str) -> bytes:
        """The content of one member; InputError names it where it is damaged.

        This goes past ZipFile.read, whose locks and layers cost as much as decoding an image.
        """
        member = self._members[name]
        try:
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                return self._zip.read(member)
            data = self._packed(member)
            if member.compress_type == zipfile.ZIP_DEFLATED:
                data = zlib.decompressobj(-15).decompress(data, member.file_size + 1)
        except (
            zipfile.BadZipFile,
            zlib.error,
            struct.error,
            OSError,
            EOFError,
            ValueError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise InputError(f"{name}: is damaged in the archive ({error})") from error
        if len(data) != member.file_size or zlib.crc32(data) != member.CRC:
            raise InputError(f"{name}: is damaged in the archive (wrong checksum)")
        return data

    def _packed(self, member):
        """The bytes of a member as they stand in the archive, behind its local header."""
        mark, name_length, extra_length = _LOCAL_HEADER.unpack_from(self._map, member.header_offset)
        if mark != b"PK\x03\x04":
            raise zipfile.BadZipFile("no header where it should be")
        start = member.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        return self._map[start : start + member.compress_size]

    def _checked_members(self):
        members = {}
        for member in self._zip.infolist():
            name = member.filename.replace("\\", "/")
            if name in members:
                raise InputError(f"{self.path}: holds two members named {name!r}; pack it again")
            if reason := _objection(member, name):
                raise InputError(f"{self.path}: member {name!r} {reason}")
            members[name] = member
        return members


def _objection(member, name):
    """What speaks against a member, or None."""
    if _LEADS_OUT.search(name):
        return "has a path that leads out of the archive; pack it again without"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a symbolic link; pack the file itself"
    if member.flag_bits & 1:
        return "is encrypted; give an archive without a password"
    ratio = member.file_size / max(1, member.compress_size)
    if member.file_size > MAX_BYTES or (member.file_size > RATIO_FROM and ratio > MAX_RATIO):
        return f"is declared as {member.file_size:,} bytes, too large for an image; remove it"
    return None
