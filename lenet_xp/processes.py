"""A gradient worker in a process of its own, beside the interpreter lock.

Threads hand the lock over some seventy times a step, and where the machine is virtual each
handover may wait for a sleeping core. A forked process has a lock of its own, and all it exchanges
lies in shared memory. Each step costs two messages of a few bytes.
"""

import mmap
import multiprocessing
import signal
import sys
import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from lenet_xp.gradients import GradientWorker

OK = b"ok"


def can_fork() -> bool:
    """Whether this system forks safely; others train with threads."""
    return sys.platform == "linux"


class ForkedWorker:
    """Does what a `GradientWorker` does, in another process; a context manager.

    worker: what to run there; both vectors of its model lie in memory from `shared`. most: images
    in the largest share. The process ends with the context, and with its parent however that dies.
    """

    def __init__(self, worker: GradientWorker, most: int, size: int):
        self._worker = worker
        self.values, self.gradients = worker.model.values, worker.model.gradients
        self._images = shared((most, size, size), np.uint8)
        self._labels = shared((most,), np.int64)
        self._losses, self._hits = (shared((most,), self.values.dtype) for _ in range(2))
        self._scale = shared((1,), np.float64)

    def __enter__(self) -> "ForkedWorker":
        context = multiprocessing.get_context("fork")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=self._serve, args=(other,), daemon=True)
        # Ctrl-C is the parent's affair: the child is born deaf to it, and stays so.
        heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with warnings.catch_warnings():
                # Python warns of locks that other threads may hold; the child takes none of theirs.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)
        other.close()
        return self

    def __exit__(self, *error: object) -> None:
        self._pipe.close()  # the process reads the end of its orders, and leaves
        self._process.join()

    def begin(
        self, values: np.ndarray, images: np.ndarray, labels: np.ndarray, scale: float
    ) -> None:
        """Start on the gradients at `values` of images (N, S, S) uint8 with labels (N,)."""
        count = len(labels)
        self.values[...] = values
        self._images[:count], self._labels[:count], self._scale[0] = images, labels, scale
        self._send(count.to_bytes(4, "little"))

    def finish(self, losses: np.ndarray, hits: np.ndarray) -> None:
        """Wait for the gradients, fill in losses and hits (N,); RuntimeError if it failed."""
        try:
            answer = self._pipe.recv_bytes()
        except (EOFError, OSError):
            answer = b"it died"
        if answer != OK:
            raise RuntimeError(f"a worker process failed: {answer.decode(errors='replace')}")
        losses[...], hits[...] = self._losses[: len(losses)], self._hits[: len(hits)]

    def _send(self, order: bytes) -> None:
        try:
            self._pipe.send_bytes(order)
        except OSError as error:
            raise RuntimeError("a worker process failed: it died") from error

    def _serve(self, pipe: "multiprocessing.connection.Connection") -> None:
        """The process's life: orders in, gradients out, until the pipe ends."""
        self._pipe.close()
        with threadpool_limits(1, user_api="blas"):
            while True:
                try:
                    count = int.from_bytes(pipe.recv_bytes(), "little")
                except (EOFError, OSError):
                    return
                try:
                    self._worker.differentiate(
                        self._images[:count],
                        self._labels[:count],
                        float(self._scale[0]),
                        self._losses[:count],
                        self._hits[:count],
                    )
                    answer = OK
                except Exception as error:
                    answer = f"{type(error).__name__}: {error}".encode()[:1000]
                pipe.send_bytes(answer)


def shared(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array of zeros in memory that a process forked later shares."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(-1, max(size, 1)), dtype, int(np.prod(shape))).reshape(shape)
