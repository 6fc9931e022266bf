"""HTTP/1.1 as far as the page needs it: requests read within limits, answers in bytes.

RFC 9112. Nothing is guessed: what is ambiguous, or not needed here, is refused.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException, parse_headers
from io import BytesIO
from typing import Any

MAX_HEAD = 16 * 2**10  # bytes, of the request line and all headers

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


class Refused(Exception):
    """A request that is not served: the status and one line that says why."""

    def __init__(self, status: HTTPStatus, reason: str, headers: Mapping[str, str] | None = None):
        super().__init__(reason)
        self.status, self.headers = status, dict(headers or {})


@dataclass(frozen=True)
class Head:
    """A request without its body: method, target, headers by lower-case name, body's length."""

    method: str
    target: str
    headers: Mapping[str, str]
    length: int
    lasting: bool

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True)
class Answer:
    """What goes back: a body, its media type, status and further headers."""

    body: bytes
    kind: str
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


async def read_head(stream: asyncio.StreamReader, first: bytes = b"") -> Head:
    """The next request's head, after the `first` bytes of it that are read already.

    Raises Refused, and asyncio.IncompleteReadError where the other side has left.
    """
    try:
        head = first + await stream.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        raise Refused(status, f"a request's head has at most {MAX_HEAD:,} bytes") from error
    line, _, rest = head.partition(b"\r\n")
    words = line.decode("latin-1").split(" ")
    if len(words) != 3 or not words[0].isalpha() or not words[1].startswith("/"):
        raise Refused(HTTPStatus.BAD_REQUEST, "this is no HTTP request")
    method, target, version = words
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is spoken here")
    headers = _headers(rest)
    lasting = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return Head(method, target, headers, _length(headers), lasting)


def _headers(text: bytes) -> dict[str, str]:
    """Headers by lower-case name; each at most once, for two of one name could disagree."""
    try:
        parsed = parse_headers(BytesIO(text))
    except HTTPException as error:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        raise Refused(status, "the request has too many headers") from error
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


def refusal(refused: Refused) -> Answer:
    """The answer that says why a request is not served."""
    answer = as_json({"error": str(refused)}, refused.status)
    return Answer(answer.body, answer.kind, answer.status, {**answer.headers, **refused.headers})


def encode(answer: Answer, lasting: bool, with_body: bool = True) -> bytes:
    """An answer's bytes; lasting: whether the connection stays open behind it."""
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
