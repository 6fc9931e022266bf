"""The lessons' text, in English and French cell by cell, and what is made of it.

A lesson is one file of blocks, each after a line `%% kind`. `en` and `fr` are words, `code`,
`exercise`, `check` and `solution` are Python, in which ⟦word|mot⟧ gives each language its own.
`setup` stands for setup.md, `drawing` for drawing.py, and @name@ in code for what `records` gives.
"""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lenet_xp.errors import InputError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LANGUAGES = ("en", "fr")
NUMBERS = (1, 2, 3, 4)
KINDS = (*LANGUAGES, "code", "exercise", "check", "solution")
HEAD = {
    "en": "# Solutions\n\nFirst try each exercise yourself. Then copy a solution into its cell.",
    "fr": "# Solutions\n\nCherche d'abord chaque exercice toi-même. Copie ensuite la solution dans "
    "sa cellule.",
}
LESSON, EXERCISE = {"en": "Lesson", "fr": "Leçon"}, {"en": "Exercise", "fr": "Exercice"}
WORDS = re.compile(r"⟦(?P<en>[^|⟧]*)\|(?P<fr>[^⟧]*)⟧")
AT = re.compile(r"@(\w+)@")
COLUMNS = ("writer", "images", "errors")
BLOCK = re.compile(r"^%% (\w+) ?([\d.]*)\n(.*?)(?=^%% |\Z)", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """kind: en, fr, code, exercise, check or solution. label: of an exercise, as in "1.2"."""

    kind: str
    label: str
    text: str


def blocks(name: str) -> Iterator[Block]:
    """The blocks of a lesson's file, with those that it takes from others."""
    text = (HERE / "lessons" / f"{name}.md").read_text(encoding="utf-8")
    if not text.startswith("%% "):
        raise InputError(f"{name}.md: begins without a line such as %% en")
    filled = records()
    for kind, label, body in BLOCK.findall(text):
        if kind == "setup":
            yield from blocks("setup")
        elif kind == "drawing":
            yield Block("code", "", drawing())
        elif kind not in KINDS:
            raise InputError(f"{name}.md: there is no kind %% {kind}; they are {', '.join(KINDS)}")
        else:
            yield Block(kind, label, AT.sub(lambda found: filled[found[1]], body.strip("\n")))


def drawing() -> str:
    """The code of drawing.py, which lessons show without its docstring."""
    _, _, code = (HERE / "drawing.py").read_text(encoding="utf-8").split('"""', 2)
    return code.replace("  # type: ignore[no-untyped-def]", "").strip()


def records() -> dict[str, str]:
    """What stands at @name@ in code, from the committed records of AMHCD.

    writers: number, letters and errors of each writer, never seen in training. known_writers: the
    share of errors where a random split put the same writers on both sides.
    """
    rows, results = [], ROOT / "results"
    for path in sorted((results / "writers-amhcd").glob("fold-*/per_writer.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows += [tuple(int(r[k]) for k in COLUMNS) for r in csv.DictReader(file)]
    texts = ["{:2} {:3} {:2}".format(*row) for row in sorted(rows)]
    lines = ["    ".join(texts[start : start + 6]) for start in range(0, len(texts), 6)]
    seeds = json.loads((results / "seeds-amhcd" / "summary.json").read_text(encoding="utf-8"))
    errors = 1 - seeds["metrics"]["test_accuracy"]["mean"]
    return {"writers": "\n".join(lines), "known_writers": f"{errors:.4f}"}


def translated(text: str, language: str) -> str:
    """Code with one language's words."""
    return WORDS.sub(lambda found: found[language], text)


def cells(number: int, language: str, solved: bool = False) -> Iterator[tuple[str, str]]:
    """The cells of a lesson: "markdown" or "code", and the text.

    solved: after each check, the solution and the check once more.
    """
    asked = Block("", "", "")
    for block in blocks(str(number)):
        text = translated(block.text, language)
        if block.kind in LANGUAGES:
            if block.kind == language:
                yield "markdown", block.text
        elif block.kind != "solution":
            yield "code", text
            asked = block if block.kind == "check" else asked
        elif block.label != asked.label:
            raise InputError(f"{number}.md: solution {block.label} does not follow its check")
        elif solved:
            yield "code", text
            yield "code", translated(asked.text, language)


def notebook(number: int, language: str) -> dict[str, Any]:
    """A lesson as a notebook without outputs."""
    made: list[dict[str, Any]] = []
    for place, (kind, text) in enumerate(cells(number, language)):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"{language}-{number}-{place:02}"}
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        hidden = {"jupyter": {"source_hidden": True}} if text == drawing() else {}
        made.append(cell | {"metadata": hidden, "source": text.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": made, "metadata": about, "nbformat": 4, "nbformat_minor": 5}


def solutions(language: str) -> str:
    """The solutions of all lessons, in Markdown."""
    parts = [HEAD[language]]
    for number in NUMBERS:
        parts.append(f"## {LESSON[language]} {number}")
        for block in blocks(str(number)):
            if block.kind == "solution":
                code = translated(block.text, language)
                parts.append(f"### {EXERCISE[language]} {block.label}\n\n```python\n{code}\n```")
    return "\n\n".join(parts) + "\n"
