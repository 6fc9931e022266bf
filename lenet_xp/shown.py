"""Text that may come from anywhere, on its way to a terminal."""

import re

# A file's name may hold what a terminal takes for orders, or ends a line with.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def shown(text: str) -> str:
    """Text for a terminal: control characters, which a hostile name may hold, as their escapes."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
