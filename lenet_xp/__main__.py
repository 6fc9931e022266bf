"""The command lenet-xp as `python -m lenet_xp`."""

import sys

from lenet_xp.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
