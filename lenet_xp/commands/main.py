"""The one command: lenet-xp, with everything else behind it."""

import difflib
import os
import sys
from importlib import import_module

from lenet_xp import __version__
from lenet_xp.errors import InputError

COMMANDS = {
    "predict": "read letters from image files",
    "demo": "draw letters in the browser and see them read",
    "train": "train LeNet-5, test it, draw what it learned",
    "evaluate": "score a model on a data set",
    "export": "write a model as ONNX or safetensors",
    "download": "fetch AMHCD, 25,740 handwritten letters",
    "audit": "look for duplicates, label conflicts and leaks in a data set",
}

FIRST_STEPS = """\
to begin with:
  lenet-xp predict letter.png
      read a letter with the model that comes with the package
  lenet-xp demo
      draw one in the browser and see it read
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
    width = max(map(len, COMMANDS))
    table = "\n".join(f"  {each:<{width}}  {what}" for each, what in COMMANDS.items())
    return (
        "usage: lenet-xp COMMAND [OPTIONS]\n\n"
        "LeNet-5 from scratch, reading handwritten Tifinagh.\n\n"
        f"commands:\n{table}\n\n"
        f"{FIRST_STEPS}\n\n"
        "lenet-xp COMMAND --help has each command's options and examples; --version the version."
    )


def _unknown(command: str) -> str:
    """What is wrong with a word that is no command, and what was probably meant."""
    if os.path.exists(command):
        meant = f"lenet-xp predict {command!r}"
    elif close := difflib.get_close_matches(command.lower(), COMMANDS, 1):
        meant = f"lenet-xp {close[0]}"
    else:
        meant = "lenet-xp --help"
    return f"{command!r:.60} is no command; try: {meant}"


def start(command: str, arguments: list[str] | None = None) -> int:
    """Run the function `command` of the module of that name and return its exit status.

    arguments: None for those of this process.
    The import stands in here because it fails in words of its own where OpenCV lacks a system
    library, and takes long enough to be met by Ctrl-C.
    """
    try:
        module = import_module(f"lenet_xp.commands.{command}")
        run = import_module("lenet_xp.commands.terminal").run
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        return 130
    status: int = run(getattr(module, command), arguments)
    return status
