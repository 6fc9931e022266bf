"""A small web server for one machine: bounded in connections, bytes and time.

One thread speaks to all clients and never waits for one of them; answers are computed in a few
others. Whatever a client sends, it gets an answer or its connection is closed.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException, parse_headers
from io import BytesIO
from typing import Any

from lenet_xp.errors import InputError
from lenet_xp.system.streams import say

MAX_HEAD = 16 * 2**10  # bytes: of the request line and all headers
HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
THREADS = 4  # threads: that compute answers
TOO_LARGE = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE

# Everything comes from this server and nothing may show its pages in a frame of its own.
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "font-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


@dataclass(frozen=True)
class Head:
    """A request without its body."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]  # by lower-case name
    length: int  # bytes: of the body
    lasting: bool  # whether the client keeps the connection open


@dataclass(frozen=True)
class Answer:
    """What goes back: a body, its media type, status and further headers."""

    body: bytes
    kind: str
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


async def read_head(stream: asyncio.StreamReader, first: bytes = b"") -> Head:
    """The head of a request whose `first` bytes are read; Refused, or IncompleteReadError."""
    try:
        head = first + await stream.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise Refused(TOO_LARGE, f"a request's head has at most {MAX_HEAD:,} bytes") from error
    line, _, rest = head.partition(b"\r\n")
    words = line.decode("latin-1").split(" ")
    if len(words) != 3 or not words[0].isalpha() or not words[1].startswith("/"):
        raise Refused(HTTPStatus.BAD_REQUEST, "this is no HTTP request")
    method, target, version = words
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is spoken here")
    headers = _headers(rest)
    lasting = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    path, _, query = target.partition("?")
    return Head(method, path, query, headers, _length(headers), lasting)


def _headers(text: bytes) -> dict[str, str]:
    """Headers by lower-case name; each at most once, for two of one name could disagree."""
    try:
        parsed = parse_headers(BytesIO(text))
    except HTTPException as error:
        raise Refused(TOO_LARGE, "the request has too many headers") from error
    names = [name.lower() for name in parsed]
    if parsed.defects or len(set(names)) != len(names):
        raise Refused(HTTPStatus.BAD_REQUEST, "the request's headers are malformed")
    return dict(zip(names, parsed.values(), strict=True))


def _length(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise Refused(HTTPStatus.NOT_IMPLEMENTED, "send the body in one piece, with its length")
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Refused(HTTPStatus.BAD_REQUEST, "Content-Length is no length")
    return int(text)


def as_json(value: Any, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> Answer:
    """An answer that holds a value as JSON and is not kept by anybody."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    kept = {"Cache-Control": "no-store", **headers}
    return Answer(body, "application/json; charset=utf-8", status, kept)


class Refused(Exception):
    """A request that is not served; `answer` says why in one line."""

    def __init__(self, status: HTTPStatus, reason: str, **headers: str):
        super().__init__(reason)
        self.answer = as_json({"error": reason}, status, **headers)


Respond = Callable[[Head, bytes], Answer]


def encode(answer: Answer, lasting: bool, with_body: bool = True) -> bytes:
    """The bytes of an answer; lasting: whether the connection stays open."""
    headers = {
        "Content-Type": answer.kind,
        "Content-Length": str(len(answer.body)),
        "Connection": "keep-alive" if lasting else "close",
        **SECURITY,
        **answer.headers,
    }
    lines = [f"HTTP/1.1 {answer.status.value} {answer.status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body * with_body


@dataclass(frozen=True)
class Limits:
    """What a client may take."""

    connections: int = 128  # open at once; one more is refused and closed
    body: int = 32 * 2**20  # bytes: of a request's body
    small: int = 512 * 2**10  # bytes: bodies up to this size need not take turns
    photos: int = 2  # larger bodies at once
    patience: float = 15.0  # seconds: for a request to arrive, and for its answer to be taken
    idle: float = 60.0  # seconds: between two requests on one connection


class Server:
    """Serves this machine alone. respond: called in several threads, may raise Refused."""

    def __init__(self, respond: Respond, limits: Limits | None = None):
        self._respond, self._limits = respond, limits or Limits()
        self._talks: set[asyncio.Task[Any] | None] = set()  # one for each connection
        self._names: frozenset[str] = frozenset()

    async def serve(self, port: int, started: Callable[[int], None]) -> None:
        """Serve until cancelled; `started` is told the port. InputError where it cannot be had."""
        self._photos = asyncio.Semaphore(self._limits.photos)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_say)
        try:
            server = await asyncio.start_server(self._talk, HOST, port, limit=MAX_HEAD, backlog=128)
        except OSError as error:
            raise InputError(
                f"port {port} cannot be used ({error.strerror or error}); give another with "
                "--port, or --port 0 for any that is free"
            ) from error
        self._pool, self._ending = ThreadPoolExecutor(THREADS, "reader"), False
        try:
            port = server.sockets[0].getsockname()[1]
            bare = NAMES if port == 80 else ()
            self._names = frozenset([*(f"{name}:{port}" for name in NAMES), *bare])
            started(port)
            await loop.create_future()
        finally:
            self._ending = True  # for connections whose task has not begun
            server.close()
            # They end before the pool does: none may ask it for an answer then.
            talks = [talk for talk in self._talks if talk is not None]
            for talk in talks:
                talk.cancel()
            await asyncio.gather(*talks, return_exceptions=True)
            self._pool.shutdown(cancel_futures=True)

    async def _talk(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first request to its end."""
        self._talks.add(asyncio.current_task())
        try:
            if len(self._talks) > self._limits.connections:
                status = HTTPStatus.SERVICE_UNAVAILABLE
                wait = {"Retry-After": "1"}  # seconds
                busy = Refused(status, "too many connections; try again", **wait)
                await self._send(writer, encode(busy.answer, lasting=False))
                return
            while not self._ending and await self._exchange(stream, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left or was too slow (TimeoutError is an OSError), or the server ends
        finally:
            self._talks.discard(asyncio.current_task())
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _exchange(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether another may follow."""
        # Python 3.11's wait_for may swallow a cancellation; a timeout does not.
        async with asyncio.timeout(self._limits.idle):
            first = await stream.readexactly(1)
        head, served = None, False
        try:
            async with asyncio.timeout(self._limits.patience):
                head = await read_head(stream, first)
            answer = await self._answer(head, stream)
            served = True
        except Refused as refused:
            answer = refused.answer
        except TimeoutError:
            late = "the request took too long to arrive"
            answer = Refused(HTTPStatus.REQUEST_TIMEOUT, late).answer
        # What is left of a refused request would be taken for the next one.
        lasting = head is not None and head.lasting and served
        with_body = head is None or head.method != "HEAD"
        await self._send(writer, encode(answer, lasting, with_body))
        if not served:
            await self._see_off(stream, writer)
        return lasting

    async def _answer(self, head: Head, stream: asyncio.StreamReader) -> Answer:
        self._check_origin(head)
        if head.length > self._limits.body:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            raise Refused(status, f"at most {self._limits.body // 2**20} MB are read at once")
        async with self._photos if head.length > self._limits.small else nullcontext():
            async with asyncio.timeout(self._limits.patience):
                body = await stream.readexactly(head.length)
            loop = asyncio.get_running_loop()
            try:
                return await loop.run_in_executor(self._pool, self._respond, head, body)
            except Refused:
                raise
            except Exception as error:  # a bug of ours ends one answer, not the server
                say(f"error: {head.path[:80]!r}: {error!r}")
                status = HTTPStatus.INTERNAL_SERVER_ERROR
                raise Refused(status, "something went wrong here; see the terminal") from error

    def _check_origin(self, head: Head) -> None:
        """Refuse names that were made to point here, and what pages of other sites send."""
        if head.headers.get("host", "").lower() not in self._names:
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, "this server has another name")
        if head.method in ("GET", "HEAD"):  # a link from elsewhere may lead here
            return
        origin = head.headers.get("origin", head.headers["host"]).lower().removeprefix("http://")
        site = head.headers.get("sec-fetch-site", "same-origin")
        if origin not in self._names or site != "same-origin":
            raise Refused(HTTPStatus.FORBIDDEN, "pages of other sites are not served")

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        async with asyncio.timeout(self._limits.patience):
            await writer.drain()

    async def _see_off(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let the client read why before the connection is closed on what it still sends."""
        if writer.can_write_eof():
            writer.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(1.0, self._limits.patience)):
                while await stream.read(2**16):
                    pass


def _say(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What asyncio would print as a traceback, such as having run out of sockets, in one line."""
    say(f"error: {context.get('exception') or context.get('message')}")
