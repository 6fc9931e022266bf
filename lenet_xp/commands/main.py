"""The one command: lenet-xp, with everything else behind it."""

import difflib
import os
import sys

from lenet_xp import __version__
from lenet_xp.commands.start import start
from lenet_xp.invocation import as_called

COMMANDS = {
    "predict": "read letters from image files",
    "train": "train LeNet-5, judge it, draw what it learned",
    "evaluate": "score a model on a data set",
    "export": "write a model as ONNX or safetensors",
    "download": "fetch AMHCD, 25,740 handwritten letters",
    "audit": "look for duplicates, label conflicts and leaks in a data set",
    "search": "try options of the recipe on writers that judge nothing",
    "benchmark": "measure speed beside PyTorch and ONNX Runtime",
    "report": "write the project's report from its records",
}

FIRST_STEPS = """\
to begin with:
  lenet-xp predict letter.png
      read a letter with the model that comes with the package
  lenet-xp train
      learn letters that the package draws itself: no download, a minute on a laptop
  lenet-xp train --data amhcd --recipe best
      real handwriting, fetched from Kaggle, and the most accurate recipe"""


def main() -> int:
    """Entry point of lenet-xp and of python -m lenet_xp: the exit status of the command named.

    Only that command is imported, so that one that draws nothing need not wait for matplotlib.
    """
    command, *arguments = sys.argv[1:] or ["--help"]
    if command in ("-h", "--help"):
        print(_help())
        return 0
    if command == "--version":
        print(f"lenet-xp {__version__}")
        return 0
    if command not in COMMANDS:
        print("error:", _unknown(command), file=sys.stderr)
        return 2
    return start(command, arguments)


def _help() -> str:
    name = as_called("lenet-xp command").removesuffix(" command")
    width = max(map(len, COMMANDS))
    table = "\n".join(f"  {each:<{width}}  {what}" for each, what in COMMANDS.items())
    return (
        f"usage: {name} COMMAND [OPTIONS]\n\n"
        "LeNet-5 from scratch, reading handwritten Tifinagh.\n\n"
        f"commands:\n{table}\n\n"
        f"{as_called(FIRST_STEPS)}\n\n"
        f"{name} COMMAND --help has each command's options and examples; --version the version."
    )


def _unknown(command: str) -> str:
    """What is wrong with a word that is no command, and what was probably meant."""
    if os.path.exists(command):
        meant = as_called("lenet-xp predict") + f" {command!r}"
    elif close := difflib.get_close_matches(command.lower(), COMMANDS, 1):
        meant = as_called(f"lenet-xp {close[0]}")
    else:
        meant = as_called("lenet-xp command").replace("command", "--help")
    return f"{command!r:.60} is no command; try: {meant}"
