#!/usr/bin/env python3
"""Read letters from images: python scripts/predict.py --help"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # this checkout, before any other

from lenet_xp.commands.main import start

if __name__ == "__main__":
    sys.exit(start("predict"))
