"""The demo's server: the page's files, and what is in a photo that is posted to /read.

Python's http.server speaks HTTP, in a thread for each connection. Here are the bounds, in
connections, bytes and time, and who may ask: this machine, and who opened an address that is secret.
"""

import gzip
import io
import json
import mimetypes
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from http import HTTPStatus as Status
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from lenet_xp.errors import InputError
from lenet_xp.system.streams import say

HOST = "127.0.0.1"
LOOPBACK = re.compile(r"(localhost|[\w.-]*\.localhost|127(\.\d+){3}|\[::1\])(:\d+)?", re.I | re.A)
MAX_HEAD = 24 * 2**10  # bytes: of the request line and all headers
SMALL = 512 * 2**10  # bytes: of photos that need not take turns
SECURITY = {  # all comes from here, and nothing may show it in a frame of its own
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Refused(Exception):
    """A request that gets an error as its answer."""

    def __init__(self, status: int, message: str, **headers: str):
        super().__init__(message)
        self.status, self.headers = status, headers


class _Incoming(io.RawIOBase):
    """What a client sends: `left` bytes until a moment, that of `patience` after the first byte."""

    left, until, patience, begun = 0, 0.0, 0.0, False

    def __init__(self, connection: socket.socket):
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(max(self.until - time.monotonic(), 1e-3))
        try:
            count = self._connection.recv_into(buffer)
        except TimeoutError as error:
            if not self.begun:  # it asked nothing
                raise
            raise Refused(Status.REQUEST_TIMEOUT, "the request arrived too slowly") from error
        if not self.begun:
            self.begun, self.until = True, time.monotonic() + self.patience
        self.left -= count
        if self.left < 0:
            raise Refused(Status.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's head is too long")
        return count


class _Talk(BaseHTTPRequestHandler):
    """One connection."""

    server: "Server"
    protocol_version = default_request_version = request_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    command = ""

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._incoming = _Incoming(self.connection)
        self.rfile = io.BufferedReader(self._incoming)

    def handle(self) -> None:
        with suppress(OSError):  # the client left, or was too slow
            try:
                super().handle()
            except Refused as refused:
                self.close_connection = True  # the rest would be taken for the next request
                self._send(refused.status, {"error": str(refused)}, **refused.headers)
                self.connection.shutdown(socket.SHUT_WR)  # and let the client read why
                self._incoming.left, self._incoming.until = 2**40, time.monotonic() + 1
                with suppress(Refused):
                    while self._incoming.read(2**16):
                        pass

    def handle_one_request(self) -> None:
        incoming, server = self._incoming, self.server
        incoming.left, incoming.patience, incoming.begun = MAX_HEAD, server.patience, False
        incoming.until = time.monotonic() + server.idle
        super().handle_one_request()

    def send_error(self, code: int, message: str | None = None, explain: Any = None) -> None:
        raise Refused(code, (message or Status(code).phrase)[:200])

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        self._path, _, self._query = self.path.partition("?")
        names = [name.lower() for name in self.headers]
        if self.headers.defects or len(set(names)) != len(names):  # two of a name may disagree
            raise Refused(Status.BAD_REQUEST, "the request's headers are malformed")
        if "transfer-encoding" in names:
            raise Refused(Status.NOT_IMPLEMENTED, "send the body in one piece, with its length")
        if not re.fullmatch("[0-9]{1,15}", self.headers.get("content-length", "0")):
            raise Refused(Status.BAD_REQUEST, "Content-Length is no length")
        host = self.headers.get("host", "").lower()
        near = ip_address(self.client_address[0].removeprefix("::ffff:")).is_loopback
        if not (near and LOOPBACK.fullmatch(host)):  # else a name was made to point here
            self._check_stranger()
        site = self.headers.get("sec-fetch-site", "same-origin")
        origin = self.headers.get("origin", f"http://{host}").lower()
        if self.command == "POST" and (origin != f"http://{host}" or site != "same-origin"):
            raise Refused(Status.FORBIDDEN, "pages of other sites are not served")
        return True

    def _check_stranger(self) -> None:
        """Let in who has a key; give one to who opened the address with the unused token."""
        if {*re.findall(r"lenet_xp=([\w-]+)", self.headers.get("cookie", ""))} & self.server.keys:
            return
        if key := self.server.admitted(self._query.removeprefix("token=")):
            cookie = f"lenet_xp={key}; Path=/; HttpOnly; SameSite=Lax"
            raise Refused(Status.SEE_OTHER, "go on", Location="/", Set_Cookie=cookie)
        raise Refused(Status.MISDIRECTED_REQUEST, "open the address in the terminal; it works once")

    def do_GET(self) -> None:
        if self._path == "/read":
            raise Refused(Status.METHOD_NOT_ALLOWED, "use POST", Allow="POST")
        name = self._path.removeprefix("/") or "index.html"
        if name not in self.server.files or self.headers.get("content-length", "0") != "0":
            raise Refused(Status.NOT_FOUND, "there is no such page")
        packed = "gzip" in self.headers.get("accept-encoding", "")
        coding = {"Content-Encoding": "gzip"} if packed else {}
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        self._send(Status.OK, self.server.files[name][packed], Content_Type=kind, **coding)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        length, server = int(self.headers.get("content-length", "0")), self.server
        if self._path != "/read":
            raise Refused(Status.METHOD_NOT_ALLOWED, "use GET, HEAD", Allow="GET, HEAD")
        if length > server.body:
            most = f"at most {server.body // 2**20} MB are read at once"
            raise Refused(Status.REQUEST_ENTITY_TOO_LARGE, most)
        with server.large if length > SMALL else nullcontext():
            self._incoming.until, self._incoming.left = time.monotonic() + server.patience, 2**40
            body = self.rfile.read(length)
            try:
                answer = server.read(body) if len(body) == length else None
            except InputError as error:
                raise Refused(Status.UNPROCESSABLE_ENTITY, str(error)) from error
            except MemoryError as error:
                raise Refused(Status.SERVICE_UNAVAILABLE, "give a smaller picture") from error
            except Exception as error:  # a bug of ours ends one answer, not the server
                say(f"error: {error!r}")
                problem = "something went wrong here; see the terminal"
                raise Refused(Status.INTERNAL_SERVER_ERROR, problem) from error
        self._send(Status.OK, answer, Cache_Control="no-store")

    def _send(self, status: int, answer: Any, **given: str) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.connection.settimeout(self.server.patience)  # for all of the answer
        self.send_response_only(status)
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-cache",
            "Connection": "close" if self.close_connection else "keep-alive",
        }
        given = {name.replace("_", "-"): value for name, value in given.items()}
        for name, value in (headers | SECURITY | given).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Server(ThreadingMixIn, TCPServer):
    """Serves files and reads photos until `shutdown`; a context that ends in peace.

    read: what is in a photo, called in several threads; raises InputError. host: an address of this
    machine. opened: told each token that admits one client from elsewhere; without it none may.
    """

    connections = 128  # open at once; one more is refused and closed
    body = 32 * 2**20  # bytes: of a photo
    patience = 15.0  # seconds: for a request to arrive, and for its answer to be taken
    idle = 60.0  # seconds: between two requests on one connection
    allow_reuse_address, request_queue_size = True, 128

    def __init__(
        self,
        files: Mapping[str, bytes],
        read: Callable[[bytes], dict[str, Any]],
        host: str = HOST,
        port: int = 0,
        opened: Callable[[str], None] | None = None,
    ):
        self.files = {name: (body, gzip.compress(body)) for name, body in files.items()}
        self.read, self._opened, self.large = read, opened, threading.Semaphore(2)
        self.keys, self._tokens, self._talks = set[str](), set[str](), set[socket.socket]()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Talk)
        except OSError as error:
            raise InputError(
                f"port {port} of {host} cannot be used ({error.strerror or error}); give another "
                "with --port, or --port 0 for any that is free"
            ) from error

    def invite(self) -> None:
        """Make and tell the token of the next client from elsewhere."""
        if self._opened:
            self._tokens.add(token := secrets.token_urlsafe(16))
            self._opened(token)

    def admitted(self, token: str) -> str | None:
        """The key for a token that is used up now; None for any other."""
        with suppress(KeyError):
            self._tokens.remove(token)  # of two threads only one can
            self.invite()
            self.keys.add(key := secrets.token_urlsafe(16))
            return key
        return None

    def process_request(self, request: Any, client_address: Any) -> None:
        if len(self._talks) < self.connections:
            self._talks.add(request)
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.sendall(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
        self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        self._talks.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        say(f"error: {sys.exception()!r}")

    def server_close(self) -> None:
        """Let go of the port and of all clients, once what is being read has been read."""
        for each in list(self._talks):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        super().server_close()
