"""Write the course: four notebooks and their solutions, in English and French.

The source is studies/course/lessons. Outputs are left out: times and pictures differ from machine
to machine, and a student makes them.
"""

import json
import sys
from pathlib import Path

from lenet_xp.commands.terminal import made_folder, parser, run
from lenet_xp.system.files import write_text
from studies.course.lessons import LANGUAGES, NUMBERS, ROOT, notebook, solutions

EXAMPLES = """\
  python -m studies.course
      notebooks/en, notebooks/fr and notebooks/solutions"""


def texts() -> dict[str, str]:
    """Every file of the course by its path in notebooks/."""
    made = {f"solutions/{language}.md": solutions(language) for language in LANGUAGES}
    for language in LANGUAGES:
        for number in NUMBERS:
            text = json.dumps(notebook(number, language), indent=1, ensure_ascii=False)
            made[f"{language}/{number}.ipynb"] = text + "\n"
    return made


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser("python -m studies.course", __doc__, EXAMPLES)
    p.add_argument("--out", type=Path, default=ROOT / "notebooks", help="(default: notebooks)")
    options = p.parse_args(arguments)
    for name, text in texts().items():
        with made_folder((options.out / name).parent):
            write_text(options.out / name, text)
    print(options.out)


if __name__ == "__main__":
    sys.exit(run(main))
