"""The report as a PDF, by pandoc and Typst; both are wheels on PyPI, and neither needs TeX."""

import hashlib
import os
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from lenet_xp.errors import InputError
from lenet_xp.system.files import atomic_write

# GitHub's own Markdown, formulas included.
MARKDOWN = "gfm+tex_math_gfm-yaml_metadata_block"
ABSENT = "needs pypandoc_binary and typst; install them with pip install '.[report]'"

Typesetter = Callable[[str, Path], bytes]


def typesetter() -> Typesetter:
    """Return a function (Markdown, folder that its links start from) -> bytes of a PDF.

    Raises InputError where its packages are not installed.
    """
    try:
        import pypandoc
        import typst

        pypandoc.get_pandoc_version()
    except (ImportError, OSError) as error:  # OSError: pypandoc without pandoc
        raise InputError(f"--pdf {ABSENT}") from error

    def typeset(text: str, base: Path) -> bytes:
        body = pypandoc.convert_text(text, "typst", format=MARKDOWN)
        page = files(__package__).joinpath("page.typ").read_text(encoding="utf-8")
        source = page.replace("DIGEST", digest(text)) + _rooted(body, base)
        # Without a date, the same text gives the same file.
        root, fonts = base.resolve().anchor, [_font_folder()]
        compiled: bytes = typst.compile(source.encode(), root=root, font_paths=fonts, timestamp=0)
        return compiled

    return typeset


def digest(text: str) -> str:
    """Return the digest of the Markdown, which its PDF bears."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def write_pdf(text: str, path: str | os.PathLike[str], typeset: Typesetter) -> None:
    """Write Markdown as a PDF; its links start from the folder of `path`. Raises InputError."""
    pdf = typeset(text, Path(path).parent)
    with atomic_write(path) as handle:
        handle.write(pdf)


def _rooted(body: str, base: Path) -> str:
    """The body with absolute paths of pictures, for Typst compiles the text in no folder."""

    def whole(found: re.Match[str]) -> str:
        path = (base / found[1]).resolve()
        return f'image("/{path.relative_to(path.anchor).as_posix()}"'

    return re.sub(r'image\("([^"]+)"', whole, body)


def _font_folder() -> str:
    """matplotlib's fonts, whose DejaVu Sans holds Tifinagh."""
    from matplotlib import get_data_path

    return str(Path(get_data_path()) / "fonts" / "ttf")
