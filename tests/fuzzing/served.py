"""The demo's server as a door: bytes on a connection, and what comes back in a command's terms."""

import json
import socket
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from demo_server import HOST, Client, ask, served

from fuzzing import requests
from lenet_xp.demo.reading import find_letters
from lenet_xp.demo.site import site_files
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.reader import Reader

PATIENCE = 20  # seconds without a word
BUG = 500  # the status of an answer that the server itself failed to give


class Demo:
    """A server that lives as long as its process."""

    def __init__(self, model: Path):
        saved = load_model(model, get_ops("numpy"))
        site = site_files(saved, photos=True), partial(find_letters, reader=Reader(saved))
        self._open = ExitStack()  # as long as this is held
        self._port = self._open.enter_context(served(*site))

    def asked(self, request: bytes) -> tuple[int | None, str]:
        """0 where every answer is a success, 2 where the last is a refusal, with its reason as a
        command would tell it; None, with what happened, where the server failed.
        """
        name = f"{HOST}:{self._port}".encode()
        try:
            statuses, reason = self._answers(request.replace(requests.HOST, name))
            well = ask(self._port, "GET /icon.svg")[0] == 200
        except (OSError, ValueError, KeyError) as error:  # silence, or what is no answer
            return None, f"{type(error).__name__}: {error}"
        if BUG in statuses or not well:
            return None, f"answers {statuses}, and is the next client served: {well}"
        return (2, f"error: {reason}\n") if reason else (0, "")

    def _answers(self, request: bytes) -> tuple[list[int], str]:
        statuses, reason = [], "no answer"
        with Client(self._port) as client:
            client.socket.settimeout(PATIENCE)
            sending = threading.Thread(target=_send, args=(client.socket, request), daemon=True)
            sending.start()
            try:
                while True:
                    status, _, body = client.receive()
                    statuses.append(status)
                    reason = json.loads(body)["error"] if status >= 400 else ""
            except ConnectionError:
                pass
            sending.join(PATIENCE)
        return statuses, reason


def _send(to: socket.socket, data: bytes) -> None:
    try:
        to.sendall(data)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the server has heard enough
