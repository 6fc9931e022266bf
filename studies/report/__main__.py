"""Make the project's report from its records, as Markdown with pictures, and as a PDF.

The text says which records are missing.
"""

import argparse
import sys
from pathlib import Path

from lenet_xp.commands.terminal import made_folder, parser, run
from lenet_xp.errors import InputError
from lenet_xp.system.files import write_text

# Errors of tables and pictures when a record has another shape than the program writes.
MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
EXAMPLES = """\
  python -m studies.report
      results/report.md, its pictures in results/report/
  pip install '.[report]' && python -m studies.report --pdf
      results/report.pdf as well"""


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser(
        "python -m studies.report",
        __doc__,
        EXAMPLES,
    )
    p.add_argument("--results", type=Path, default=Path("results"), help="the records' folder")
    p.add_argument("--out", type=Path, default=Path("results/report.md"), metavar="FILE.md")
    p.add_argument("--pdf", action="store_true", help="also as a PDF beside it")
    return p.parse_args(arguments)


def report(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    options = _options(arguments)
    out = options.out
    if out.suffix != ".md":
        raise InputError(f"--out {out}: the report is Markdown; give a name that ends in .md")
    pictures = out.with_suffix("")
    if not options.results.is_dir():
        raise InputError(f"--results {options.results}: is no folder; give that of the records")
    from studies.report.pictures import draw_pictures
    from studies.report.records import Records
    from studies.report.write import render

    if options.pdf:
        from studies.report.pdf import typesetter, write_pdf

        tools = typesetter()  # before any work, for its packages may be absent
    with made_folder(out.parent):
        records = Records(options.results, out.parent)
        try:
            text = render(records, pictures)
            draw_pictures(records, pictures)
        except MALFORMED as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
            raise InputError(
                f"--results {options.results}: a record is not as the program writes "
                f"them ({reason}); make it again"
            ) from error
        write_text(out, text)
        print(out)
        if options.pdf:
            write_pdf(text, out.with_suffix(".pdf"), tools)
            print(out.with_suffix(".pdf"))


if __name__ == "__main__":
    sys.exit(run(report))
