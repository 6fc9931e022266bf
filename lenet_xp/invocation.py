"""How the user called the program, so that what is said to them can be typed as it stands."""

import re
import sys
from pathlib import Path

_CALL = re.compile(r"\blenet-xp ([a-z]+)")


def as_called(text: str) -> str:
    """Text with each call `lenet-xp train ...` in the way of the running one.

    That is `python scripts/train.py ...` under a script, `python -m lenet_xp train ...` under -m.
    """
    program = Path(sys.argv[0]).absolute()
    if program.parts[-2:] == ("lenet_xp", "__main__.py"):
        return _CALL.sub(r"python -m lenet_xp \1", text)
    if program.parent.name == "scripts" and program.suffix == ".py":
        return _CALL.sub(r"python scripts/\1.py", text)
    return text
