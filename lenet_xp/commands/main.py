"""The command lenet-xp: its list of commands, its help, and the start of one command."""

import difflib
import os
import sys
from importlib import import_module

from lenet_xp import __version__
from lenet_xp.errors import InputError
from lenet_xp.system.streams import say, with_streams
from lenet_xp.system.text import in_shell

COMMANDS = {
    "predict": "read letters from image files",
    "demo": "draw letters in the browser and see them read",
    "site": "write that page as files for any web host",
    "train": "train LeNet-5, test it, draw its learning curves and errors",
    "evaluate": "score a model on a data set",
    "export": "write a model as ONNX or safetensors",
    "download": "download AMHCD, 25,740 handwritten letters",
    "audit": "find duplicates, conflicts, leaks and doubtful labels in a data set",
}

HELP = """\
usage: lenet-xp COMMAND [OPTIONS]

LeNet-5 from scratch, reading handwritten Tifinagh.

commands:
{commands}

first steps:
  lenet-xp predict letter.png
      read a letter with the model that comes with the package
  lenet-xp demo
      draw a letter in the browser and see it read
  lenet-xp train
      train on letters that the package draws itself: no download, a minute on a laptop
  lenet-xp train --data amhcd --recipe best
      train on real handwriting, downloaded from Kaggle, with an accurate recipe

lenet-xp COMMAND --help shows a command's options and examples, --version the version."""


def main() -> int:
    """Run lenet-xp or python -m lenet_xp; only the named command is imported. Return the status."""
    command, *arguments = sys.argv[1:] or ["--help"]
    if command in COMMANDS:
        return start(command, arguments)
    return with_streams(lambda: _explain(command))


def _explain(command: str) -> int:
    """Print the help or the version; for any other word, an error with a suggestion."""
    if command in ("-h", "--help", "--version"):
        print(f"lenet-xp {__version__}" if command == "--version" else _help())
        return 0
    close = difflib.get_close_matches(command.lower(), COMMANDS, 1) or ["--help"]
    meant = f"predict {in_shell(command)}" if os.path.exists(command) else close[0]
    say(f"error: {command!r:.60} is no command; try: lenet-xp {meant}")
    return 2


def _help() -> str:
    width = max(map(len, COMMANDS))
    table = "\n".join(f"  {each:<{width}}  {what}" for each, what in COMMANDS.items())
    return HELP.format(commands=table)


def start(command: str, arguments: list[str] | None = None) -> int:
    """Run the function `command` of the module of that name and return its exit status.

    arguments: None for those of this process.
    The imports are in here: OpenCV's may raise InputError, and they take time for a Ctrl-C.
    """
    # NumPy and OpenCV read these while they are imported; what the user has set stays. A matrix
    # product then runs in the thread that asks for it, and OpenCV does not log a bad image.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        module = import_module(f"lenet_xp.commands.{command}")
        run = import_module("lenet_xp.commands.terminal").run
    except InputError as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        say("stopped by Ctrl-C")
        return 130
    return int(run(getattr(module, command), arguments))
