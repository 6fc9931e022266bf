"""What a process does to its system, seen from within: files written, programs started, pickles."""

import os
import re
import sys
from pathlib import Path

# Events of Python's own, https://docs.python.org/3/library/audit_events.html. The number tells
# which of an event's arguments are paths that it writes.
_WRITES = {
    **{"os.mkdir": (0,), "os.rename": (0, 1), "os.remove": (0,), "os.rmdir": (0,)},
    **{"os.link": (1,), "os.symlink": (1,), "os.truncate": (0,), "os.chmod": (0,)},
    **{"os.chown": (0,), "os.utime": (0,), "shutil.rmtree": (0,), "shutil.move": (0, 1)},
}
_NEVER = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.spawn")
_NEVER += ("socket.connect", "socket.bind", "urllib.Request", "ftplib.connect")
# For the commit in the record of a run, and matplotlib's list of fonts.
_PROGRAMS = re.compile(r"(.*/)?(git|uname|fc-list)$")
_OWN = re.compile(r"/dev/null$|/dev/tty$|/proc/self/")


class Watch:
    """Notes what was done outside of a folder while it is on; for good once made.

    folder: where all is allowed. The notes go through a file that forked children share.
    """

    def __init__(self, folder: Path):
        self.folder = os.path.realpath(folder)
        self.on = False
        self._notes = os.memfd_create("notes")
        sys.addaudithook(self._hear)

    def notes(self) -> list[str]:
        """What was noted since the last call."""
        size = os.fstat(self._notes).st_size
        if not size:
            return []
        text = os.pread(self._notes, size, 0)
        os.ftruncate(self._notes, 0)
        os.lseek(self._notes, 0, os.SEEK_SET)
        return text.decode(errors="replace").splitlines()

    def _hear(self, event: str, arguments: tuple) -> None:
        if not self.on:
            return
        if event == "open":
            path, _, flags = arguments
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self._check(event, path)
        elif event == "os.mkdir" and os.path.lexists(arguments[0]):
            return  # which fails, and changes nothing
        elif event in _WRITES:
            for place in _WRITES[event]:
                self._check(event, arguments[place])
        elif event == "subprocess.Popen":
            if not _PROGRAMS.fullmatch(str(arguments[0])):
                self._note(f"{event} {arguments[0]!r:.60}")
        elif event in _NEVER:
            self._note(f"{event} {arguments!r:.60}")

    def _check(self, event: str, path: object) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a descriptor of something opened before
        real = os.path.realpath(os.fsdecode(path))
        if not real.startswith(f"{self.folder}{os.sep}") and not _OWN.match(real):
            self._note(f"{event} {real!r:.120}")

    def _note(self, text: str) -> None:
        os.write(self._notes, text.encode("utf-8", "replace") + b"\n")


class Streams:
    """Standard output and error of this process kept in memory, of what is written in C too."""

    def __init__(self) -> None:
        self._files = {number: os.memfd_create(f"stream-{number}") for number in (1, 2)}
        for number, file in self._files.items():
            os.dup2(file, number)
        # Never closed: they are the process's own.
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115

    def taken(self) -> tuple[str, str]:
        """What was written on both since the last call."""
        return self._taken(sys.stdout, 1), self._taken(sys.stderr, 2)

    def _taken(self, stream, number: int) -> str:
        stream.flush()
        file = self._files[number]
        data = os.pread(file, os.fstat(file).st_size, 0)
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        return data.decode(errors="replace")
