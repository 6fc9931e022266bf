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
MAX_EXAMPLES = 2**31  # examples: of each letter
FONT = "mpl-data/fonts/ttf/DejaVuSans.ttf"  # matplotlib's own, which holds all 33 letters


class Site:
    """Answers requests: files by their exact names, POST /read, GET /letters and /strokes.

    read: tells of a picture's bytes, at a height of the writing if it is known; raises InputError.
    """

    def __init__(
        self, read: Callable[[bytes, float | None], dict[str, Any]], class_names: tuple[str, ...]
    ):
        self._read = read
        self._files = _files()
        known = [letter(name) for name in class_names]
        table = [{**vars(each), "written": each.name in SHAPES} for each in known]
        self._files["/letters"] = as_json(table)

    def __call__(self, head: Head, body: bytes) -> Answer:
        """The answer to a request; raises Refused for whatever is not served."""
        if head.path == "/read":
            _allow(head, "POST")
            try:
                return as_json(self._read(body, _height(head.query)))
            except InputError as error:
                raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
            except MemoryError as error:
                status = HTTPStatus.SERVICE_UNAVAILABLE
                raise Refused(status, "out of memory; give a smaller picture") from error
        if head.path not in self._files and head.path != "/strokes":
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such page")
        _allow(head, "GET", "HEAD")
        return self._files.get(head.path) or _strokes(head.query)


def _files() -> dict[str, Answer]:
    """Every file that is served, by its path: no request reaches the disk."""
    served = {}
    for file in files(__package__).joinpath("page").iterdir():
        if kind := KINDS.get(Path(file.name).suffix):
            answer = Answer(file.read_bytes(), kind, headers={"Cache-Control": "no-cache"})
            served[f"/{file.name}"] = answer
    served["/"] = served["/index.html"]
    spec = find_spec("matplotlib")  # importing it would take a third of a second
    font = Path(spec.origin if spec and spec.origin else "").parent / FONT
    if font.is_file():
        lasting = {"Cache-Control": "max-age=86400"}
        served["/letters.ttf"] = Answer(font.read_bytes(), KINDS[".ttf"], headers=lasting)
    return served


def _allow(head: Head, *methods: str) -> None:
    if head.method not in methods:
        allowed = ", ".join(methods)
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"use {allowed}", Allow=allowed)


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
    if not re.fullmatch(r"\d{1,11}", number, re.ASCII) or int(number) >= MAX_EXAMPLES:
        raise Refused(HTTPStatus.BAD_REQUEST, f"number is a whole number below {MAX_EXAMPLES:,}")
    return as_json(pen_strokes(name, int(number)))


def pen_strokes(name: str, number: int) -> list[list[list[float]]]:
    """The strokes of a letter's example `number`: [x, y] in fractions of AMHCD's frame, y down."""
    writer, moment = (np.random.default_rng([number, part]) for part in range(2))
    ((_, points),) = write(SHAPES[name], hands(writer, moment, 1), moment)
    return list((points[0] / SIZE).round(4).tolist())
