"""Run notebooks/lenet5_tifinagh.ipynb from top to bottom and save it with its outputs.

Needs pip install '.[test]'. No image of AMHCD gets into the file: the notebook shows generated
letters instead, and leaves out the misclassified ones.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from lenet_xp.commands.terminal import parser, run
from lenet_xp.errors import InputError
from lenet_xp.system.files import write_text

EXAMPLES = """\
  python -m studies.make_notebook --data amhcd_64.zip
      over the notebook itself
  python -m studies.make_notebook --data synthetic --out tried.ipynb
      on generated letters, for a look"""

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "lenet5_tifinagh.ipynb"


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser("python -m studies.make_notebook", __doc__, EXAMPLES)
    p.add_argument("--data", required=True, metavar="SOURCE", help="the AMHCD zip or folder")
    p.add_argument("--recipe", choices=("classic", "best"), default="classic")
    p.add_argument("--out", type=Path, default=NOTEBOOK, help="(default: the notebook itself)")
    options = p.parse_args(arguments)
    try:
        import nbclient
        import nbformat
    except ImportError as error:
        raise InputError(f"{error.name} is not installed: pip install '.[test]'") from error

    data = str(Path(options.data).resolve()) if Path(options.data).exists() else options.data
    os.environ |= {"LENET_XP_DATA": data, "LENET_XP_RECIPE": options.recipe}
    os.environ |= {"LENET_XP_SHOW_DATA": "no", "PYTHONPATH": str(ROOT)}
    read: Any = nbformat.read
    writes: Any = nbformat.writes
    notebook = read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:  # where the notebook leaves its model
        client = nbclient.NotebookClient(
            notebook,
            timeout=3600,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        try:
            client.execute()
        except nbclient.exceptions.CellExecutionError as error:
            raise InputError(f"a cell failed: {error.ename}: {error.evalue}") from error
    notebook.metadata["language_info"] = {"name": "python"}  # no version that changes every time
    text: str = writes(notebook)
    write_text(options.out, text + "\n")
    print(options.out)


if __name__ == "__main__":
    sys.exit(run(main))
