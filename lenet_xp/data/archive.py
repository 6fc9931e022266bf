"""A zip archive of class folders: members are checked first and then read in place."""

import re
import stat
import zipfile
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from lenet_xp.data.account import ASIDE, NO_IMAGE, LeftOut, why_left_out
from lenet_xp.data.class_folders import Tree, find_tree, load_class_folders
from lenet_xp.data.dataset import Dataset, Request
from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import MAX_BYTES
from lenet_xp.pictures.kinds import START
from lenet_xp.system.npz_file import PIECE, UNPACKED, CappedReads
from lenet_xp.system.text import reason_of

MAX_RATIO = 200  # bytes to a packed byte: no image shrinks so much, and deflate reaches 1032
MIN_CHECKED = 2**20  # bytes: a smaller member may shrink by any ratio
MAX_DIRECTORY = 32 * 2**20  # bytes: the list of members, enough for 300,000 of AMHCD's names

_ENCRYPTED = 1  # flag of a member

LEADS_OUT = re.compile(r"^/|^[A-Za-z]:|(^|/)\.\.(/|$)")  # absolute, with a drive, or upwards


def load_archive(request: Request) -> Dataset:
    """The data set of a zip archive; see `load_class_folders`."""
    with Archive(request.path) as archive:
        return load_class_folders(archive, request)


class Archive(ExitStack):
    """An open zip archive as a source of class folders; as a context it closes the file.

    Every member is checked before any is read: InputError for a path that leads out of the archive,
    for an image that is encrypted, stands there twice or is declared far larger than an image can
    be, and for a file that is no zip. `read` may be called from several threads.
    """

    def __init__(self, path: str | Path):
        super().__init__()
        self.path = Path(path)
        try:
            file = self.enter_context(CappedReads(self.path, MAX_DIRECTORY))
            self._zip = zipfile.ZipFile(file)
            self._members: dict[str, zipfile.ZipInfo] = {}  # the images
            self._folders: list[str] = []
            self._left_out: list[LeftOut] = []
            self._check_members()
        except Exception as error:  # a damaged list of members has a dozen ways to go wrong
            self.close()
            if isinstance(error, InputError):
                raise
            problem = f"is not a zip archive that can be read ({reason_of(error)})"
            raise InputError(f"{path}: {problem}; download it again") from error

    def tree(self) -> Tree:
        """The images and their classes; see `find_tree`."""
        content = list(self._members), self._folders, self._left_out
        return find_tree(str(self.path), *content, lambda name: self._members[name].CRC)

    def read(self, name: str) -> bytes:
        """The content of a member; InputError names it where it is damaged."""
        try:
            with self._zip.open(self._members[name]) as file:
                return b"".join(iter(lambda: file.read(PIECE), b""))
        except MemoryError:
            raise
        except Exception as error:  # zipfile and its decoder have a dozen
            raise InputError(f"{name}: is damaged in the archive ({error})") from error

    def _start(self, member: zipfile.ZipInfo) -> bytes:
        """The first bytes of a member's content, or none where it cannot be unpacked."""
        with suppress(Exception):  # zipfile and its decoder have a dozen; START takes no memory
            if member.compress_type in UNPACKED:
                with self._zip.open(member) as file:
                    return file.read(START)
        return b""

    def _check_members(self) -> None:
        """Sort the members into images, folders and what is left out."""
        members = self._zip.infolist()
        # Members that share their bytes would make endless work of a small file.
        if sum(member.compress_size for member in members) > self.path.stat().st_size:
            raise InputError(f"{self.path}: holds members that overlap; pack it again")
        for member in members:
            given = member.filename.replace("\\", "/")
            if LEADS_OUT.search(given):
                problem = "has a path that leads out of the archive; pack it again without"
                raise InputError(f"{self.path}: member {given!r} {problem}")
            name = "/".join(part for part in given.split("/") if part not in ("", "."))
            if given.endswith("/"):
                self._folders += [name] * bool(name)  # "./" has none
                continue
            why = why_left_out(name, partial(self._start, member))
            if why in (None, NO_IMAGE) and stat.S_ISLNK(member.external_attr >> 16):
                why = "is a symbolic link; pack the file itself"
            elif why == NO_IMAGE and member.flag_bits & _ENCRYPTED:
                why = "is encrypted and not named as an image"
            if why is not None:
                self._left_out += [(name or given, why)] * (why != ASIDE)
            elif name in self._members:
                raise InputError(f"{self.path}: holds two members named {name!r}; pack it again")
            elif reason := _problem(member):
                raise InputError(f"{self.path}: member {name!r} {reason}")
            else:
                self._members[name] = member


def _problem(member: zipfile.ZipInfo) -> str | None:
    """Why an image must not be read, or None."""
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted; give an archive without a password"
    if member.compress_type not in UNPACKED:
        return "is packed in a way that is not read; pack it with deflate"
    size, packed = member.file_size, member.compress_size
    if max(size, packed) > MAX_BYTES or (size > MIN_CHECKED and size > MAX_RATIO * max(1, packed)):
        return f"is declared as {size:,} bytes, too large for an image; remove it"
    return None
