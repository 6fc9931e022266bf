"""The standard streams of a command, which may be closed, full, broken or of a narrow code page.

Only a command owns its process; library code leaves the streams alone.
"""

import codecs
import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from lenet_xp.system.text import printable

MAX_ERROR_LENGTH = 2000  # characters: of the line of an error
READER_LEFT = 141  # status: what a shell gives a program that SIGPIPE ended


def with_streams(work: Callable[[], int]) -> int:
    """Run `work` with streams that cannot surprise it, and return its exit status.

    Where standard output is full or closed, the work goes on, and its success becomes one line and
    status 2, as any OSError does; where the reader of a pipe has left, 141. SystemExit passes.
    """
    _prepare()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    output = raw if isinstance(raw, _Output) else None
    left = None
    try:
        try:
            status = work()
        except SystemExit as leaving:  # argparse's, also after --help
            left, status = leaving, int(bool(leaving.code))
        sys.stdout.flush()
        if output and output.failure and not status:
            raise output.failure
    except BrokenPipeError:
        return READER_LEFT  # nobody would read a message
    except OSError as error:
        where = "standard output" if output and error is output.failure else error.filename
        reason = error.strerror or str(error)
        return failed(f"{where}: {reason}" if where else reason)
    if left:
        raise left
    return status


def say(text: str) -> None:
    """Print a line on standard error, or nothing where it is missing or broken."""
    with suppress(OSError, ValueError):
        if sys.stderr is not None:  # print would take standard output instead
            print(text, file=sys.stderr, flush=True)


def failed(message: str) -> int:
    """Print an error in one line, shortened, and return the status 2."""
    line = printable(" ".join(message.splitlines()))
    if len(line) > MAX_ERROR_LENGTH:  # a name in an archive may have 65,535 bytes
        line = f"{line[: MAX_ERROR_LENGTH // 2]} ... {line[-MAX_ERROR_LENGTH // 2 :]}"
    say(f"error: {line}")
    return 2


def tell(*lines: str) -> None:
    """Print lines beside the result, such as where it is; none where standard output is closed."""
    if sys.stdout.writable():
        print(*lines, sep="\n", flush=True)


class _Output(io.FileIO):
    """Standard output: where a write fails, `failure` says why, and all that follows is lost."""

    shut = False  # whether it was closed before the process began
    failure: OSError | None = None

    def writable(self) -> bool:
        return not self.shut

    def write(self, data: Any) -> int:
        if self.shut:
            self.failure = OSError(errno.EBADF, "it is closed")
        try:
            if self.failure is None:
                return super().write(data)
        except OSError as error:
            self.failure = error
            if isinstance(error, BrokenPipeError):  # a pipe is often all that a command is for
                raise
        return len(data)


class _NeverFails(io.FileIO):
    """Standard error: writes succeed, though nobody may read them."""

    def write(self, data: Any) -> int:
        with suppress(OSError):
            return super().write(data) or len(data)
        return len(data)


def _prepare() -> None:
    """Fill the descriptors that are closed, so that no file takes them, and replace the streams."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    codecs.register_error("lenet_xp.escape", _escape)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - lasts as long as the process
    if sys.stdout is None or _is_own(sys.stdout, sys.__stdout__, 1):
        raw = _Output(1, "w", closefd=False)
        shut, sys.stdout = sys.stdout is None, _text(raw, sys.stdout)
        raw.shut = shut
    if sys.stderr is None or _is_own(sys.stderr, sys.__stderr__, 2):
        # On a descriptor of its own: 2 is muted while a command runs.
        sys.stderr = _text(_NeverFails(os.dup(2), "w"), sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # code points where Tifinagh cannot be shown
            stream.reconfigure(errors="lenet_xp.escape")


def _is_own(stream: TextIO, first: TextIO | None, descriptor: int) -> bool:
    """Whether nobody has replaced a stream, as tests and notebooks do."""
    with suppress(OSError, ValueError):
        return stream is first and stream.fileno() == descriptor
    return False


def _text(raw: io.FileIO, like: TextIO | None) -> io.TextIOWrapper:
    """A text stream on a descriptor, with the encoding and the buffering of another, if any."""
    lines = isinstance(raw, _NeverFails) or bool(like and like.isatty())
    lines = lines or bool(getattr(like, "write_through", False))
    encoding, buffer = like.encoding if like else "utf-8", io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, encoding, line_buffering=lines, write_through=True)


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""Signs that an encoding lacks as \uXXXX, which JSON reads, too."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass").hex()
    pairs = (units[place : place + 4] for place in range(0, len(units), 4))
    return "".join(f"\\u{unit}" for unit in pairs), error.end
