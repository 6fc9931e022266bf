"""The page's files and the two questions that it asks: what is this, and how is that written."""

import re
from collections.abc import Callable
from http import HTTPStatus
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.demo.server import Answer, Head, Refused, as_json
from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letter
from lenet_xp.letters.handwriting import SIZE, hands, write
from lenet_xp.letters.strokes import SHAPES

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
}
FONT = "mpl-data/fonts/ttf/DejaVuSans.ttf"  # matplotlib's own, which holds all 33 letters


class Site:
    """Answers requests: files by their exact names, POST /read, GET /letters and /strokes.

    read: from an image file's bytes, and the height of the writing in heights of a letter where
    it is known, to what the page is told; raises InputError for bad ones.
    """

    def __init__(
        self, read: Callable[[bytes, float | None], dict[str, Any]], class_names: tuple[str, ...]
    ):
        self._read = read
        self._files = _files()
        known = [letter(name) for name in class_names]
        self._letters = as_json([{**vars(each), "written": each.name in SHAPES} for each in known])

    def __call__(self, head: Head, body: bytes) -> Answer:
        """The answer to a request; raises Refused for whatever is not served."""
        if head.path == "/read":
            _allow(head, "POST")
            return self._reading(body, _height(head.query))
        if head.path in self._files:
            _allow(head, "GET", "HEAD")
            return self._files[head.path]
        if head.path == "/letters":
            _allow(head, "GET", "HEAD")
            return self._letters
        if head.path == "/strokes":
            _allow(head, "GET", "HEAD")
            return _strokes(head.query)
        raise Refused(HTTPStatus.NOT_FOUND, "there is no such page")

    def _reading(self, body: bytes, height: float | None) -> Answer:
        try:
            return as_json(self._read(body, height))
        except InputError as error:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        except MemoryError as error:
            status = HTTPStatus.SERVICE_UNAVAILABLE
            raise Refused(status, "out of memory; give a smaller picture") from error


def _files() -> dict[str, Answer]:
    """Every file that is served, by its path: no request reaches the disk."""
    served = {}
    for file in files(__package__).joinpath("page").iterdir():
        kind = KINDS.get(Path(file.name).suffix)
        if kind is not None:
            answer = Answer(file.read_bytes(), kind, headers={"Cache-Control": "no-cache"})
            served[f"/{file.name}"] = answer
    served["/"] = served["/index.html"]
    font = Path(str(_matplotlib())) / FONT
    if font.is_file():
        lasting = {"Cache-Control": "max-age=86400"}
        served["/letters.ttf"] = Answer(font.read_bytes(), KINDS[".ttf"], headers=lasting)
    return served


def _matplotlib() -> Path:
    """matplotlib's folder, found without the third of a second that importing it takes."""
    spec = find_spec("matplotlib")
    return Path(spec.origin).parent if spec and spec.origin else Path()


def _allow(head: Head, *methods: str) -> None:
    if head.method not in methods:
        allowed = ", ".join(methods)
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"use {allowed}", {"Allow": allowed})


def _height(query: str) -> float | None:
    text = _values(query).get("height")
    if text is not None and not re.fullmatch(r"\d\.\d{1,6}", text, re.ASCII):
        raise Refused(HTTPStatus.BAD_REQUEST, "height is a number such as 0.5")
    return None if text is None else float(text)


def _values(query: str) -> dict[str, str]:
    return dict(each.partition("=")[::2] for each in query.split("&"))


def _strokes(query: str) -> Answer:
    values = _values(query)
    name, number = values.get("letter", ""), values.get("number", "0")
    if name not in SHAPES:
        raise Refused(HTTPStatus.NOT_FOUND, "there is no such letter")
    if not (number.isascii() and number.isdigit() and len(number) < 12 and int(number) < MOST):
        raise Refused(HTTPStatus.BAD_REQUEST, f"number is a whole number below {MOST:,}")
    return as_json(pen_strokes(name, int(number)))


MOST = 2**31  # examples of each letter


def pen_strokes(name: str, number: int) -> list[list[list[float]]]:
    """The strokes of one handwritten letter: [x, y] points in fractions of AMHCD's frame, y down.

    number: which example of the letter; the same one is the same again. Raises KeyError for a
    name that is not in the alphabet.
    """
    shape = SHAPES[name]
    writer, moment = (np.random.default_rng([number, part]) for part in range(2))
    ((_, points),) = write(shape, hands(writer, moment, 1), moment)
    strokes: list[list[list[float]]] = (points[0] / SIZE).round(4).tolist()
    return strokes
