"""The server that forks worker processes for a program with threads; see `processes.py`.

It runs in a fresh interpreter and has one thread, so a fork copies no lock that is held.
"""

import os
import signal
import socket
from contextlib import suppress
from importlib import import_module

from lenet_xp.system.processes import HOST_CHECK, MAX_MESSAGE, is_alive, live_as_asked, poller


def serve(control: int, host: int) -> None:
    """Fork a worker process for each request on the socket `control`, until its other end closes.

    host: the process that asks. It may die while a copy of its end of the socket lives on.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the host alone answers Ctrl-C
    channel = socket.socket(fileno=control)
    waiting = poller(channel)
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
                live_as_asked(*files)
            finally:
                os._exit(0)
        for each in files:
            os.close(each)
