"""Run notebooks/lenet5_tifinagh.ipynb from top to bottom and keep it with its outputs.

    python studies/make_notebook.py --data amhcd_64.zip

Needs pip install '.[test]'. No image of AMHCD gets into the file: the notebook is told to show
generated letters in their place, and drops the pictures of letters that were read wrong.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from lenet_xp.commands.terminal import run
from lenet_xp.errors import InputError
from lenet_xp.system.files import write_text

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "lenet5_tifinagh.ipynb"


def make_notebook(arguments: list[str] | None = None) -> None:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--data", required=True, metavar="SOURCE", help="the AMHCD zip or folder")
    p.add_argument("--recipe", choices=("classic", "best"), default="classic")
    p.add_argument("--out", type=Path, default=NOTEBOOK, help="default: over the notebook itself")
    options = p.parse_args(arguments)
    try:
        import nbclient
        import nbformat
    except ImportError as error:
        raise InputError(f"{error.name} is not installed: pip install '.[test]'") from error

    data = str(Path(options.data).resolve()) if Path(options.data).exists() else options.data
    os.environ |= {"LENET_XP_DATA": data, "LENET_XP_RECIPE": options.recipe}
    os.environ |= {"LENET_XP_SHOW_DATA": "no", "PYTHONPATH": str(ROOT)}
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:  # where the notebook leaves its model
        client = nbclient.NotebookClient(
            notebook,
            timeout=3600,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    notebook.metadata["language_info"] = {"name": "python"}  # no version that changes every time
    write_text(options.out, nbformat.writes(notebook) + "\n")
    print(options.out)


if __name__ == "__main__":
    sys.exit(run(make_notebook))
