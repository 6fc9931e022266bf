"""Requests to the demo's server: odd ones, broken ones, and sound ones with hostile pictures."""

from random import Random

from fuzzing import images
from fuzzing.mutate import mutated

HOST = b"HOST"  # stands for the server's own name and port until they are known

TARGETS = (
    *("/read", "/read?height=0.5", "/read?height=", "/read?height=9.9&height=x", "/read/"),
    *("/", "/page.js", "/letters", "/letters.ttf", "/../server.py", "/%2e%2e/x", "/page.js%00"),
    *("/?token=", "/?token=x", "/model.json?x", "/model.bin", "/worker.js"),
    *("/?" + "token=yaz&" * 400, "/" + "x" * 5000, "http://127.0.0.1/read", "/\x80\xff"),
    *("//read", "*", ""),
)
METHODS = ("GET", "GET", "POST", "POST", "PUT", "OPTIONS", "TRACE", "get", "G T", "")
HEADERS = (
    *("Origin: http://elsewhere", "Origin: null", "Sec-Fetch-Site: cross-site", "Host: elsewhere"),
    *("Content-Length: 3", "Content-Length: -1", "Content-Length: 99999999999999", "Connection: x"),
    *("Transfer-Encoding: chunked", "Expect: 100-continue", "Connection: close", "no colon", ": x"),
    *("x: " + "y" * 17_000, "\r\n".join(f"x{n}: y" for n in range(150)), " folded", "x: \x00\xff"),
)


def honest(picture: bytes, target: str = "/read?height=0.9") -> bytes:
    """The page's own question about a picture."""
    return _request("POST", target, [], picture)


def hostile(rng: Random) -> tuple[bytes, str]:
    """What is sent on one connection, and what is odd about it."""
    _, picture, words = images.hostile(rng) if rng.random() < 0.8 else images.page(rng)
    drawn = rng.random()
    if drawn < 0.4:
        return honest(picture), words
    if drawn < 0.7:
        sent, words = b"", []
        for _ in range(rng.choice((1, 1, 2, 5))):
            method, target = rng.choice(METHODS), rng.choice(TARGETS)
            odd = rng.sample(HEADERS, rng.choice((0, 1, 1, 2)))
            sent += _request(method, target, odd, rng.choice((b"", picture)))
            words.append(f"{method} {target[:40]!r} {[each[:20] for each in odd]}")
        return sent, "; ".join(words)
    head, _, body = honest(picture).partition(b"\r\n\r\n")
    head, words = mutated(rng, head)
    return head + b"\r\n\r\n" * rng.choice((0, 1, 1, 1)) + body, f"head: {words}"


def _request(method: str, target: str, odd: list[str], body: bytes) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {HOST.decode()}", *odd]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
