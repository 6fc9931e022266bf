"""The first step of every script: import a command, whatever is missing, and run it."""

import sys
from importlib import import_module

from lenet_xp.errors import InputError


def start(command: str) -> int:
    """Run a command by its module's name and return its exit status.

    The import stands in here because it fails in words of its own where OpenCV lacks a system
    library, and takes long enough to be met by Ctrl-C.
    """
    try:
        main = import_module(f"lenet_xp.commands.{command}").main
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        return 130
    return main()
