"""Progress on standard error: a bar on a terminal, one plain line in a log."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress_bar(total: int, label: str, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes the number of images just done."""
    if shown and sys.stderr.isatty():
        with tqdm(total=total, desc=label, unit=" images", file=sys.stderr) as bar:
            yield bar.update
        return
    if shown:
        print(f"{label}: {total:,} images", file=sys.stderr)
    yield lambda count: None
