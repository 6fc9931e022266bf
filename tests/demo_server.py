"""The demo's server in a thread of the tests, clients that send bytes, and letters."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lenet_xp.demo.server import HOST, Server
from lenet_xp.letters.handwriting import SIZE, hands, write
from lenet_xp.letters.strokes import SHAPES
from lenet_xp.system.opencv import cv2

SIDE = 256


@contextmanager
def served(
    files: dict[str, bytes],
    read: Callable[[bytes], dict[str, Any]],
    opened: Callable[[str], None] | None = None,
    **limits: float,
) -> Iterator[int]:
    """A running server's port. limits: of its class, such as patience=0.4."""
    bounded = type("Bounded", (Server,), limits)
    with bounded(files, read, (HOST, 0), opened) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(30)
    assert not thread.is_alive()


def pen_strokes(name: str, number: int) -> list[list[list[float]]]:
    """The strokes of a letter's example `number`: [x, y] in fractions of AMHCD's frame, y down."""
    writer, moment = (np.random.default_rng([number, part]) for part in range(2))
    ((_, points),) = write(SHAPES[name], hands(writer, moment, 1), moment)
    return list((points[0] / SIZE).round(4).tolist())


class Client:
    """One connection, in bytes."""

    def __init__(self, port: int):
        self.port = port
        self.socket = socket.create_connection((HOST, port), timeout=60)
        self._left = b""  # of the next answer

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def send(self, line: str, body: bytes = b"", **headers: str | None) -> None:
        """Send one request; a header of None is left out, underscores become dashes."""
        given = {"Host": f"{HOST}:{self.port}", **headers}
        if body:
            given.setdefault("Content-Length", str(len(body)))
        lines = [f"{k.replace('_', '-')}: {v}" for k, v in given.items() if v is not None]
        head = "\r\n".join([f"{line} HTTP/1.1", *lines, "", ""])
        self.socket.sendall(head.encode("latin-1") + body)

    def receive(self, with_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers by lower-case name, and body; ConnectionError without answer."""
        data = self._left
        while b"\r\n\r\n" not in data:
            data += self._some()
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers["content-length"]) if with_body else 0
        while len(body) < length:
            body += self._some()
        self._left = body[length:]
        return int(first.split(" ")[1]), headers, body[:length]

    def _some(self) -> bytes:
        data = self.socket.recv(2**16)
        if not data:
            raise ConnectionError("closed")
        return data


def ask(port: int, line: str, body: bytes = b"", **headers: str | None):
    """Send one request on a connection of its own."""
    with Client(port) as client:
        client.send(line, body, **headers)
        return client.receive(with_body=not line.startswith("HEAD"))


def reason(answer: tuple[int, dict[str, str], bytes]) -> str:
    """The message of a refusal."""
    return json.loads(answer[2])["error"]


def written(name: str, number: int = 0) -> np.ndarray:
    """A letter in the middle of a larger sheet, dark on light, as the page sends it."""
    picture = np.full((SIDE, SIDE), 255, np.uint8)
    for stroke in pen_strokes(name, number):
        points = np.rint((np.array(stroke) * 130 + 63) * 16).astype(np.int32)
        cv2.polylines(picture, [points], False, 0, 6, cv2.LINE_AA, 4)
    return picture


def pgm(picture: np.ndarray) -> bytes:
    """A grey picture as a PGM file."""
    height, width = picture.shape
    return b"P5 %d %d 255\n" % (width, height) + picture.tobytes()
