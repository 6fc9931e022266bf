"""List the studies, each with what it measures or makes."""

import ast
import sys
from pathlib import Path

from lenet_xp.commands.terminal import parser, run

FOLDER = Path(__file__).resolve().parent
EXAMPLES = """\
  python -m studies
      list the studies
  python -m studies.speed --help
      the options of one of them"""


def studies() -> dict[str, str]:
    """Return the first line of each study's docstring by the study's name, sorted by name.

    A study is a module of this folder, or a package of it that has a `__main__.py`.
    """
    files = {path.stem: path for path in FOLDER.glob("[!_]*.py")}
    files |= {path.parent.name: path for path in FOLDER.glob("*/__main__.py")}
    return {name: _first_line(files[name]) for name in sorted(files)}


def _first_line(file: Path) -> str:
    """The first docstring line of a file, which is not imported: some studies load slowly."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0]


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    parser("python -m studies", "List the studies.", EXAMPLES).parse_args(arguments)
    found = studies()
    width = max(map(len, found))
    for name, line in found.items():
        print(f"python -m studies.{name:<{width}}  {line}")


if __name__ == "__main__":
    sys.exit(run(main))
