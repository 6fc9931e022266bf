"""The demo's server: the page's files, and what is in a photo that is posted to /read.

Python's http.server speaks HTTP, in a thread for each connection, which is for one request. Here
are the bounds, and who may ask: this machine, and who opened an address with a secret in it.
"""

import json
import mimetypes
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus as Status
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from lenet_xp.errors import InputError
from lenet_xp.system.streams import say

HOST = "127.0.0.1"
LOOPBACK = re.compile(r"(([\w.-]+\.)?localhost|(::ffff:)?127(\.\d+){3}|\[?::1\]?)(:\d+)?", re.A)
SECURITY = {  # all comes from here, and nothing may show it in a frame of its own
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Address = tuple[str, int]
Read = Callable[[bytes], dict[str, Any]]
Told = Callable[[str], None]


class Refused(Exception):
    """A request that gets an error; the arguments are status, reason and headers."""


class _Talk(BaseHTTPRequestHandler):
    """One connection with its request."""

    server: "Server"
    default_request_version = request_version = "HTTP/1.0"
    command = ""

    def handle(self) -> None:
        with suppress(OSError):  # the client left, or took no answer
            try:
                self.handle_one_request()
            except Refused as refused:
                status, reason, *headers = refused.args
                self._send(status, {"error": reason}, *headers)
                self.connection.shutdown(socket.SHUT_WR)
                self.connection.settimeout(1)
                until = time.monotonic() + 1  # so that it can read why, whatever it still sends
                while time.monotonic() < until and self.connection.recv(2**16):
                    pass

    def send_error(self, code: int, message: str | None = None, explain: Any = None) -> None:
        raise Refused(code, (message or Status(code).phrase)[:200])

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        given, (self._path, _, query) = self.headers, self.path.partition("?")
        length, host = given.get("content-length", "0"), given.get("host", "").lower()
        if not re.fullmatch("[0-9]{1,15}", length) or "transfer-encoding" in given:
            raise Refused(Status.BAD_REQUEST, "send a body in one piece, with its length")
        self._length = int(length)
        if not (LOOPBACK.fullmatch(host) and LOOPBACK.fullmatch(self.client_address[0])):
            token = query if self.command == "GET" else ""  # a preview must not use it up
            self.server.check_guest(token, given.get("cookie", ""))
        origin, site = given.get("origin", f"http://{host}"), given.get("sec-fetch-site")
        strange = origin.lower() != f"http://{host}" or site not in (None, "same-origin")
        if self.command == "POST" and strange:
            raise Refused(Status.FORBIDDEN, "pages of other sites are not served")
        return True

    def do_GET(self) -> None:
        name = self._path.removeprefix("/") or "index.html"
        if name not in self.server.files:
            raise Refused(Status.NOT_FOUND, "there is no such page")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        self._send(Status.OK, self.server.files[name], ("Content-Type", kind))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        if self._path != "/read":
            raise Refused(Status.NOT_FOUND, "photos go to /read")
        if self._length > self.server.body:
            most = f"at most {self.server.body // 2**20} MB are read at once"
            raise Refused(Status.REQUEST_ENTITY_TOO_LARGE, most)
        photo = self.rfile.read(self._length)
        if len(photo) < self._length:
            raise Refused(Status.REQUEST_TIMEOUT, "the photo arrived too slowly")
        try:
            with self.server.turns:
                answer = self.server.read(photo)
        except InputError as error:
            raise Refused(Status.UNPROCESSABLE_ENTITY, str(error)) from error
        except Exception as error:  # a bug of ours or no memory: it ends one answer, not the server
            say(f"error: {error!r}")
            raise Refused(Status.INTERNAL_SERVER_ERROR, "see the demo's terminal") from error
        self._send(Status.OK, answer)

    def _send(self, status: int, answer: Any, *given: tuple[str, str]) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        own = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        self.send_response_only(status)
        for name, value in (SECURITY | own | dict(given)).items():
            self.send_header(name, value)
        self.connection.settimeout(self.server.patience)  # for all of the answer
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Server(ThreadingMixIn, TCPServer):
    """Serves files and reads photos until `shutdown`; a context that ends in peace.

    read: what is in a photo; raises InputError. at: address and port of this machine. opened: told
    the end of each address that admits one client from elsewhere; without it none may come.
    """

    connections = 128  # open at once
    body = 32 * 2**20  # bytes: of a photo
    patience = 15.0  # seconds: for a request to arrive, and for its answer to be taken
    allow_reuse_address, request_queue_size = True, 128

    def __init__(self, files: Mapping[str, bytes], read: Read, at: Address, opened: Told | None):
        self.files, self.read, self._opened = files, read, opened
        self.turns = threading.Semaphore(2)  # photos read at once
        self._tokens, self._keys, self._talks = set[str](), set[str](), dict[socket.socket, float]()
        self.address_family = socket.AF_INET6 if ":" in at[0] else socket.AF_INET
        try:
            super().__init__(at, _Talk)
        except OSError as error:
            problem = f"port {at[1]} of {at[0]} cannot be used ({error.strerror or error})"
            raise InputError(f"{problem}; --port 0 takes any that is free") from error
        self._invite()

    def _invite(self) -> None:
        if self._opened:
            self._tokens.add(token := secrets.token_urlsafe(16))
            self._opened(f":{self.server_address[1]}/?token={token}")

    def check_guest(self, query: str, cookies: str) -> None:
        """Refuse who has no key; who opens the address with the unused token gets one."""
        if {*re.findall(r"lenet_xp=([\w-]+)", cookies)} & self._keys:
            return
        with suppress(KeyError):
            self._tokens.remove(query.removeprefix("token="))  # of two threads only one can
            self._invite()
            self._keys.add(key := secrets.token_urlsafe(16))
            cookie = "Set-Cookie", f"lenet_xp={key}; Path=/; HttpOnly; SameSite=Lax"
            raise Refused(Status.SEE_OTHER, "go on", ("Location", "/"), cookie)
        raise Refused(Status.MISDIRECTED_REQUEST, "open the address in the terminal; it works once")

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more; if not, it is closed."""
        self._talks[request] = time.monotonic() + self.patience
        return len(self._talks) <= self.connections

    def service_actions(self) -> None:
        """End, as the loop of `serve_forever` goes round, requests that arrive too slowly."""
        now = time.monotonic()
        for request, until in list(self._talks.items()):
            if now > until:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RD)

    def shutdown_request(self, request: Any) -> None:
        self._talks.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        say("error: a client could not be served")

    def server_close(self) -> None:
        """Let go of the port and of all clients, once what is being read has been read."""
        for each in list(self._talks):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        super().server_close()
