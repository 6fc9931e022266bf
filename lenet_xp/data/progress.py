"""Progress on standard error: a bar on a terminal, one plain line in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from lenet_xp.shown import shown as safe

LONG = 2.0  # seconds from which on a search is reported


@contextmanager
def progress_bar(total: int, label: str, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes the number of images just done."""
    label = safe(label)
    if shown and sys.stderr.isatty():
        with tqdm(total=total, desc=label, unit=" images", file=sys.stderr) as bar:
            yield bar.update
        return
    if shown:
        print(f"{label}: {total:,} images", file=sys.stderr)
    yield lambda count: None


@contextmanager
def search_report(label: str, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """The same for work whose end nobody knows, such as a search, and only once it takes long."""
    label = safe(label)
    if shown and sys.stderr.isatty():
        with tqdm(desc=label, unit=" files", file=sys.stderr, delay=LONG, leave=False) as bar:
            yield bar.update
        return
    began, told = time.monotonic(), not shown

    def advance(count: int) -> None:
        nonlocal told
        if not told and time.monotonic() - began > LONG:
            print(f"{label} ...", file=sys.stderr)
            told = True

    yield advance
