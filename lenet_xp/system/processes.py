"""Worker processes, which share arrays with this one and do their matrix products in one thread.

A fork of a program with threads of its own, or with a GPU, may wait for a lock that no thread of
the copy will ever free. So a server forks them: a fresh interpreter with a single thread, which
starts at the first need and lives as long as this process.
"""

import atexit
import json
import math
import mmap
import multiprocessing.spawn
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from importlib import import_module

import numpy as np
from numpy.typing import DTypeLike

from lenet_xp.errors import WorkerFailed
from lenet_xp.system.own_process import is_owned
from lenet_xp.system.text import reason_of

POLLING_TIME = 0.5e-3  # seconds: for how long a process polls its socket before it sleeps on it
HOST_CHECK = 2.0  # seconds: between two looks at whether the host still lives
START_TIME = 60.0  # seconds: for a process to start; the server imports NumPy first
END_TIME = 5.0  # seconds: for a process to end by itself
ALIGNMENT = 64  # bytes: of each array, a line of the cache
MAX_MESSAGE = 4096  # bytes
SUCCESS = b"ok"  # a worker process's answer; any other is an error message
PROGRAM = (  # of the server
    "import json, sys; sys.path[:], *how = json.loads(sys.argv[1]); "
    "from lenet_xp.system.processes import serve; serve(*how)"
)

# Read by the matrix libraries when they are loaded, so they count for a fresh interpreter alone.
ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"
)

Arrays = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[tuple[int, ...], DTypeLike]]
Serve = Callable[[int], None]
Job = Callable[[Arrays], Serve]  # called in the process; it must be picklable


class WorkerProcess:
    """Another process that calls `serve(number)` for each number sent to it.

    job: is called there with the shared arrays and gives `serve`. shapes: shape and dtype of each
    shared array, zeros at first. It ends with `close`, and with this process however that dies.
    """

    def __init__(self, job: Job, shapes: Shapes):
        self._job, self._shapes = job, dict(shapes)
        self.pid = 0

    def launch(self) -> None:
        """Begin to start it, which makes `arrays`. Raises WorkerFailed where it cannot be."""
        try:
            with open(os.memfd_create("lenet_xp"), "rb") as memory:
                self.arrays = _mapped(memory.fileno(), self._shapes)
                self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with other:
                    files = [other.fileno(), memory.fileno()]
                    _server(os.getpid()).start(self._job, self._shapes, files)
        except Exception as error:  # the system's, the host's, or that of a job with no pickle
            raise _cannot_start(error) from error

    def wait(self) -> None:
        """Wait until it is ready; WorkerFailed if it cannot be."""
        self._socket.settimeout(START_TIME)
        try:
            answer = self._socket.recv(MAX_MESSAGE)
        except OSError as error:
            raise _cannot_start(error) from error
        self._socket.settimeout(None)
        if not answer.isdigit():
            reason = answer.decode(errors="replace") or "it died"
            raise WorkerFailed(f"a worker process cannot work: {reason}")
        self.pid = int(answer)

    def begin(self, number: int) -> None:
        """Start serve(number) in the process; WorkerFailed if the process is dead."""
        try:
            self._socket.send(number.to_bytes(8, "little", signed=True))
        except OSError as error:
            raise WorkerFailed("a worker process failed: it died") from error

    def finish(self) -> None:
        """Wait until serve has returned; WorkerFailed if it raised or the process died."""
        answer = b""
        with suppress(OSError):
            answer = _receive(self._socket)
        if answer != SUCCESS:
            reason = answer.decode(errors="replace") or "it died"
            raise WorkerFailed(f"a worker process failed: {reason}")

    def close(self) -> None:
        """End it and wait for that."""
        if not hasattr(self, "_socket"):
            return
        with suppress(OSError):  # it is dead already
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(END_TIME)
            while self._socket.recv(MAX_MESSAGE):
                pass
        self._socket.close()


def start_all(stack: ExitStack, workers: Sequence[WorkerProcess]) -> bool:
    """Start worker processes and leave their end to `stack`; whether all of them work.

    Where not, none is left. In a command it raises WorkerFailed instead.
    """
    with ExitStack() as started:
        try:
            for worker in workers:
                started.callback(worker.close)
                worker.launch()
            for worker in workers:
                worker.wait()
        except WorkerFailed:
            if is_owned():
                raise
            return False
        stack.push(started.pop_all())
    return True


def can_start() -> bool:
    """Whether this system has what worker processes need: Linux, and an interpreter to start."""
    frozen = getattr(sys, "frozen", False)
    return sys.platform == "linux" and not frozen and bool(multiprocessing.spawn.get_executable())


def serve(control: int, host: int) -> None:
    """Run in the server: fork a worker process for each request on the socket `control`.

    It ends when the socket's other end closes. host: the process that asks, which may die while a
    copy of its end of the socket lives on.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the host alone answers Ctrl-C
    channel = socket.socket(fileno=control)
    waiting = _poller(channel)
    while is_alive(host):
        if not waiting.poll(1000 * HOST_CHECK):
            continue
        try:
            module, files, _, _ = socket.recv_fds(channel, MAX_MESSAGE, 3)
        except OSError:
            return
        if not module:
            return
        with suppress(Exception):  # once for all workers; where it fails, the worker says so
            import_module(module.decode())
        try:
            pid = os.fork()
        except OSError as error:
            with socket.socket(fileno=files.pop(0)) as other:
                other.send(f"{error.strerror}".encode())
            pid = -1
        if pid == 0:
            try:
                channel.close()
                live(*files)
            finally:
                os._exit(0)
        for each in files:
            os.close(each)


def live(channel_file: int, memory: int, request: int) -> None:
    """Run in a process that the server has forked: do what `_Server.start` asks for.

    It answers numbers until the channel or the host ends.
    """
    channel = socket.socket(fileno=channel_file)
    try:
        with os.fdopen(request, "rb") as file:
            host, shapes = pickle.load(file)
            serve = pickle.load(file)(_mapped(memory, shapes))
    except BaseException as error:
        channel.send(f"{type(error).__name__}: {error}".encode()[:MAX_MESSAGE])
        return
    channel.send(str(os.getpid()).encode())
    channel.settimeout(HOST_CHECK)
    while True:
        try:
            message = _receive(channel)
        except OSError as error:
            if isinstance(error, TimeoutError) and is_alive(host):
                continue
            return
        if not message:
            return
        answer = SUCCESS
        try:
            serve(int.from_bytes(message, "little", signed=True))
        except Exception as error:
            answer = f"{type(error).__name__}: {error}".encode()[:1000]
        channel.send(answer)


def is_alive(process: int) -> bool:
    """Whether a process lives. A socket does not tell while copies of its other end are open."""
    try:
        os.kill(process, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def _receive(channel: socket.socket) -> bytes:
    """Return the next message, polling for POLLING_TIME before sleeping; b"" at the end."""
    # A process that sleeps on its socket takes some tenths of a millisecond to wake on a virtual
    # machine, a twentieth of a training step. While it polls, any other process may have its core.
    until = time.perf_counter() + POLLING_TIME
    poll = _poller(channel)
    while not poll.poll(0) and time.perf_counter() < until:
        os.sched_yield()
    return channel.recv(MAX_MESSAGE)


def _poller(channel: socket.socket) -> "select.poll":
    """What tells whether a message waits; `select` knows no descriptors above 1,023."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    return poll


def _mapped(memory: int, shapes: Shapes) -> Arrays:
    """The arrays that lie one after the other in a memory file."""
    sizes = [math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in shapes.values()]
    *starts, end = np.cumsum([0, *(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes)]).tolist()
    total = max(end, ALIGNMENT)
    os.ftruncate(memory, total)
    buffer = mmap.mmap(memory, total)
    return {
        name: np.ndarray(shape, dtype, buffer, start)
        for (name, (shape, dtype)), start in zip(shapes.items(), starts, strict=True)
    }


def _cannot_start(error: Exception) -> WorkerFailed:
    reason = getattr(error, "strerror", None) or reason_of(error)
    return WorkerFailed(
        f"the system cannot start a worker process ({reason}); give fewer with --threads"
    )


class _Server:
    """A fresh interpreter that forks worker processes for this one."""

    def __init__(self) -> None:
        self._lock, self._host = threading.Lock(), os.getpid()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.end)

    def start(self, job: Job, shapes: Shapes, files: list[int]) -> None:
        """Have a worker process started, or raise an error; files: its channel and its memory."""
        with open(os.memfd_create("lenet_xp"), "w+b") as request, self._lock:
            pickle.dump((os.getpid(), shapes), request)
            pickle.dump(job, request)
            request.seek(0)
            module = getattr(job, "func", job).__module__  # a partial has its function's
            asked = [module.encode()], [*files, request.fileno()]
            try:
                socket.send_fds(self._running(), *asked)
            except OSError:  # somebody ended it
                self.end()
                socket.send_fds(self._running(), *asked)

    def end(self) -> None:
        """End the server; its workers go on until their channels close."""
        if os.getpid() != self._host:  # this is a fork of it, whose parent needs the server
            return
        if self._control is not None:
            with suppress(OSError), self._control:
                self._control.shutdown(socket.SHUT_RDWR)  # a child of the host may have a copy
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_TIME)
        self._control = self._process = None

    def _running(self) -> socket.socket:
        if self._control is None:
            control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with other:
                path = [each for each in sys.path if isinstance(each, str)]  # as Python itself does
                how = json.dumps([path, other.fileno(), self._host])
                self._process = subprocess.Popen(
                    [multiprocessing.spawn.get_executable(), "-c", PROGRAM, how],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=os.environ | ONE_THREAD,
                    pass_fds=[other.fileno()],
                    start_new_session=True,  # Ctrl-C is for the host alone
                )
            self._control = control
        return self._control


@cache
def _server(process: int) -> _Server:
    """The server of a process, this one: a forked host does not use its parent's."""
    return _Server()
