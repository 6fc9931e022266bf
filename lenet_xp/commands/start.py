"""The first step of every command: import it, whatever is missing, and run it."""

import sys
from importlib import import_module

from lenet_xp.errors import InputError


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
