#!/usr/bin/env python3
"""Search a recipe: python scripts/search.py --help"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # this checkout, before any other

from lenet_xp.commands.start import start

if __name__ == "__main__":
    sys.exit(start("search"))
